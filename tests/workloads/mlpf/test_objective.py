"""Losses, weights, update and schedule of MLPF: the published formulas, masks, learning."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.mlpf import CONCAT, MODELS, SPARSE, config, raw_events
from helpers.models import initial

from hepjax.engine import optimizers
from hepjax.engine.config import TrainConfig
from hepjax.engine.settings import find_config, read_settings
from hepjax.engine.workload import Clock, Spec
from hepjax.workloads.mlpf import objective
from hepjax.workloads.mlpf.config import ObjectiveConfig, published_optimizer
from hepjax.workloads.table import configure

OUTPUTS = {
    "logits": jnp.array([[[0.0, 2, 0, 0, 0, 0], [1.0, 0, 0, 0, 0, 0], [0.0] * 6]]),
    "charge": jnp.array([[0.5, 9.0, 0.0]]), "pt": jnp.array([[3.0, 9.0, 0.0]]),
    "eta": jnp.array([[1.05, 9.0, 0.0]]), "sin_phi": jnp.array([[0.0, 9.0, 0.0]]),
    "cos_phi": jnp.array([[1.3, 9.0, 0.0]]), "energy": jnp.array([[10.5, 9.0, 0.0]]),
}  # fmt: skip
# A charged hadron, an element without a particle, and padding.
BATCH = {
    "ygen": jnp.array([[[1.0, 1, 1, 1, 0, 1, 10], [0.0] * 7, [0.0] * 7]]),
    "elements": jnp.array([[True, True, False]]),
}


def means(cfg):
    sums = jax.jit(partial(objective.loss_sums, cfg))(OUTPUTS, BATCH, jnp.ones(1))
    return {name: float(value / count) for name, (value, count) in sums.items()}


def test_each_loss_is_the_mean_over_the_elements_that_count():
    found = means(config(CONCAT))
    first, second = np.log(np.exp(2) + 5) - 2, np.log(np.e + 5) - 1
    np.testing.assert_allclose(found.pop("class"), (first + second) / 2, rtol=1e-6)
    # Only the charged hadron counts; Huber is linear beyond 1 GeV and beyond 0.1.
    wanted = {
        "charge": 0.25, "pt": 1.5, "eta": 0.00125, "sin_phi": 0.0,
        "cos_phi": 0.1 * (0.3 - 0.05), "energy": 0.125,
    }  # fmt: skip
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-7)


def test_published_losses_are_divided_by_all_slots():
    found = means(config(replace(CONCAT, published_slips=True)))
    exact = means(config(CONCAT))
    np.testing.assert_allclose(found["class"], exact["class"] * 2 / 3, rtol=1e-5)
    np.testing.assert_allclose(found["pt"], exact["pt"] / 3, rtol=1e-5)


def test_published_sparse_model_counts_padding():
    mse = ObjectiveConfig(regression="mse")
    cfg = config(replace(SPARSE, published_slips=True), objective=mse)
    np.testing.assert_allclose(means(cfg)["pt"], (4 + 81 + 0) / 3, rtol=1e-6)


def test_events_that_only_fill_a_batch_count_nothing():
    twice = {k: jnp.concatenate([v, v]) for k, v in BATCH.items()}
    outputs = {k: jnp.concatenate([v, 7 * v]) for k, v in OUTPUTS.items()}
    sums = jax.jit(partial(objective.loss_sums, config(CONCAT)))
    once, found = sums(OUTPUTS, BATCH, jnp.ones(1)), sums(outputs, twice, jnp.array([1.0, 0.0]))
    assert jax.tree.all(jax.tree.map(np.allclose, found, once))


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("benchmark", {"class": 1, "charge": 1, "pt": 100, "energy": 100, "eta": 100}),
        ("additive", {"class": 1, "charge": 1, "pt": 1, "energy": 1, "eta": 1}),
        ("sparse", {"class": 1, "charge": 1e-3, "pt": 1, "energy": 1e-3, "eta": 1}),
    ],
)
def test_published_weights(name, weights):
    _, cfg = configure(read_settings(find_config(f"mlpf/{name}"), []))
    for term, weight in weights.items():
        np.testing.assert_allclose(objective.total_loss(cfg, {term: 1.0}), weight)


def test_learning_rate_falls_in_steps_and_may_grow_with_the_batch():
    cfg = config(CONCAT, optimizer=published_optimizer())
    rate = partial(optimizers.learning_rate, cfg.optimizer, cfg.train, jnp.float32(0))
    rates = [float(rate(jnp.int32(k))) for k in (0, 9_999, 10_000, 25_000)]
    np.testing.assert_allclose(rates, [1e-4, 1e-4, 0.99e-4, 0.99**2 * 1e-4], rtol=1e-5)
    _, cfg = configure(read_settings(find_config("mlpf/sparse"), ["train.batch_size=25"]))
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, jnp.float32(0), jnp.int32(0))
    np.testing.assert_allclose(rate, 2.5e-5, rtol=1e-5)


def batch_of(cfg):
    raw = {k: jnp.asarray(v) for k, v in raw_events([14, 11], 16).items()}
    return objective.prepare(cfg, Spec(), raw)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "concat")) for n in MODELS]
)
def test_gradient_is_the_slope_of_the_loss(name):
    cfg = config(replace(MODELS[name], inputs="log"), objective=ObjectiveConfig(regression="mse"))
    state, batch = initial(objective, cfg), batch_of(cfg)

    @jax.jit
    @jax.value_and_grad
    def both(params):
        outputs = objective.apply(cfg, params, state.codebooks, batch)
        sums = objective.loss_sums(cfg, outputs, batch, jnp.ones(2))
        return objective.total_loss(cfg, {k: value / n for k, (value, n) in sums.items()})

    _, gradient = jax.device_get(both(state.params))
    norm = np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(gradient)))
    # Against the gradient itself: the slope there is its length. Energies do pass their gradient on
    # but not through the choice of a class, so a step must not change the choice. It changes the
    # loss by 0.02 in 400, of which float32 rounds away a part in a thousand.
    step, params = 1e-2 / norm, jax.device_get(state.params)

    def moved(sign):
        near = jax.tree.map(lambda p, g: p + sign * step * g / norm, params, gradient)
        return float(both(near)[0])

    slope = (moved(1) - moved(-1)) / (2 * step)
    if name == "sparse":
        np.testing.assert_allclose(slope, norm, rtol=0.01)
    else:  # the logits enter the other heads without a gradient, as published
        assert slope > 0.3 * norm


@pytest.mark.parametrize(("name", "precision"), [
    ("concat", "float32"), pytest.param("additive", "bfloat16", marks=pytest.mark.slow),
    ("sparse", "float32"),
])  # fmt: skip
def test_two_events_are_learnt(name, precision):
    cfg = config(
        replace(MODELS[name], inputs="log", width=16),
        train=TrainConfig(batch_size=2, precision=precision),
        optimizer=replace(published_optimizer(), learning_rate=1e-2),
    )
    state, batch = initial(objective, cfg), batch_of(cfg)
    step = jax.jit(partial(objective.train_step, cfg))
    losses = []
    for k in range(120):
        state, metrics = step(state, batch, jax.random.key(k), Clock(jnp.float32(0), jnp.int32(k)))
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.1 * losses[0]


def test_dropout_depends_on_the_key_and_is_off_in_evaluation():
    cfg = config(replace(SPARSE, dropout=0.5))
    state, batch = initial(objective, cfg), batch_of(cfg)
    trained = jax.jit(
        lambda key: objective.apply_in_training(cfg, state, state.params, batch, key)[0]["pt"]
    )
    a, b, again = (trained(jax.random.key(k)) for k in (1, 2, 1))
    np.testing.assert_array_equal(a, again)
    assert np.abs(a - b).max() > 1e-3
    judged = jax.jit(partial(objective.apply, cfg))(state.params, state.codebooks, batch)["pt"]
    without = replace(cfg, model=replace(cfg.model, dropout=0.0))
    plain = jax.jit(partial(objective.apply, without))(state.params, state.codebooks, batch)["pt"]
    np.testing.assert_array_equal(judged, plain)
