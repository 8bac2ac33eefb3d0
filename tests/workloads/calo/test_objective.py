"""The update: statistics first, then likelihood, then the critic."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import calo

from hepjax.engine.workload import Clock, Spec
from hepjax.workloads.calo import geometry, layers, objective
from hepjax.workloads.calo.model import Margins, Mixing, inner_of, value_of


def batch_of(cfg, n=16, seed=0):
    raw = {k: jnp.asarray(v) for k, v in calo.showers(cfg.calorimeter, n, seed).items()}
    return objective.prepare(cfg, Spec(), raw)


def updates(cfg, count, n=16):
    state = jax.jit(lambda key: objective.init(cfg, key))(jax.random.key(0))
    step = jax.jit(lambda s, b, k, c: objective.train_step(cfg, s, b, k, c))
    for k in range(count):
        clock = Clock(jnp.float32(k), jnp.int32(k))
        state, metrics = step(state, batch_of(cfg, n, k), jax.random.key(k), clock)
        yield state, {name: float(value) for name, value in metrics.items()}


@pytest.mark.slow
def test_first_updates_gather_statistics_and_train_nothing():
    cfg = calo.tiny(moments=0)
    start = jax.jit(lambda key: objective.init(cfg, key))(jax.random.key(0))
    states = [state for state, _ in updates(cfg, 4)]
    for a, b in zip(jax.tree.leaves(states[1].params), jax.tree.leaves(start.params), strict=True):
        np.testing.assert_array_equal(a, b)
    raw = [batch_of(cfg, 16, k) for k in range(2)]
    # By layer: the cells of a batch are turned.
    hit = np.concatenate([b["shower"] > 0 for b in raw]).mean((0, 1, 2))
    np.testing.assert_allclose(states[1].stats["hit"].mean(1), hit, rtol=1e-4)
    for a, b in zip(
        jax.tree.leaves(states[3].stats), jax.tree.leaves(states[1].stats), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), states[3].params, start.params)
    assert changed["layers"]
    assert any(jax.tree.leaves(changed["margins"]))


def test_an_empty_cell_is_the_probability_below_the_threshold():
    margins = Margins(*(jnp.zeros((1, 1, 1)) for _ in range(5)))
    loss = objective.margin_loss(margins, jnp.zeros((1, 1, 1)), jnp.zeros((1, 1, 1), bool))
    assert float(loss[0, 0, 0]) == pytest.approx(np.log(2), rel=1e-5)


def test_numbers_of_right_margins_are_standard_normal_with_empty_cells_too():
    shape = (20_000, 1, 1)
    margins = Margins(*(jnp.broadcast_to(v, shape) for v in (0.4, 0.3, 0.2, 0.2, 0.1)))
    drawn = jax.random.normal(jax.random.key(0), shape)
    value = value_of(margins, inner_of(margins.edge, drawn))
    normal = objective.normal_numbers(margins, value, drawn > 0.4, jax.random.key(1))
    np.testing.assert_allclose(normal[drawn > 0.4], drawn[drawn > 0.4], atol=2e-3)
    assert float(normal.mean()) == pytest.approx(0, abs=0.03)
    assert float(normal.std()) == pytest.approx(1, abs=0.03)


def test_stage_1_alone_leaves_the_other_as_it_is():
    cfg = calo.tiny()
    batch = batch_of(cfg)
    cells = geometry.to_layers(calo.BOX, batch["shower"])
    state = jax.jit(lambda key: objective.init(cfg, key))(jax.random.key(0))

    @jax.jit
    def slope(params):
        def loss(params):
            found = objective.losses(
                cfg, params, state.stats, cells, batch["energy"], jax.random.key(1), 0
            )
            return objective.total_loss(cfg, {name: part.mean() for name, part in found.items()})

        return jax.grad(loss)(params)

    found = slope(state.params)
    cells = [found[name] for name in ("margins", "copula", "window")]
    assert all(not np.any(g) for g in jax.tree.leaves(cells))
    assert any(np.any(g) for g in jax.tree.leaves(found["layers"]))


def test_mixing_is_at_its_least_where_correlations_agree():
    cfg = calo.tiny()
    module = Mixing(calo.BOX)
    noise = jax.random.normal(jax.random.key(0), (4000, 3, 25))
    params = jax.jit(module.init)(jax.random.key(1), noise)["params"]
    truth = jax.tree.map(lambda p: p + 0.2, params)
    # Away from the edges, where the sum is over fewer neighbours.
    inner = jnp.zeros((3, 25)).at[:, [6, 7, 8, 11, 12, 13, 16, 17, 18]].set(1.0)
    mixed = jax.jit(module.apply)({"params": truth}, noise)
    weight = jnp.broadcast_to(inner, mixed.shape)

    @jax.jit
    def loss(params):
        return objective.mixing_loss(cfg, {"copula": params}, mixed, weight)

    assert loss(truth) < 1e-3 < loss(params)


@pytest.mark.slow
@pytest.mark.parametrize("copula", ["mix", "flow"])
def test_likelihood_falls(copula):
    cfg = calo.tiny(calo.RAGGED, copula, bins=4)
    # Correlations of 15 components need more than a few showers.
    cfg = dataclasses.replace(cfg, objective=dataclasses.replace(cfg.objective, statistics=8))
    history = [m for _, m in updates(cfg, 48, 64)]
    assert history[-1]["margins"] < history[8]["margins"]
    first, last = (np.mean([m["layers"] for m in part]) for part in (history[8:16], history[-8:]))
    assert last < first


@pytest.mark.slow
def test_the_critic_takes_over_stage_2_when_its_epoch_comes():
    cfg = calo.tiny(critic_from=3.0)
    states = [(state, m) for state, m in updates(cfg, 5)]
    start = jax.jit(lambda key: objective.init(cfg, key))(jax.random.key(0)).critic["params"]
    same = [
        all(np.array_equal(a, b) for a, b in zip(
            jax.tree.leaves(s.critic["params"]), jax.tree.leaves(start), strict=True))
        for s, _ in states
    ]  # fmt: skip
    assert same == [True, True, True, False, False]
    assert all(np.isfinite(m["critic_loss"]) for _, m in states)


def test_configuration_refuses_what_cannot_be(tmp_path):
    from hepjax import InputError
    from hepjax.formats.showers.calorimeters import calorimeter
    from hepjax.formats.showers.described import Described

    cfg = calo.tiny(copula="flow")
    large = dataclasses.replace(cfg.data, calorimeter=Described(calorimeter("clic-25")))
    with pytest.raises(InputError, match=r"model\.cells\.copula: expected mix with 15625 cells"):
        dataclasses.replace(cfg, data=large)
    tilted = dataclasses.replace(cfg.data, calorimeter=Described(calorimeter("clic-51")))
    with pytest.raises(InputError, match=r"data\.calorimeter: expected a calorimeter at normal"):
        dataclasses.replace(calo.tiny(), data=tilted)


def test_layers_of_a_batch_are_measured_above_the_threshold():
    cfg = calo.tiny()
    cells = np.full((1, 5, 5, 3), 2e-4, np.float32)
    cells[0, 0, 0, 0] = 5e-5
    batch = objective.prepare(cfg, Spec(), {"ecal": jnp.asarray(cells), "energy": jnp.ones(1)})
    found = layers.measured(calo.BOX, geometry.to_layers(calo.BOX, batch["shower"]), 3)
    np.testing.assert_array_equal(found.hits, [[24, 25, 25]])
