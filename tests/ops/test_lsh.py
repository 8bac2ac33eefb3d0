"""Hashing into bins: codes, order, permutations, and the sum over neighbours with its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepjax.ops import lsh

KEYS = jax.random.split(jax.random.key(0), 4)


def test_code_is_the_nearest_of_the_directions_and_their_opposites():
    codebook = jnp.eye(3)
    z = jnp.array([[[2.0, 1, 0], [0, -3, 1], [0, 0, 0.1], [-1, 0, 0.5]]])
    assert lsh.hash_codes(z, codebook, 6).tolist() == [[0, 4, 2, 3]]
    # Four bins: two directions, the third column is not looked at.
    assert lsh.hash_codes(z, codebook, jnp.array([4])).tolist() == [[0, 4, 0, 3]]


def test_a_single_bin_still_has_a_direction():
    codes = lsh.hash_codes(jax.random.normal(KEYS[0], (1, 50, 3)), jnp.eye(3), 1)
    assert set(np.unique(codes)) == {0, 3}


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=12))
def test_sorting_is_stable_and_puts_masked_elements_last(elements):
    codes = jnp.array([[code for code, _ in elements]], jnp.int32)
    mask = jnp.array([[kept for _, kept in elements]])
    order, inverse = lsh.sort_by_code(codes, mask)
    wanted = sorted(
        range(len(elements)), key=lambda i: (not elements[i][1], elements[i][0] * elements[i][1], i)
    )
    assert order[0].tolist() == wanted
    assert order[0][inverse[0]].tolist() == list(range(len(elements)))


def test_binning_and_back_is_the_identity_with_its_gradient():
    x = jax.random.normal(KEYS[0], (2, 12, 3))
    order, inverse = lsh.sort_by_code(
        jax.random.randint(KEYS[1], (2, 12), 0, 4), jnp.ones((2, 12), bool)
    )

    def round_trip(x):
        return lsh.from_bins(jnp.sin(lsh.to_bins(x, order, inverse, 4)), order, inverse)

    np.testing.assert_array_equal(round_trip(x), jnp.sin(x))
    gradient = jax.grad(lambda x: (round_trip(x) * x).sum())(x)
    np.testing.assert_allclose(gradient, jnp.sin(x) + x * jnp.cos(x), rtol=1e-5, atol=1e-6)


def by_hand(z, x, scale):
    """D^-1/2 A D^-1/2 x of one bin without masks, in float64."""
    distance = np.sqrt(np.maximum(((z[:, None] - z[None]) ** 2).sum(-1), 1e-6))
    weights = np.exp(-scale * distance)
    norm = (weights.sum(1) + 1e-6) ** -0.5
    return norm[:, None] * (weights @ (norm[:, None] * x))


def test_propagation_is_the_formula_and_masked_elements_do_not_exist():
    z, x = (np.asarray(jax.random.normal(k, (1, 1, 6, 3))) for k in KEYS[:2])
    mask = np.array([[[True, False, True, True, False, True]]])
    found = np.asarray(lsh.propagate(z, x, mask, 0.3))
    kept = mask[0, 0]
    wanted = by_hand(z[0, 0][kept].astype(float), x[0, 0][kept].astype(float), 0.3)
    np.testing.assert_allclose(found[0, 0][kept], wanted, rtol=1e-5, atol=1e-6)
    assert not found[0, 0][~kept].any()


def test_propagation_keeps_a_constant_where_all_degrees_are_equal():
    z = jnp.zeros((1, 1, 8, 2))
    found = lsh.propagate(z, jnp.ones((1, 1, 8, 1)), jnp.ones((1, 1, 8), bool), 0.1)
    np.testing.assert_allclose(found, 1.0, rtol=1e-5)


def test_gradient_by_hand_is_that_of_autodiff():
    z, x, way = (jax.random.normal(k, (2, 2, 6, 3)) for k in KEYS[:3])
    mask = jax.random.uniform(KEYS[3], (2, 2, 6)) < 0.7

    def plain(z, x):
        weights = jnp.exp(-0.3 * jnp.sqrt(lsh.squared_distances(z, mask)))
        norm = lsh.normalisation(weights.sum(-1), mask)[..., None]
        return norm * (weights @ (norm * x))

    def gradients(f):
        slope = jax.jit(jax.grad(lambda z, x: (way * jnp.sin(f(z, x))).sum(), (0, 1)))
        return slope(z, x)

    ours = gradients(lambda z, x: lsh.propagate(z, x, mask, 0.3))
    for a, b in zip(ours, gradients(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        assert np.abs(a).max() > 1e-2


@pytest.mark.parametrize("spread", [0.0, 1e-4, 1e4])
def test_gradient_is_finite_for_elements_on_one_spot_and_far_away(spread):
    z = spread * jax.random.normal(KEYS[0], (1, 1, 6, 3))
    x, mask = jnp.ones((1, 1, 6, 2)), jnp.arange(6).reshape(1, 1, 6) < 5
    slope = jax.jit(jax.grad(lambda z: jnp.sin(lsh.propagate(z, x, mask, 1.0)).sum()))
    gradient = slope(z)
    assert np.isfinite(gradient).all()


def test_bfloat16_features_keep_float32_distances():
    z, x = (jax.random.normal(k, (1, 1, 16, 3)) for k in KEYS[:2])
    mask = jnp.ones((1, 1, 16), bool)
    exact = lsh.propagate(z, x, mask, 0.3)
    found = lsh.propagate(z, x.astype(jnp.bfloat16), mask, 0.3)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact, atol=0.02)
