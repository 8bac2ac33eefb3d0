"""The workload: gradients, a single pass that is killed, from pulses to a report."""

import json
import signal
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.toy import final_state

from hepjax import InputError
from hepjax.cli import main
from hepjax.engine.config import (
    CheckpointConfig,
    InputConfig,
    MeshConfig,
    TrainConfig,
)
from hepjax.engine.stream import held_out
from hepjax.engine.train import train
from hepjax.formats.waveforms.layout import DETECTOR
from hepjax.formats.waveforms.pack import pack_waveforms
from hepjax.formats.waveforms.writer import write_waveforms
from hepjax.workloads import table
from hepjax.workloads.waveforms import data, objective, single_pass
from hepjax.workloads.waveforms.config import (
    DataConfig,
    ModelConfig,
    WaveformsConfig,
)

WORKLOAD = table.get("waveforms")
SAMPLES = 32
TINY = WaveformsConfig(
    model=ModelConfig(latent=2, widths=(16, 8)),
    data=DataConfig(samples=SAMPLES),
    train=TrainConfig(batch_size=16, epochs=1, record_every=1),
    mesh=MeshConfig(devices=1),
    input=InputConfig(window=64),
    checkpoint=CheckpointConfig(every_steps=5),
)  # fmt: skip


def waveforms(n, seed=0):
    """Gaussian pulses of two widths with Poisson light, photoelectrons."""
    rng = np.random.default_rng(seed)
    width, size = rng.uniform(2, 5, n)[:, None], rng.uniform(200, 2000, n)[:, None]
    shape = np.exp(-0.5 * ((np.arange(SAMPLES) - SAMPLES / 2) / width) ** 2)
    return (rng.poisson(size * shape / shape.sum(1, keepdims=True)) + rng.normal(
        size=(n, SAMPLES)) * 0.6).astype(np.float32)  # fmt: skip


def write(path, n, seed=0, first=0):
    counts = np.round(waveforms(n, seed) / DETECTOR.count).astype(np.int16)
    write_waveforms(path, {"waveform": counts, "event": first + np.arange(n)}, DETECTOR.count, 20.0)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pulses")
    write(folder / "a.h5", 380)
    pack_waveforms([folder / "a.h5"], folder / "packed", events_per_shard=20)
    return folder / "packed"


def one_pass(packed, **changes):
    settings = {"files": (str(packed),), "single_pass": True, "lanes": 4,
                "validation_fraction": 0.2, "most_shards": 32}  # fmt: skip
    return replace(TINY, data=replace(TINY.data, **(settings | changes)))


@pytest.mark.parametrize("kind", ["dense", pytest.param("conv", marks=pytest.mark.slow)])
def test_the_gradient_is_the_numerical_one(kind):
    cfg = replace(TINY, model=replace(TINY.model, kind=kind, channels=(4, 6)))
    params = jax.jit(lambda: objective.init(cfg, jax.random.key(0)).params)()
    waveform, key = jnp.asarray(waveforms(3)), jax.random.key(1)

    def loss(params):
        return objective.losses(cfg, params, waveform, key).mean()

    direction = jax.tree.map(
        lambda p: np.random.default_rng(p.size).normal(size=p.shape).astype(np.float32), params
    )
    gradient = jax.jit(jax.grad(loss))(params)
    slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), gradient, direction)))
    step, at = 2e-3, jax.jit(loss)
    low, high = (
        float(at(jax.tree.map(lambda p, d, s=s: p + s * step * d, params, direction)))
        for s in (-1, 1)
    )
    assert float(slope) == pytest.approx((high - low) / (2 * step), rel=0.03)
    expected, divergence = jax.jit(lambda p: objective.reconstructed(cfg, p, waveform))(params)
    assert (expected > 0).all()  # and it has the charge of the pulse
    np.testing.assert_allclose(expected.sum(1), waveform.sum(1), rtol=1e-4)
    assert (divergence >= 0).all()


def test_parameters_of_the_demo():
    cfg = WaveformsConfig()
    shapes = jax.eval_shape(lambda: objective.init(cfg, jax.random.key(0))).params
    count = sum(int(np.prod(a.shape)) for a in jax.tree.leaves(shapes))
    encoder = 513 * 512 + 512 + 512 * 256 + 256 + 256 * 128 + 128 + 128 * 12 + 12
    decoder = 6 * 128 + 128 + 128 * 256 + 256 + 256 * 512 + 512 + 512 * 512 + 512
    assert count == encoder + decoder


@pytest.fixture(scope="module")
def whole(packed, tmp_path_factory):
    """A pass that nobody disturbed."""
    run = tmp_path_factory.mktemp("whole")
    train(WORKLOAD, one_pass(packed), run, quiet=True)
    return run


def test_a_whole_pass_counts_every_pulse(packed, whole):
    cfg = one_pass(packed)
    steps = WORKLOAD.sources(cfg).train.updates(16)
    seen = final_state(whole, steps, WORKLOAD, cfg).model.seen
    found = data.the_set(cfg)
    events = np.array([s.events for s in found.shards])
    covered = single_pass.coverage(seen, events, events * 64)
    assert covered["complete"]
    assert covered["pulses_read"] == 380
    assert covered["shards_read"] == len(found.shards) == 19
    assert covered["bytes_read"] == covered["bytes"]
    held = held_out(np.arange(380), 0.2)
    assert covered["pulses_held_out"] == held.sum()
    assert 0 < np.asarray(seen.scores).sum() <= held.sum()
    records = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [r for r in records if r["event"] == "train"][-1]["held_tail"] > 0.5


def test_a_killed_pass_goes_on_exactly(packed, whole, tmp_path):
    cfg = one_pass(packed)
    steps = WORKLOAD.sources(cfg).train.updates(16)
    stopped = train(
        WORKLOAD, cfg, tmp_path, quiet=True,
        interrupted=lambda step: signal.SIGTERM if step == 9 else None,
    )  # fmt: skip
    assert stopped.step == 9
    assert train(WORKLOAD, cfg, tmp_path, quiet=True).step == steps
    states = [final_state(run, steps, WORKLOAD, cfg) for run in (whole, tmp_path)]
    for a, b in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_array_equal(a, b)


def test_lost_shards_are_counted_up_to_the_ceiling(packed, tmp_path, capsys):
    copy = tmp_path / "packed"
    copy.mkdir()
    for path in packed.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "shard-000003.h5").unlink()
    broken = copy / "shard-000007.h5"
    broken.write_bytes(broken.read_bytes()[:-9])
    cfg = one_pass(copy, most_lost=0.15)
    (tmp_path / "run").mkdir()
    train(WORKLOAD, cfg, tmp_path / "run", quiet=True)
    steps = WORKLOAD.sources(cfg).train.updates(16)
    seen = final_state(tmp_path / "run", steps, WORKLOAD, cfg).model.seen
    events = np.array([s.events for s in data.the_set(cfg).shards])
    covered = single_pass.coverage(seen, events, events)
    assert covered["failed"] == [3, 7]
    assert covered["pulses_lost"] == 40
    assert covered["pulses_read"] == 340
    assert covered["complete"]
    with pytest.raises(
        InputError, match=r"shard-00000\d.h5: .* data.most_lost: expected at most 0"
    ):
        train(WORKLOAD, one_pass(copy), tmp_path, quiet=True)


def test_a_drifting_period_stands_out():
    counts = np.zeros((single_pass.PERIODS, single_pass.BINS), int)
    rng = np.random.default_rng(0)
    for period in range(single_pass.PERIODS):
        level = 1.3 if period == 20 else 1.0
        place = np.log(level * rng.normal(1, 0.1, 400) / single_pass.LOWEST)
        place *= single_pass.BINS / np.log(single_pass.HIGHEST / single_pass.LOWEST)
        np.add.at(counts[period], place.astype(int), 1)
    seen = replace(single_pass.nothing(4), scores=counts)
    rows = single_pass.drift(seen)
    assert max(rows, key=lambda r: abs(r["deviation"]))["period"] == 20
    assert rows[20]["deviation"] > 10
    assert all(abs(r["deviation"]) < 5 for r in rows if r["period"] != 20)
    assert single_pass.quantile(counts.sum(0), 0.5) == pytest.approx(1.0, abs=0.02)


BAD_PASSES = {
    "files": ({"files": ("{files}",)}, r"expected a packed set of waveforms for data.single_pass"),
    "most_shards": ({"most_shards": 8}, r"data.most_shards: expected at least the 19 shards"),
    "samples": ({"samples": 64}, r"expected waveforms of 64 samples \(data.samples\), found 32"),
    "lanes": ({"lanes": 5}, r"train.batch_size: expected a multiple of the 5 data.lanes"),
}


@pytest.mark.parametrize("name", BAD_PASSES)
def test_bad_passes(packed, tmp_path, name):
    changes, message = BAD_PASSES[name]
    changes = {k: (str(packed.parent / "a.h5"),) if k == "files" else v for k, v in changes.items()}
    with pytest.raises(InputError, match=message):
        train(WORKLOAD, one_pass(packed, **changes), tmp_path, quiet=True)


@pytest.mark.parametrize(
    ("group", "changes", "message"),
    [
        ("train", {"epochs": 2}, r"train.epochs: expected 1 with data.single_pass, found 2"),
        ("input", {"resident": True}, r"input.resident: expected false with data.single_pass"),
        ("mesh", {"program": "explicit"}, r"mesh.program: expected partitioned with data.single"),
    ],
)
def test_settings_that_a_single_pass_excludes(packed, group, changes, message):
    cfg = one_pass(packed)
    with pytest.raises(InputError, match=message):
        replace(cfg, **{group: replace(getattr(cfg, group), **changes)})


def test_from_simulation_to_the_report(tmp_path, capsys):
    pulses, run = tmp_path / "pulses", tmp_path / "run"
    words = ["--events", "1200", "--out", str(pulses), "--quiet"]
    assert main(["simulate", "waveforms", *words]) == 0
    assert main(["simulate", "waveforms", *words]) == 0  # they are there
    assert main(["inspect", str(pulses / "test"), "--plot", str(tmp_path / "p.png"), "--json"]) == 0
    small = ["model.widths=[16,8]", "model.latent=2", "train.batch_size=64", "train.epochs=1"]
    files = [f"data.files=[{pulses}/train]", f"data.test_files=[{pulses}/test]"]
    command = ["train", "waveforms/demo", *files, *small, "--run", str(run), "--quiet"]
    assert main(command) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json", "--quiet"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["kinds"] == dict.fromkeys(scores["kinds"], 75)
    assert len(scores["kinds"]) == 6
    share, error = scores["efficiency"]["ceiling"]["0.01"]["multi"]
    assert 0.3 < share <= 1
    assert 0 < error < 0.1
    assert (run / "report" / "index.html").exists()
    out = tmp_path / "scores.parquet"
    words = ["--data", str(pulses / "test"), "--out", str(out), "--quiet"]
    assert main(["predict", str(run), *words]) == 0
    assert {"chi2", "coarse", "spike", "bump", "kl", "area"} <= set(pq.read_table(out).column_names)


def test_pack_and_pass_by_the_command_line(tmp_path, capsys):
    write(tmp_path / "a.h5", 460)
    out, run = tmp_path / "packed", tmp_path / "run"
    assert main(["pack", str(tmp_path / "a.h5"), "--out", str(out), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 460
    assert main(["inspect", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layout"] == "packed waveforms"
    settings = [f"data.files=[{out}]", "data.test_files=[]", f"data.samples={SAMPLES}",
                "model.widths=[16,8]", "model.latent=2", "data.lanes=1", "train.batch_size=16",
                "data.validation_fraction=0.5"]  # fmt: skip
    command = ["train", "waveforms/single-pass", *settings, "--run", str(run), "--quiet"]
    assert main(command) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json", "--quiet"]) == 0
    covered = json.loads(capsys.readouterr().out)["pass"]
    assert covered["complete"]
    assert covered["pulses_read"] == 460
    assert main(["pack", str(out), "--out", str(tmp_path / "again")]) == 2
    assert "found a packed set" in capsys.readouterr().err
