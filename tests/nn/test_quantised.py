"""Quantised layers: rounding, its two gradients, widths as a cost, pruning, and exact sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.trigger import integers, quantised

from hepjax.nn.quantised import (
    UNIT,
    Quantised,
    magnitude_bits,
    power_of_two,
    pruned,
    rounded,
    width,
)
from hepjax.ops.fixed_point import execute


def bits(f):
    """The parameter of f fraction bits."""
    return jnp.asarray(f, jnp.float32) / UNIT


def test_powers_of_two_and_widths_are_exact():
    k = jnp.arange(-126, 128)
    np.testing.assert_array_equal(
        np.asarray(power_of_two(k)), np.ldexp(np.float32(1), np.arange(-126, 128))
    )
    assert magnitude_bits(jnp.array([0, 1, -1, 2, 3, 4, 255, 256, 2**24 - 1])).tolist() == [
        0, 1, 1, 2, 2, 3, 8, 9, 24,
    ]  # fmt: skip


def test_rounding_is_half_to_even():
    x = jnp.array([0.125, 0.375, -0.125, 0.3, 5.0])
    assert rounded(x, bits(2.0)).tolist() == [0.0, 0.5, 0.0, 0.25, 5.0]
    assert rounded(jnp.array([3.0, 5.0]), bits(-2.0)).tolist() == [4.0, 4.0]
    assert rounded(jnp.array([0.3]), bits(1.6)).tolist() == [0.25]  # 1.6 bits are 2


def test_the_gradient_of_a_value_passes_straight_through():
    g = jax.grad(lambda x: (jnp.arange(1.0, 4.0) * rounded(x, bits(1.0))).sum())(jnp.ones(3) * 0.3)
    assert g.tolist() == [1.0, 2.0, 3.0]


def test_the_gradient_of_bits_is_that_of_the_error_that_halves_with_each():
    x = jnp.array([[0.3, 0.8], [0.3, -0.1]])

    def loss(f):
        return (jnp.array([[1.0, 2.0], [3.0, 4.0]]) * rounded(x, f)).sum()

    error = x - rounded(x, bits(1.0))
    slope = UNIT * np.log(2.0) * jnp.array([[1.0, 2.0], [3.0, 4.0]]) * error
    slope_of = jax.jit(jax.grad(loss))
    one = slope_of(bits(1.0))
    each = slope_of(jnp.full((2, 2), 1.0 / UNIT))
    column = slope_of(jnp.full((1, 2), 1.0 / UNIT))
    assert float(one) == pytest.approx(float(slope.sum()), rel=1e-6)
    np.testing.assert_allclose(each, slope, rtol=1e-6)
    np.testing.assert_allclose(column, slope.sum(0, keepdims=True), rtol=1e-6)


def test_the_slope_of_the_error_is_the_numerical_one_over_many_values():
    # |x - q| falls with the bits; over many values its mean is smooth, and halves with each bit.
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, 20000), jnp.float32)
    mean = [float(jnp.abs(x - rounded(x, bits(f))).mean()) for f in (3.0, 4.0, 5.0)]
    slope = float(jax.grad(lambda f: jnp.abs(x - rounded(x, f)).mean())(bits(4.0))) / UNIT
    assert slope == pytest.approx(-np.log(2) * mean[1], rel=1e-4)
    assert slope == pytest.approx((np.log(mean[2] / mean[0]) / 2) * mean[1], rel=0.02)


def test_a_bit_costs_one_where_the_number_is_not_zero():
    q = jnp.array([0.5, 0.0, -0.75])
    f = jnp.full(3, 2.0 / UNIT)
    assert width(q, f).tolist() == [2.0, 0.0, 2.0]
    assert (jax.grad(lambda f: width(q, f).sum())(f) / UNIT).tolist() == [1.0, 0.0, 1.0]


def test_pruning_takes_the_smallest_and_lets_them_come_back():
    w = jnp.array([[0.3, -0.1], [0.05, -2.0]])
    assert pruned(w, 0.5).tolist() == [[pytest.approx(0.3), 0.0], [0.0, -2.0]]
    assert pruned(w, 0.0).tolist() == w.tolist()
    assert not pruned(w, 1.0).any()
    assert jax.grad(lambda w: pruned(w, 0.5).sum())(w).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_activations_follow_the_training_and_saturate_after_it():
    layer = Quantised(2.0)
    variables = {"params": {"fraction": bits(2.0)}, "ranges": {"largest": jnp.float32(0.0)}}
    train = jax.jit(lambda x: layer.apply(variables, x, True, mutable=["ranges"]))
    seen, changed = train(jnp.array([[0.0, 2.3]]))
    assert seen.value.tolist() == [[0.0, 2.25]]
    apply = jax.jit(lambda layer, v, x: layer.apply(v, x, False), static_argnums=0)
    after = apply(layer, variables | changed, jnp.array([[0.6, 9.0], [0.1, 1.0]]))
    assert float(after.width) == 4  # 2.3 is 9 quarters
    assert after.value.tolist() == [[0.5, 3.75], [0.0, 1.0]]
    assert after.overflow.tolist() == [1, 0]
    signed = {"params": variables["params"]}
    out = apply(Quantised(2.0, 1), signed, jnp.array([[-5.0], [1.9], [-0.6]]))
    assert out.value.tolist() == [[-2.0], [1.75], [-0.5]]
    assert float(out.width) == 3


@pytest.fixture(scope="module")
def trained():
    return quantised()


def test_integers_give_the_same_sums_to_the_last_bit(trained):
    mlp, variables, x = trained
    sums, _, overflow = jax.jit(mlp.apply)(variables, x)
    fixed = integers(variables)
    again, beyond = execute(fixed, np.asarray(x))
    np.testing.assert_array_equal(np.asarray(sums, np.float64), again)
    assert int(overflow.sum()) == sum(beyond)
    assert sum(beyond) > 0  # else the comparison says little of saturation


def test_the_cost_counts_bits_of_inputs_times_bits_of_weights(trained):
    mlp, variables, x = trained
    _, cost, _ = jax.jit(mlp.apply)(variables, x)
    fixed = integers(variables)
    wanted = 0.0
    for number, grid in enumerate(fixed.grids()):
        layer = variables["params"][f"dense_{number}"]
        total = {}
        for name in ("kernel", "bias"):
            f = np.rint(np.asarray(layer[f"{name}_fraction"]) * UNIT)
            k = np.rint(np.asarray(layer[name], np.float64) * 2.0**f)
            total[name] = sum(int(abs(v)).bit_length() for v in k.reshape(-1))
        wanted += (grid.bits - grid.signed) * total["kernel"] + total["bias"]
    assert float(cost) == wanted
