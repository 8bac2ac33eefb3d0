"""Every workload in every layout and program gives what one device gives, from update to answer."""

import functools
from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers import gan3d, mlpf, tagger

from hepjax.engine import train as training
from hepjax.engine.config import MeshConfig
from hepjax.engine.inference import Placed, mesh_config, place
from hepjax.engine.input import to_mesh
from hepjax.engine.mesh import make_mesh, over_data, state_shardings
from hepjax.engine.step import compiled_step, init_state
from hepjax.engine.workload import Field, Model, Spec
from hepjax.workloads import table

MESHES = {
    "replicated": MeshConfig("replicated", devices=4),
    "fsdp": MeshConfig("fsdp", devices=4),
    "hybrid": MeshConfig("hybrid", devices=4, model_devices=2),
    "channel": MeshConfig("channel", devices=4, model_devices=2),
    "spatial": MeshConfig("spatial", devices=4, model_devices=2),
    "explicit": MeshConfig("replicated", devices=4, program="explicit"),
}
ONE = MeshConfig(devices=1)


class Events:
    """Arrays (n, ...) as a source in one block."""

    def __init__(self, arrays):
        self.arrays, self.blocks = arrays, np.array([0, len(next(iter(arrays.values())))])

    def __len__(self):
        return int(self.blocks[-1])

    def __getitem__(self, indices):
        return {name: a[indices] for name, a in self.arrays.items()}


def case(name):
    """The workload, a configuration without noise in its updates, 8 events, and their spec."""
    workload = table.get(name)
    if name == "gan3d":
        # Noise differs between the programs: an explicit one draws it on each device.
        model = replace(gan3d.TINY.model, dropout=0.0)
        objective = replace(gan3d.TINY.objective, label_flip=0.0, conditions="batch")
        cfg = replace(gan3d.TINY, model=model, objective=objective)
        raw = gan3d.raw_showers(8)
    elif name == "tagger":
        cfg, raw = tagger.TINY, tagger.raw_batch(8)
    else:
        # As many elements in each event: each device counts as much as any other.
        raw = mlpf.raw_events([16] * 8, 16)
        cfg = mlpf.config(mlpf.CONCAT, train=replace(gan3d.TINY.train, batch_size=8))
    fields = tuple(Field(k, v.shape[1:], str(v.dtype)) for k, v in raw.items())
    facts = (("coarsenings", (1, 1, 1, 5)),) if name == "tagger" else ()
    spec = Spec(fields, facts)
    return replace(workload, spec=lambda cfg, source: spec), cfg, raw, spec


def trained(workload, cfg, raw, spec):
    """The state after one update on the mesh of the configuration, on the host, and the metrics."""
    mesh = make_mesh(cfg.mesh, cfg.train.batch_size)
    begin = lambda: init_state(workload, cfg)  # noqa: E731
    shardings = state_shardings(cfg.mesh, mesh, jax.eval_shape(begin))
    with jax.set_mesh(mesh):
        state = jax.jit(begin, out_shardings=shardings)()
        step = compiled_step(workload, cfg, spec, 10, shardings, mesh)
        state, metrics = step(state, to_mesh(raw, over_data(mesh)), None)
        return jax.device_get((state, metrics))


def answered(workload, cfg, raw, state):
    """Validation metrics and answers of a state, in the layout of the configuration."""
    serving = replace(cfg, mesh=mesh_config(cfg.mesh, cfg.mesh.devices))
    mesh, abstract = place(serving, jax.eval_shape(lambda: state), cfg.mesh.devices)
    placed = jax.tree.map(lambda x, a: jax.device_put(x, a.sharding), state, abstract)
    model = Model(workload, serving, Placed(mesh, placed.model), seed=3)
    source = Events(raw)
    scores = training.validated(model, source)
    if workload.conditions is None:
        parts = [answer for _, answer in model.over(source, 3)]
    else:
        parts = list(model.given({"energy": raw["energy"]}, 3))
    return scores, {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}


QUICK = {"gan3d": ("spatial",), "tagger": ("fsdp",), "mlpf": ()}
CASES = [
    pytest.param(w, name, marks=[] if name in quick else pytest.mark.slow)
    for w, quick in QUICK.items()
    for name in MESHES
]


@functools.cache
def reference(name):
    """A case on one device: its parts, the state and metrics after an update, and the answers."""
    workload, cfg, raw, spec = case(name)
    cfg = replace(cfg, mesh=ONE)
    state, metrics = trained(workload, cfg, raw, spec)
    return workload, cfg, raw, spec, state, metrics, answered(workload, cfg, raw, state)


@pytest.mark.parametrize(("workload", "name"), CASES)
def test_equals_one_device(workload, name, monkeypatch):
    monkeypatch.setattr("hepjax.engine.mesh.MIN_SIZE", 2)  # also the tiny arrays are spread
    workload, cfg, raw, spec, state, metrics, (scores, answers) = reference(workload)
    cfg = replace(cfg, mesh=MESHES[name])
    found_state, found_metrics = trained(workload, cfg, raw, spec)
    noisy = workload.name == "gan3d" and name == "explicit"  # fakes of noise of each device's own
    for key, value in metrics.items():
        if (not noisy or key.startswith("real")) and key != "spread":  # a range within a device
            close(found_metrics[key], value, 1e-3, 1e-5)  # of several updates in turn
    if not noisy:
        expected = moments(state)
        largest = max(np.abs(b).max() for b in expected)
        for a, b in zip(moments(found_state), expected, strict=True):
            close(a, b, 1e-3, 1e-4 * largest)
    found_scores, found = answered(workload, cfg, raw, state)
    assert found_scores.keys() == scores.keys()
    for key, value in scores.items():
        close(found_scores[key], value, 2e-4, 1e-5)
    for key, value in answers.items():
        assert len(found[key]) == 8
        close(found[key], value, 1e-3, 1e-4)
        assert np.isfinite(found[key]).all()


def moments(state):
    """What the optimizer has seen of the gradients; the first step of Adam itself is their sign."""
    return [
        leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
        if any(getattr(key, "name", "") in ("mu", "nu") for key in path)
    ]


def close(found, expected, relative, absolute):
    np.testing.assert_allclose(found, expected, rtol=relative, atol=absolute)
