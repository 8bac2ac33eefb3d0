"""CosmoFlow: its size, what it learns, sizes that do not fit, and from universes to a report."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.fields import state as drawn_state

from hepjax import InputError
from hepjax.cli import main
from hepjax.engine.workload import Clock
from hepjax.formats.fields.cosmoflow import Sample, read_samples, write_sample
from hepjax.workloads.cosmoflow import data, objective, validation
from hepjax.workloads.cosmoflow.config import CosmoflowConfig, DataConfig, ModelConfig

TINY = CosmoflowConfig(
    model=ModelConfig(channels=(4, 8), dense=(16,), dropout=0.0, periodic=True),
    data=DataConfig(cells=4),
)


def test_the_published_network_has_nine_million_parameters():
    cfg = CosmoflowConfig()
    abstract = jax.eval_shape(partial(objective.init, cfg), jax.random.key(0))
    assert sum(p.size for p in jax.tree.leaves(abstract.params)) == 8_907_556


def test_a_few_samples_are_learnt(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(4):
        unit = rng.uniform(-1, 1, 4).astype(np.float32)
        counts = rng.poisson(2 + unit[0], (4, 4, 4, 4)).astype(np.int16)
        write_sample(tmp_path / f"{k}.h5", Sample(counts, unit), unit, np.arange(4))
    batch = jax.tree.map(jnp.asarray, data.open_samples(TINY, [tmp_path])[np.arange(4)])
    cfg = replace(TINY, optimizer=replace(TINY.optimizer, learning_rate=1e-2))
    state = drawn_state(objective, cfg)
    clock = Clock(jnp.float32(0), jnp.int32(0))
    step = jax.jit(lambda s, k: objective.train_step(cfg, s, batch, jax.random.key(k), clock))
    for k in range(80):
        state, metrics = step(state, k)
    assert float(metrics["error"]) < 0.1
    judge = jax.jit(lambda s, b: validation.eval_step(cfg, s, b, jax.random.key(0)))
    sums = judge(state, batch | {"mask": jnp.ones(4)})
    assert validation.summarise(cfg, jax.device_get(sums))["error"] < 0.15


def test_samples_of_another_size(tmp_path):
    write_sample(
        tmp_path / "a.h5", Sample(np.ones((8, 8, 8, 4), np.int16), np.zeros(4, np.float32)),
        np.zeros(4), np.arange(4),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"expected 4 cells along an edge \(data.cells\), found 8"):
        data.open_samples(TINY, [tmp_path])
    with pytest.raises(InputError, match=r"data.cells: expected a multiple of 4, found 6"):
        replace(TINY, data=DataConfig(cells=6))


@pytest.mark.slow  # the same way as that of test_fields.py, with another network
def test_from_simulation_to_the_report(tmp_path, capsys):
    folder, run = tmp_path / "universes", tmp_path / "run"
    words = ["--boxes", "6", "--cells", "4", "--steps", "4", "--targets", "parameters"]
    assert main(["simulate", "boxes", *words, "--out", str(folder), "--quiet"]) == 0
    (sample,) = read_samples(folder / "universe-00000.h5")
    assert (sample.counts.sum((0, 1, 2)) == 64).all()  # every particle is counted
    assert main(["inspect", str(folder), "--json"]) == 0
    small = ["model.channels=[4]", "model.dense=[8]", "train.epochs=2", "train.batch_size=2",
             "data.cells=4", "data.validation_fraction=0.4"]  # fmt: skip
    command = ["train", "cosmoflow/demo", f"data.files=[{folder}]", *small, "--run", str(run)]
    assert main([*command, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json", "--quiet"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["samples"] == 3
    assert 0 < scores["error"] < 2.2
