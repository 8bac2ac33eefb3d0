"""The workload: gradients, padding, rotation of batches, devices, and from events to a report."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest

from hepjax import InputError
from hepjax.cli import main
from hepjax.engine.workload import Clock
from hepjax.simulate.fixed import write_hits
from hepjax.workloads import table
from hepjax.workloads.tracking import data, objective
from hepjax.workloads.tracking.config import DataConfig, ModelConfig, TrackingConfig

WORKLOAD = table.get("tracking")
TINY = TrackingConfig(
    model=ModelConfig(hidden=8, layers=2, steps=2),
    data=DataConfig(hits=(512, 1024), edges=(1024, 4096)),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("hits")
    write_hits(out, 6, 1, lambda n: None, particles=30)
    return out


@pytest.fixture(scope="module")
def source(folder):
    return data.open_events(TINY, [folder])


@pytest.fixture(scope="module")
def state():
    return jax.jit(lambda: objective.init(TINY, jax.random.key(0)))()


def batch_of(source, rows, bucket=None):
    raw = source[rows] if bucket is None else source.padded(rows, bucket)
    return objective.prepare(TINY, WORKLOAD.spec(TINY, source), raw)


logits = jax.jit(partial(objective.found, TINY))


def test_padding_changes_nothing(source, state):
    rows = np.array([1])
    first, second = (batch_of(source, rows, k) for k in (0, 1))
    a, b = (np.asarray(logits(state.params, x)) for x in (first, second))
    n = int(source[rows]["edges"][0])
    np.testing.assert_allclose(a[0, :n], b[0, :n], atol=1e-5)
    assert not first["edge"][0, n:].any()


def test_events_of_a_batch_do_not_touch(source, state):
    together = np.asarray(logits(state.params, batch_of(source, np.arange(3))))
    for k in range(3):
        alone = logits(state.params, batch_of(source, np.array([k]), 0))
        n = int(source[np.array([k])]["edges"][0])
        np.testing.assert_allclose(together[k, :n], np.asarray(alone)[0, :n], atol=1e-5)


def test_the_gradient_is_the_numerical_one(source, state):
    batch = batch_of(source, np.arange(2))

    def loss(params):
        return objective.losses(TINY, params, batch, jax.random.key(0))[0].sum() / 100

    gradient = jax.jit(jax.grad(loss))(state.params)
    direction = jax.tree.map(
        lambda p: np.random.default_rng(p.size).normal(size=p.shape).astype(np.float32),
        state.params,
    )
    slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), gradient, direction)))
    step = 1e-3

    def moved(sign):
        params = jax.tree.map(lambda p, d: p + sign * step * d, state.params, direction)
        return float(jax.jit(loss)(params))

    low, high = moved(-1), moved(1)
    assert float(slope) == pytest.approx((high - low) / (2 * step), rel=0.02)


def test_soft_particles_count_neither_way(source):
    batch = batch_of(source, np.arange(3))
    weight = np.asarray(objective.weights(TINY, batch))
    soft = np.asarray(batch["true"] & ~batch["signal"])
    assert soft.any()
    assert (weight[soft] == 0).all()
    assert (weight[np.asarray(~batch["edge"])] == 0).all()


def test_two_events_are_learnt(source):
    cfg = replace(TINY, objective=replace(TINY.objective, min_pt=0.0))
    cfg = replace(cfg, optimizer=replace(cfg.optimizer, learning_rate=1e-2))
    known = data.GraphSource(cfg, source.files[:2])
    batch = objective.prepare(cfg, WORKLOAD.spec(cfg, known), known[np.arange(2)])
    state = jax.jit(lambda: objective.init(cfg, jax.random.key(1)))()
    clock = Clock(jnp.float32(0), jnp.int32(0))
    step = jax.jit(lambda s: objective.train_step(cfg, s, batch, jax.random.key(0), clock))
    losses = []
    for _ in range(60):
        state, metrics = step(state)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.4 * losses[0]


def test_a_graph_larger_than_the_largest_bucket(folder):
    cfg = replace(TINY, data=replace(TINY.data, hits=(64,), edges=(64,)))
    with pytest.raises(InputError, match=r"expected fewer than 64 hits .*; add a size, or narrow"):
        data.open_events(cfg, [folder])


def test_events_without_truth_do_not_train(folder, tmp_path):
    (tmp_path / "event000000001-hits.csv.gz").write_bytes(
        (folder / "event000000001-hits.csv.gz").read_bytes()
    )
    cfg = replace(TINY, data=replace(TINY.data, files=(str(tmp_path),)))
    with pytest.raises(InputError, match=r"expected the tables truth and particles .*no truth"):
        data.sources(cfg)


def test_from_simulation_to_the_report(tmp_path, capsys):
    hits, run = tmp_path / "hits", tmp_path / "run"
    words = ["--events", "8", "--particles", "40", "--out", str(hits), "--quiet"]
    assert main(["simulate", "hits", *words]) == 0
    assert main(["simulate", "hits", *words]) == 0  # they are there
    assert main(["inspect", str(hits), "--plot", str(tmp_path / "hits.png"), "--json"]) == 0
    small = ["model.hidden=8", "model.steps=2", "data.hits=[2048]", "data.edges=[4096]",
             "train.epochs=2", "data.validation_fraction=0.25"]  # fmt: skip
    command = ["train", "tracking/demo", f"data.files=[{hits}]", *small, "--run", str(run)]
    assert main([*command, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json", "--quiet"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert 0 <= scores["edge_efficiency"] <= scores["edge_efficiency_in_graph"] <= 1
    assert scores["events"] == 2
    out = tmp_path / "tracks.parquet"
    assert main(["predict", str(run), "--data", str(hits), "--out", str(out), "--quiet"]) == 0
    rows = pq.read_table(out).to_pydict()
    assert set(rows) == {"event", "hit", "x", "y", "z", "track"}
    assert len(set(rows["event"])) == 8
