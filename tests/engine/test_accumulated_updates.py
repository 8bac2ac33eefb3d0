"""``train.accumulate`` in the updates of the workloads: the same numbers, part by part."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import gan3d as tiny
from helpers import mlpf as mlpf_tiny
from helpers import tagger as tiny_tagger

from hepjax import InputError
from hepjax.engine.config import MeshConfig
from hepjax.engine.mesh import make_mesh, over_data, state_shardings
from hepjax.engine.step import compiled_step, init_state
from hepjax.engine.workload import Spec
from hepjax.workloads.gan3d import objective
from hepjax.workloads.mlpf.workload import WORKLOAD as MLPF
from hepjax.workloads.tagger.workload import WORKLOAD as TAGGER

JETS = tiny_tagger.raw_batch(16) | {"weight": np.linspace(0.1, 3, 16, dtype="f4")}
EVENTS = mlpf_tiny.raw_events([21, 30, 32, 9, 16, 32, 3, 25], 32)
CASES = {
    "tagger": (TAGGER, tiny_tagger.TINY, tiny_tagger.spec_of(tiny_tagger.GRID), JETS),
    "mlpf": (MLPF, mlpf_tiny.config(mlpf_tiny.CONCAT), Spec(), EVENTS),
    "mlpf as published": (
        MLPF,
        mlpf_tiny.config(replace(mlpf_tiny.CONCAT, published_slips=True)),
        Spec(),
        EVENTS,
    ),
}


def updated(name, parts, mesh):
    """Averages of the gradient after the first update of a new run, and its losses."""
    workload, cfg, spec, raw = CASES[name]
    events = len(next(iter(raw.values())))
    cfg = replace(cfg, mesh=mesh, train=replace(cfg.train, batch_size=events, accumulate=parts))
    devices = make_mesh(cfg.mesh, events, parts)
    with jax.set_mesh(devices):
        begin = partial(init_state, workload, cfg)
        shardings = state_shardings(cfg.mesh, devices, jax.eval_shape(begin))
        state = jax.jit(begin, out_shardings=shardings)()
        step = compiled_step(workload, cfg, spec, 10, shardings, devices)
        state, metrics = step(state, jax.device_put(raw, over_data(devices)), None)
    losses = {name: value for name, value in metrics.items() if "loss" in name}
    return jax.device_get((state.model.optimizer.mu, losses))


def same(found, wanted):
    # Some gradients are 0 but for rounding: the scale is that of the largest of all.
    scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(wanted))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6 * scale)


@pytest.mark.slow
def test_parts_of_weighted_jets_give_the_update_of_all():
    one = MeshConfig(devices=1)
    same(updated("tagger", 4, one), updated("tagger", 1, one))


def test_a_part_of_one_jet_has_no_range_of_scores():
    with pytest.raises(InputError, match=r"^train.accumulate: expected parts of two or more"):
        updated("tagger", 16, MeshConfig(devices=1))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("devices", "program", "parts"),
    [(1, "partitioned", 4), (4, "partitioned", 2), (4, "explicit", 2)],
)
def test_parts_give_the_update_of_all(name, devices, program, parts):
    mesh = MeshConfig(devices=devices, program=program)
    same(updated(name, parts, mesh), updated(name, 1, MeshConfig(devices=1)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layout"),
    [*(("tagger", layout) for layout in ("fsdp", "hybrid", "channel", "spatial")),
     ("mlpf", "fsdp"), ("mlpf", "spatial")],
)  # fmt: skip
def test_parts_give_the_update_of_all_in_every_layout(name, layout):
    mesh = MeshConfig(layout, devices=4, model_devices=1 if layout == "fsdp" else 2)
    same(updated(name, 2, mesh), updated(name, 1, MeshConfig(devices=1)))


@pytest.mark.slow
def test_a_discriminator_averages_gradients_and_statistics_over_parts():
    """Batch norm sees a part, so the update is compared with one written out part by part."""
    cfg = replace(
        tiny.TINY, model=replace(tiny.TINY.model, dropout=0.0),
        objective=replace(tiny.TINY.objective, label_flip=0.0),
        train=replace(tiny.TINY.train, accumulate=2),
    )  # fmt: skip
    key, module = jax.random.key(0), objective.networks(cfg)[1]
    network = jax.jit(partial(objective.init, cfg))(key).discriminator
    raw = {name: jnp.asarray(values) for name, values in tiny.raw_showers(8).items()}
    batch = objective.prepare(cfg, Spec(), raw)

    def loss(params, part):
        outputs, changed = module.apply(
            {"params": params, "batch_stats": network.stats}, part["shower"], train=True,
            rngs={"dropout": key}, mutable=["batch_stats"],
        )  # fmt: skip
        terms = objective.losses(outputs, objective.REAL, part["energy"], part["sum"])
        means = {name: term.mean() for name, term in terms.items()}
        return objective.total_loss(cfg, means), changed["batch_stats"]

    differentiate = jax.jit(jax.value_and_grad(loss, has_aux=True))
    parts = [
        differentiate(network.params, {name: values[first::2] for name, values in batch.items()})
        for first in (0, 1)
    ]
    (value, stats), gradient = jax.tree.map(lambda a, b: (a + b) / 2, *parts)
    found, metrics = jax.jit(
        lambda: objective.train_discriminator(
            cfg, network, batch["shower"], objective.REAL, batch["energy"], batch["sum"], 0.0, key
        )
    )()
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
    same(found.stats, stats)
    same(found.optimizer.nu, jax.tree.map(lambda g: 0.1 * g**2, gradient))
