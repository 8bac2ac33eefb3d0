"""Files and packed sets of waveforms: read as written, refused in one line where bad."""

import json

import h5py
import numpy as np
import pytest

from hepjax import InputError
from hepjax.formats.waveforms.hdf5 import is_waveforms, open_waveforms
from hepjax.formats.waveforms.layout import FULL_SCALE
from hepjax.formats.waveforms.pack import pack_waveforms
from hepjax.formats.waveforms.packed import is_packed_waveforms, read_set, read_shard
from hepjax.formats.waveforms.writer import write_waveforms


def fields(n=20, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "waveform": rng.integers(-50, 900, (n, 16)).astype(np.int16),
        "event": 100 * seed + np.arange(n), "kind": rng.integers(0, 7, n),
        "drift_time": rng.uniform(30, 900, n).astype(np.float32),
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for k in range(2):
        write_waveforms(tmp_path / f"pulses_{k}.h5", fields(seed=k), 0.25, 10.0)
    return tmp_path


def changed(path, name, values, **attributes):
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        if values is not None:
            file.create_dataset(name, data=values).attrs.update(attributes)
    return path


def test_pulses_are_read_as_written(folder):
    source = open_waveforms(folder)
    assert len(source) == 40
    rows = np.array([25, 3, 39])
    batch = source[rows]
    expected = {k: np.concatenate([fields(seed=0)[k], fields(seed=1)[k]]) for k in fields()}
    for name, values in expected.items():
        np.testing.assert_array_equal(batch[name], values[rows])
    assert source.meaning.scale == 0.25
    assert source.files[0].sample_ns == 10.0
    assert is_waveforms(folder)


def test_photoelectrons_need_no_scale_and_no_columns(tmp_path):
    values = np.random.default_rng(0).normal(size=(5, 16))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["waveform"] = values
    source = open_waveforms(tmp_path)
    assert source.meaning.scale == 1.0
    batch = source[np.arange(5)]
    np.testing.assert_allclose(batch["waveform"], values, rtol=1e-6)
    np.testing.assert_array_equal(batch["event"], np.arange(5))


BAD = {
    "not finite": (
        ("waveform", np.where(np.eye(20, 16) > 0, np.nan, 1.0)),
        r"a.h5: expected finite waveforms, found 16 of 20 with others, the first in row 0",
    ),
    "saturated": (
        ("waveform", np.full((20, 16), FULL_SCALE, np.int16), {"scale": 1.0}),
        r"a.h5: expected at most 50% saturated pulses, found 100% at 32,767 counts from row 0 on",
    ),
    "no scale": (
        ("waveform", np.zeros((20, 16), np.int16)),
        r"a.h5: expected the attribute 'scale' .*, found none; set it",
    ),
    "bad scale": (
        ("waveform", np.zeros((20, 16), np.int16), {"scale": -1.0}),
        r"a.h5: expected a positive number as 'scale' of dataset 'waveform', found -1.0",
    ),
    "one axis": (("waveform", np.zeros(20)), r"a.h5: expected waveforms \(n, samples\)"),
    "wide counts": (
        ("waveform", np.zeros((20, 16), np.int32), {"scale": 1.0}),
        r"a.h5: expected 16-bit counts .*, found int32",
    ),
    "none": (("waveform", None), r"a.h5: expected a dataset 'waveform', found "),
    "short column": (("event", np.arange(3)), r"in dataset .event., \(20,\), found \(3,\)"),
    "unknown kind": (("kind", np.full(20, 9)), r"a.h5: expected kinds 0 to 6 .*, found 9 in row 0"),
    "column not finite": (
        ("drift_time", np.full(20, np.inf)),
        r"a.h5: expected finite numbers in 'drift_time', found others in row 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files(tmp_path, name):
    (key, values, *attributes), message = BAD[name]
    path = tmp_path / "a.h5"
    write_waveforms(path, fields(), 0.25, None)
    changed(path, key, values, **(attributes[0] if attributes else {}))
    with pytest.raises(InputError, match=message):
        open_waveforms(path)[np.arange(20)]


def test_files_that_do_not_go_together(folder):
    write_waveforms(folder / "pulses_2.h5", fields(), 0.5, 10.0)
    with pytest.raises(
        InputError, match=r"pulses_2.h5: expected 16 samples .*scale 0.25.*found .*"
    ):
        open_waveforms(folder)


def test_a_truncated_file(folder):
    path = folder / "pulses_0.h5"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputError, match=r"pulses_0.h5: expected"):
        open_waveforms(folder)[np.arange(20)]


@pytest.fixture
def packed(folder):
    out = folder / "packed"
    return out, pack_waveforms([folder], out, events_per_shard=12)


def test_a_packed_set_has_all_pulses_in_order(folder, packed):
    out, made = packed
    assert is_packed_waveforms(out)
    found = read_set([out])
    assert found == made
    assert [shard.events for shard in found.shards] == [12, 12, 12, 4]
    parts = [read_shard(shard, found.meaning) for shard in found.shards]
    source = open_waveforms([folder / "pulses_0.h5", folder / "pulses_1.h5"])[np.arange(40)]
    for name, values in source.items():
        np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), values)


def test_a_flipped_bit_is_found(packed):
    _, made = packed
    shard = made.shards[1]
    content = bytearray(shard.path.read_bytes())
    content[len(content) // 2] ^= 1
    shard.path.write_bytes(content)
    with pytest.raises(InputError, match=r"shard-000001.h5: expected the checksum of the manifest"):
        read_shard(shard, made.meaning)
    shard.path.unlink()
    with pytest.raises(InputError, match=r"shard-000001.h5: expected a shard, found No such file"):
        read_shard(shard, made.meaning)


def test_damaged_manifests(packed):
    out, _ = packed
    content = json.loads((out / "manifest.json").read_text())
    content["shards"][0]["events"] = 11
    (out / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"manifest.json: expected a sound manifest, found a dama"):
        read_set([out])
    (out / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest.json: expected a sound manifest, found a dama"):
        read_set([out])
    (out / "manifest.json").unlink()
    with pytest.raises(
        InputError, match=r"packed: expected a packed set with manifest.json, found none"
    ):
        read_set([out])


def test_a_folder_that_is_packed_already(folder, packed):
    with pytest.raises(InputError, match=r"packed: expected a folder without a packed set"):
        pack_waveforms([folder / "pulses_0.h5"], packed[0])
