"""Fake quantisation: the grids, the gradients, the ranges, and what training with it is for."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hepjax.nn import int8
from hepjax.nn.convolution import Conv, Conv3D
from hepjax.nn.dense import Dense, dense
from hepjax.ops import int8 as grid


def test_known_steps():
    low, high = jnp.float32(-1), jnp.float32(3)
    size = 4 / 255
    x = jnp.float32([-1.5, -1, 0, 0.4 * size, 0.6 * size, 3, 9])
    whole = grid.eight_bit_steps(x, low, high)
    np.testing.assert_array_equal(whole, [-64, -64, 0, 0, 1, 191, 191])
    assert grid.step(low, high) == pytest.approx(size)
    zero = jnp.float32(0)
    np.testing.assert_array_equal(grid.eight_bit_steps(x, zero, zero), x)  # no range seen yet
    assert grid.step(zero, zero) == 1


def test_known_weights():
    kernel = jnp.float32([[[1.0, 0.0], [-2.0, 0.0]], [[0.02, 0.0], [0.5, 0.0]]])
    whole, scale = grid.whole_weights(kernel)
    np.testing.assert_array_equal(whole[..., 0], [[64, -127], [1, 32]])
    np.testing.assert_array_equal(whole[..., 1], 0)
    assert scale[0] == pytest.approx(2 / 127)


def test_the_gradient_is_that_of_the_rounded_product_and_0_beyond_the_range():
    rng = np.random.default_rng(0)
    x, kernel, g = (rng.normal(size=s).astype(np.float32) for s in ((5, 3), (3, 2), (5, 2)))
    layer = Dense(2, quantise="int8")
    stats = {"inputs_0_low": jnp.float32(-1), "inputs_0_high": jnp.float32(1)}

    def total(x, kernel):
        params = {"kernel": kernel, "bias": jnp.zeros(2)}
        return (g * layer.apply({"params": params, int8.STATE: stats}, x)).sum()

    of_x, of_kernel = jax.grad(total, (0, 1))(x, kernel)
    whole, scale = grid.whole_weights(kernel)
    steps = grid.eight_bit_steps(x, jnp.float32(-1), jnp.float32(1)) * (2 / 255)
    inside = np.abs(x) < 1
    assert 0 < inside.sum() < inside.size
    np.testing.assert_allclose(of_x, inside * (g @ (whole * scale).T), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_kernel, steps.T @ g, rtol=1e-5, atol=1e-6)


def test_ranges_follow_the_training_and_stay_behind_it():
    layer, key = Dense(1, quantise="int8"), jax.random.key(0)
    variables = layer.init(key, jnp.zeros((1, 2)))
    assert all(end == 0 for end in variables[int8.STATE].values())
    first = jnp.float32([[0, 4], [1, 2]])
    for x, high in ((first, 4.0), (2 * first, 0.99 * 4 + 0.01 * 8)):
        _, changed = layer.apply(variables, x, mutable=[int8.STATE])
        variables = variables | changed
        assert changed[int8.STATE]["inputs_0_low"] == 0
        assert changed[int8.STATE]["inputs_0_high"] == pytest.approx(high)
    y = layer.apply(variables, first)  # nothing may change here, and nothing is asked to
    assert y.shape == (2, 1)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv(3, 3, quantise="int8"), (2, 5, 6, 2)),
        (Conv3D(3, (3, 3, 3), ((1, 1),) * 3, (2, 2, 2), quantise="int8"), (2, 3, 3, 2, 2)),
    ],
)
def test_a_layer_in_8_bits_is_close_to_the_float_one_with_its_parameters(layer, shape):
    x = jax.random.normal(jax.random.key(1), shape)
    variables = layer.init(jax.random.key(0), x)
    y, _ = layer.apply(variables, x, mutable=[int8.STATE])
    expected = layer.clone(quantise="").apply({"params": variables["params"]}, x)
    difference = jnp.linalg.norm(y - expected) / jnp.linalg.norm(expected)
    assert 0 < difference < 0.02


def test_the_two_dense_layers_have_the_same_parameters():
    x = jnp.ones((1, 3))
    trees = [
        jax.tree.map(jnp.shape, dense(2, nn.initializers.ones, kind).init(jax.random.key(0), x))
        for kind in ("", "int8")
    ]
    assert trees[0]["params"] == trees[1]["params"]


def test_int8_after_training_loses_and_training_in_int8_recovers():
    """Planted: 64 weights of 1.1 to 1.5 steps round to 1 step, all down; rounding some of them up
    gives the sum back."""
    steps = np.concatenate([[127.0], np.linspace(1.1, 1.49, 64)])
    params = {"kernel": jnp.float32(steps / 127)[:, None], "bias": jnp.zeros(1)}
    x = jax.random.uniform(jax.random.key(0), (256, 2))
    x = jnp.concatenate([x[:, :1], jnp.repeat(x[:, 1:], 64, axis=1)], axis=1)
    layer, optimizer = Dense(1, quantise="int8"), optax.adam(2e-5)
    wanted = Dense(1).apply({"params": params}, x)
    _, stats = layer.apply({"params": params}, x, mutable=[int8.STATE])  # calibration

    def error(params, stats):
        return jnp.mean((layer.apply({"params": params} | stats, x) - wanted) ** 2) ** 0.5

    @jax.jit
    def trained(params, stats):
        def loss(params, stats):
            y, stats = layer.apply({"params": params} | stats, x, mutable=[int8.STATE])
            return jnp.mean((y - wanted) ** 2), stats

        def update(carry, _):
            params, stats, moments = carry
            gradient, stats = jax.grad(loss, has_aux=True)(params, stats)
            moved, moments = optimizer.update(gradient, moments)
            return (optax.apply_updates(params, moved), stats, moments), None

        first = params, stats, optimizer.init(params)
        return jax.lax.scan(update, first, length=200)[0][:2]

    after_training, in_training = error(params, stats), error(*trained(params, stats))
    assert after_training > 0.05
    assert in_training < 0.1 * after_training
