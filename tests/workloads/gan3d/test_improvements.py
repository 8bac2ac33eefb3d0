"""What may be added to the published update: gradient penalties, a second rate, the response."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.gan3d import TINY_ANGLE, raw_showers

from hepjax.engine import optimizers
from hepjax.engine.workload import Clock, Spec
from hepjax.workloads.gan3d import objective
from hepjax.workloads.gan3d.layers import Layer
from hepjax.workloads.gan3d.response import energy_distance, response_loss

SHAPE = (11, 11, 6)


def with_discriminator(*layers, **objective_settings):
    """A configuration without noise in its discriminator."""
    return replace(
        TINY_ANGLE, model=replace(TINY_ANGLE.model, discriminator=layers, dropout=0.0),
        objective=replace(TINY_ANGLE.objective, **objective_settings),
    )  # fmt: skip


def batch_of(cfg, n=4):
    raw = {k: jnp.asarray(v) for k, v in raw_showers(n, shape=SHAPE).items()}
    return jax.jit(partial(objective.prepare, cfg, Spec()))(raw)


def variables_of(cfg, batch):
    """Of the discriminator before the first update."""
    init = partial(objective.networks(cfg)[1].init, train=False)
    return jax.jit(init)(jax.random.key(1), batch["shower"])


def penalty_of(cfg, variables, batch, gamma, params):
    events = (batch["shower"], jnp.ones(len(batch["shower"])), objective.truth_of(batch))
    stats = variables.get("batch_stats", {})
    value, (_, terms) = objective.discriminator_loss(
        cfg, stats, gamma, params, events, jax.random.key(0)
    )
    return value, terms


def test_the_penalty_of_a_linear_discriminator_is_its_squared_weights():
    cfg = with_discriminator(Layer(dense=(3,)))
    batch = batch_of(cfg)
    variables = variables_of(cfg, batch)
    params = variables["params"]
    weights = params["Dense_0"]["kernel"] @ params["generation"]["kernel"]
    judged = jax.jit(partial(penalty_of, cfg), static_argnums=2)
    value, terms = judged(variables, batch, 3.0, params)
    expected = float((weights**2).sum())
    assert float(terms["penalty"]) == pytest.approx(expected, rel=1e-5)
    plain, without = judged(variables, batch, 0.0, params)
    assert "penalty" not in without
    assert float(value - plain) == pytest.approx(1.5 * expected, rel=1e-3)


def test_the_gradient_of_the_penalty_is_the_numerical_one():
    """Through convolutions and batch norm twice. Layers are smooth: at the edge of LeakyReLU the
    penalty jumps, which no gradient sees."""
    cfg = with_discriminator(
        Layer(filters=3, kernel=(3, 3, 3), pool=(2, 2, 2)),
        Layer(filters=3, kernel=(3, 3, 3), norm=True),
    )
    batch = batch_of(cfg)
    variables = variables_of(cfg, batch)
    params = variables["params"]

    def penalty(params):
        return penalty_of(cfg, variables, batch, 1.0, params)[1]["penalty"]

    gradient = jax.jit(jax.grad(penalty))(params)
    norm = float(optax.tree.norm(gradient))
    for name in ("Conv3D_0", "Conv3D_1", "generation"):
        assert float(jnp.abs(gradient[name]["kernel"]).max()) > 1e-3 * norm
    direction = jax.tree.map(lambda g: g / norm, gradient)

    @jax.jit
    def along(t):
        return penalty(jax.tree.map(lambda p, d: p + t * d, params, direction))

    h = 1e-2
    assert float((along(h) - along(-h)) / (2 * h)) == pytest.approx(norm, rel=0.01)


def test_the_energy_distance_is_that_of_its_formula():
    one, other = jnp.zeros(3), jnp.ones(5)
    assert float(energy_distance(one, other)) == 2.0
    x, y = jnp.array([0.0, 1.0]), jnp.array([0.0, 4.0])
    # Pairs across: 0, 4, 1, 3; within: 1 and 4.
    assert float(energy_distance(x, y)) == pytest.approx(2 * 8 / 4 - 1 - 4)


def test_the_energy_distance_is_unbiased_and_sees_a_spread():
    """Small batches of one distribution have distance 0 on average; a narrower one, of the same
    median, has not. That of normal numbers of spread 1 and 0 is (2 - sqrt(2)) sqrt(2/pi)."""
    keys = jax.random.split(jax.random.key(0), 4000)

    def pair(key, spread):
        one, other = jax.random.normal(key, (2, 6))
        return energy_distance(spread * one, other)

    for spread, expected in ((1.0, 0.0), (0.0, (2 - np.sqrt(2)) * np.sqrt(2 / np.pi))):
        found = np.asarray(jax.vmap(partial(pair, spread=spread))(keys))
        assert found.mean() == pytest.approx(expected, abs=4 * found.std() / np.sqrt(4000))


def test_the_response_has_the_numerical_gradient():
    real = jnp.array([0.018, 0.020, 0.021, 0.022])
    made = jnp.array([0.015, 0.0195, 0.019, 0.024])
    gradient = jax.jit(jax.grad(response_loss))(made, real)
    h = 1e-4
    for k in range(4):
        step = jnp.zeros(4).at[k].set(h)
        slope = (response_loss(made + step, real) - response_loss(made - step, real)) / (2 * h)
        assert float(gradient[k]) == pytest.approx(float(slope), rel=0.02, abs=2.0)
    assert float(response_loss(made[:1], real[:1])) == 0.0
    empty = jax.grad(response_loss)(jnp.zeros(4), real)
    assert np.isfinite(empty).all()


def test_the_rate_of_the_discriminator_is_its_own():
    moved = {}
    for ratio in (1.0, 0.25):
        cfg = with_discriminator(Layer(dense=(2,)), discriminator_rate=ratio)
        batch = batch_of(cfg)
        params = variables_of(cfg, batch)["params"]
        network = objective.Network(params, {}, optimizers.init(cfg.optimizer, params))

        @jax.jit
        def update(network, batch, cfg=cfg):
            return objective.train_discriminator(
                cfg, network, batch["shower"], 1.0, objective.truth_of(batch), jnp.float32(1e-3),
                jax.random.key(1),
            )  # fmt: skip

        after, _ = update(network, batch)
        before = params["generation"]["kernel"]
        moved[ratio] = np.asarray(after.params["generation"]["kernel"] - before)
    np.testing.assert_allclose(moved[0.25], 0.25 * moved[1.0], rtol=1e-3)


def test_all_of_them_make_an_update():
    """In parts too; what is evaluated is the average of the generator."""
    cfg = with_discriminator(
        Layer(dense=(3,), activation="leaky"),
        penalty_real=0.1, penalty_fake=0.1, weight_response=0.1,
    )  # fmt: skip
    cfg = replace(
        cfg, optimizer=replace(cfg.optimizer, average=0.5), train=replace(cfg.train, accumulate=2)
    )
    batch = batch_of(cfg, 8)
    state = jax.jit(partial(objective.init, cfg))(jax.random.key(0))
    step = jax.jit(partial(objective.train_step, cfg))
    after, metrics = step(state, batch, jax.random.key(3), Clock(jnp.float32(0), jnp.int32(0)))
    assert {"real_penalty", "fake_penalty", "gen_response"} <= set(metrics)
    assert all(np.isfinite(v) for v in metrics.values())
    assert float(metrics["real_penalty"]) > 0
    taken = objective.frozen(cfg, after.generator)["params"]["Conv3D_0"]["kernel"]
    last, first = (s.generator.params["Conv3D_0"]["kernel"] for s in (after, state))
    # Two updates of the generator: a quarter of the first, a quarter and a half of the others.
    assert np.abs(taken - last).max() > 0
    assert np.abs(taken - first).max() < np.abs(last - first).max()
