"""Edges of an event on several devices: the same update as on one, and one sum a round."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.scaling.collectives import collectives
from hepjax import InputError
from hepjax.engine.config import MeshConfig
from hepjax.engine.mesh import make_mesh, over_data, state_shardings
from hepjax.engine.step import compiled_step, init_state
from hepjax.engine.workload import Spec
from hepjax.workloads import table
from hepjax.workloads.tracking.config import DataConfig, ModelConfig, TrackingConfig
from hepjax.workloads.tracking.edges import ends, sums

WORKLOAD = table.get("tracking")
HITS, EDGES = 32, 64
TINY = TrackingConfig(
    model=ModelConfig(hidden=8, steps=3), data=DataConfig(hits=(HITS,), edges=(EDGES,))
)
TINY = replace(TINY, train=replace(TINY.train, batch_size=2))


def test_sums_and_ends_by_hand():
    hits = jnp.array([[[1.0], [2.0], [4.0]]])
    senders, receivers = jnp.array([[0, 0, 1]]), jnp.array([[1, 2, 2]])
    near = ends(False, hits, senders, receivers)
    assert near.tolist() == [[[1, 2], [1, 4], [2, 4]]]
    heard = sums(False, jnp.array([[[10.0], [20.0], [40.0]]]), senders, receivers, 3)
    assert heard.tolist() == [[[30, 0], [40, 10], [0, 60]]]


def graphs(n=2):
    """Random hits and edges, the last ones of each event padding."""
    rng = np.random.default_rng(3)
    true = rng.uniform(size=(n, EDGES)) < 0.3
    edges = rng.integers(0, HITS - 1, (2, n, EDGES)).astype(np.int32)
    edges[:, :, -5:] = HITS - 1
    return {
        "xyz": rng.normal(0, 300, (n, HITS, 3)).astype(np.float32),
        "surface": rng.integers(0, 48, (n, HITS)).astype(np.int32),
        "particle": np.zeros((n, HITS), np.int32), "place": np.zeros((n, HITS), np.int32),
        "counts": np.zeros((n, HITS), bool), "senders": edges[0], "receivers": edges[1],
        "true": true, "signal": true,
        "hits": np.full(n, HITS - 1, np.int32), "edges": np.full(n, EDGES - 5, np.int32),
        "missed": np.zeros(n, np.int32), "event": np.arange(n, dtype=np.int32),
    }  # fmt: skip


def updated(cfg):
    """The state and metrics after one update, and the collectives of its program."""
    mesh = make_mesh(cfg.mesh, cfg.train.batch_size)
    state = jax.jit(lambda: init_state(WORKLOAD, cfg))()
    shardings = state_shardings(cfg.mesh, mesh, state)
    with jax.set_mesh(mesh):
        state = jax.device_put(state, shardings)
        step = compiled_step(WORKLOAD, cfg, Spec(), 10, shardings, mesh)
        placed = jax.device_put(graphs(), over_data(mesh))
        program = step.lower(state, placed, None).compile()
        state, metrics = jax.device_get(program(state, placed, None))
    return state, metrics, collectives(program.as_text(), mesh.size)


def test_edges_on_many_devices_train_as_on_one():
    (one, first, _), (many, second, found) = (
        updated(replace(TINY, mesh=mesh))
        for mesh in (MeshConfig(devices=1), MeshConfig("spatial", devices=8, model_devices=4))
    )
    assert float(first["loss"]) == pytest.approx(float(second["loss"]), rel=1e-6)
    # Adam turns tiny differences of tiny gradients into steps; the moments have the gradients.
    for a, b in zip(*(jax.tree.leaves(s.model.optimizer) for s in (one, many)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)
    # A round has one sum over the devices of an event: of 2 x 8 features of its hits, and on the
    # way back of 8, with which the gradient of the round's network of edges goes.
    size = HITS * 8 * 4
    weights = jax.tree.leaves(one.model.params["steps"]["edges"])
    gradient = sum(w[0].size for w in weights) * 4
    inside = [c for c in found if c.times == TINY.model.steps and c.group == 4]
    assert {c.kind for c in found} == {"all-reduce"}
    assert [c.payload for c in inside] == [2 * size, size + gradient]


def test_edges_that_the_devices_do_not_divide():
    with pytest.raises(InputError, match=r"data.edges: expected multiples of mesh.model_devices"):
        replace(TINY, mesh=MeshConfig("spatial", devices=3, model_devices=3))
