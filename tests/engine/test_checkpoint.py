"""Damage to a checkpoint is seen, named, and survived."""

import contextlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hepjax import InputError
from hepjax.engine.checkpoint import (
    MANIFEST,
    Checkpoints,
    best_first,
    complete_steps,
    read_manifest,
    restore_first,
    verify,
)

ABSTRACT = {"w": jax.ShapeDtypeStruct((64,), jnp.float32)}


@pytest.fixture
def folder(tmp_path):
    with Checkpoints(tmp_path / "checkpoints", keep=5) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, {"w": jnp.arange(64.0) * step}, {"epoch": step, "score": 0.1})
    return tmp_path / "checkpoints"


def newest(folder, abstract=ABSTRACT):
    return restore_first(folder, complete_steps(folder)[::-1], abstract)


def files(folder, step):
    return sorted(p for p in (folder / f"step_{step}").rglob("*") if p.is_file())


def test_the_newest_is_restored(folder):
    step, state = newest(folder)
    assert step == 2
    np.testing.assert_array_equal(state["w"], np.arange(64.0) * 2)


def test_a_flipped_bit_in_any_file_falls_back_and_says_so(folder, capsys):
    for path in files(folder, 2):
        if path.name == MANIFEST or not path.stat().st_size:
            continue
        good = path.read_bytes()
        damaged = bytearray(good)
        damaged[len(damaged) // 2] ^= 4
        path.write_bytes(damaged)
        step, state = newest(folder)
        assert step == 1
        np.testing.assert_array_equal(state["w"], np.arange(64.0))
        assert "falling back" in capsys.readouterr().err
        path.write_bytes(good)
    assert verify(folder, 2)["step"] == 2


@pytest.mark.parametrize("damage", ["truncate", "remove", "garbage manifest"])
def test_other_damage_falls_back(folder, damage):
    path = max(files(folder, 2), key=lambda p: p.stat().st_size if p.name != MANIFEST else -1)
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:-7])
    elif damage == "remove":
        path.unlink()
    else:
        (folder / "step_2" / MANIFEST).write_text("{}")
    assert newest(folder)[0] == 1


def test_nothing_usable_is_an_error(folder):
    for step in (1, 2):
        (folder / f"step_{step}" / MANIFEST).write_text("not json")
    with pytest.raises(InputError, match="usable checkpoint"):
        newest(folder)


def test_a_save_without_manifest_never_finished(folder):
    (folder / "step_2" / MANIFEST).unlink()
    assert complete_steps(folder) == [1]
    with Checkpoints(folder, keep=5) as checkpoints:
        checkpoints.save(2, {"w": jnp.zeros(64)}, {"epoch": 2, "score": 0.1})
    assert complete_steps(folder) == [1, 2]


def test_a_lost_manifest_is_told(folder, capsys):
    (folder / "step_2" / MANIFEST).unlink()
    assert newest(folder)[0] == 1
    assert f"{folder / 'step_2'}: expected a {MANIFEST}, found none" in capsys.readouterr().err


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_manifest_with_a_flipped_bit_is_refused_or_says_the_same(folder, data):
    path = folder / "step_2" / MANIFEST
    good = path.read_bytes()
    before = read_manifest(folder, 2)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    damaged = bytearray(good)
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    with contextlib.suppress(InputError):
        # What is read is what was written: the bit was in white space or the name of the checksum.
        assert before.items() <= read_manifest(folder, 2).items()
    path.write_bytes(good)


def test_a_manifest_of_before_checksums_is_read(folder):
    path = folder / "step_2" / MANIFEST
    old = json.loads(path.read_text())
    del old["checksum"]
    path.write_text(json.dumps(old))
    assert newest(folder)[0] == 2


def test_a_damaged_old_manifest_stops_no_save(folder):
    (folder / "step_1" / MANIFEST).write_text("{}")
    with Checkpoints(folder, keep=5) as checkpoints:
        checkpoints.save(3, {"w": jnp.zeros(64)}, {"epoch": 3, "score": 0.1})
    assert complete_steps(folder)[-1] == 3


def test_what_a_killed_save_left_is_removed(folder):
    rest = folder / "step_3.orbax-checkpoint-tmp"
    rest.mkdir()
    (rest / "array").write_text("half")
    with Checkpoints(folder, keep=5):
        pass
    assert [p.name for p in sorted(folder.iterdir())] == ["step_1", "step_2"]


def test_a_refused_save_is_one_line_and_keeps_the_others(folder, caplog):
    (folder / "step_3").write_text("a file where the folder should be")
    with Checkpoints(folder, keep=5) as checkpoints:
        refused = r"step_3: expected .*, found: .*; the last good checkpoint is step 2"
        with pytest.raises(InputError, match=refused):
            checkpoints.save(3, {"w": jnp.zeros(64)}, {"epoch": 3, "score": 0.1})
    assert newest(folder)[0] == 2
    assert not caplog.records


def test_a_save_that_fails_half_way_removes_itself_alone(folder, monkeypatch):
    """Step 20 is from before a fall back to step 1; a failed step 2 does not take it along."""
    (folder / "step_2").rename(folder / "step_20")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hepjax.engine.checkpoint._digests", full)
    with Checkpoints(folder, keep=5) as checkpoints:
        checkpoints.save(2, {"w": jnp.zeros(64)}, {"epoch": 2, "score": 0.1})
        with pytest.raises(InputError, match=r"step_2: .* no space left; the last good .* step 20"):
            checkpoints.wait()
    assert complete_steps(folder) == [1, 20]
    assert not (folder / "step_2").exists()


def test_a_save_that_fails_at_once_leaves_nothing_either(folder, monkeypatch):
    rest = folder / "step_3.orbax-checkpoint-tmp"

    def full(*_):
        rest.mkdir()
        raise OSError(28, "No space left on device")

    with Checkpoints(folder, keep=5) as checkpoints:
        monkeypatch.setattr(checkpoints._orbax, "save", full)
        with pytest.raises(InputError, match=r"step_3: .* no space left; the last good .* step 2"):
            checkpoints.save(3, {"w": jnp.zeros(64)}, {"epoch": 3, "score": 0.1})
    assert not rest.exists()
    assert newest(folder)[0] == 2


def test_no_checkpoint_at_all(tmp_path):
    assert newest(tmp_path) is None


def test_state_of_another_shape_is_refused(folder):
    with pytest.raises(InputError, match="this configuration"):
        newest(folder, {"w": jax.ShapeDtypeStruct((65,), jnp.float32)})


def test_the_best_epoch_comes_first(tmp_path):
    scores = [0.3, 0.1, 0.1, 0.0, None, float("nan")]
    with Checkpoints(tmp_path, keep=9) as checkpoints:
        for step, score in enumerate(scores):
            checkpoints.save(step, {"w": jnp.zeros(64)}, {"epoch": step, "score": score})
    assert best_first(tmp_path) == [3, 2, 1, 0, 5, 4]
