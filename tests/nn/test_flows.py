"""Coupling flows and splines: inverse, log-determinant against automatic differentiation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax.nn.flows import BOUND, LARGEST_LOG_SCALE, CouplingFlow, log_normal
from hepjax.nn.splines import parameters, spline

SIZE, CONDITIONS = 5, 2


def untrained(bins: int, spread: float = 0.1):
    """A flow whose last layers are not 0 any more, so that it is far from the identity."""
    flow = CouplingFlow(SIZE, blocks=4, hidden=(16,), bins=bins)
    init = jax.jit(flow.init)
    params = init(jax.random.key(0), jnp.zeros((1, SIZE)), jnp.zeros((1, CONDITIONS)))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    moved = [p + spread * jax.random.normal(k, p.shape) for p, k in zip(leaves, keys, strict=True)]
    return flow, jax.tree.unflatten(tree, moved)


@pytest.mark.parametrize("bins", [0, 6])
def test_inverse_gives_back_what_went_in(bins):
    flow, params = untrained(bins)
    x = 2 * jax.random.normal(jax.random.key(2), (200, SIZE))
    condition = jax.random.normal(jax.random.key(3), (200, CONDITIONS))
    z, _ = jax.jit(flow.apply)(params, x, condition)
    assert np.abs(np.sort(z) - np.sort(x)).max() > 0.1
    back = jax.jit(partial(flow.apply, method="inverse"))(params, z, condition)
    error = np.abs(np.asarray(back - x))
    assert np.quantile(error, 0.99) < 1e-5
    assert error.max() < 1e-4  # where a spline is steep, rounding is magnified


@pytest.mark.parametrize("bins", [0, 6])
def test_log_determinant_is_that_of_the_jacobian(bins):
    flow, params = untrained(bins)
    x = jax.random.normal(jax.random.key(2), (6, SIZE))
    condition = jax.random.normal(jax.random.key(3), (6, CONDITIONS))
    _, found = jax.jit(flow.apply)(params, x, condition)
    of_one = jax.jacrev(lambda a, c: flow.apply(params, a[None], c[None])[0][0])
    _, expected = jnp.linalg.slogdet(jax.jit(jax.vmap(of_one))(x, condition))
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_new_flow_is_the_identity_up_to_the_order():
    flow = CouplingFlow(SIZE, blocks=3, hidden=(8,), bins=4)
    x, condition = jax.random.normal(jax.random.key(2), (7, SIZE)), jnp.ones((7, CONDITIONS))
    params = jax.jit(flow.init)(jax.random.key(0), x, condition)
    z, slopes = jax.jit(flow.apply)(params, x, condition)
    np.testing.assert_allclose(np.sort(z), np.sort(x), atol=1e-5)
    np.testing.assert_allclose(slopes, 0, atol=1e-5)


def test_density_integrates_to_one():
    """Of two components, by a sum over a grid."""
    flow = CouplingFlow(2, blocks=2, hidden=(8,), bins=5)
    axis = jnp.linspace(-9, 9, 241)
    grid = jnp.stack(jnp.meshgrid(axis, axis), -1).reshape(-1, 2)
    none = jnp.zeros((len(grid), 0))
    params = jax.jit(flow.init)(jax.random.key(0), grid[:1], none[:1])
    params = jax.tree.map(
        lambda p: p + 0.3 * jax.random.normal(jax.random.key(p.size), p.shape), params
    )
    z, slopes = jax.jit(flow.apply)(params, grid, none)
    total = jnp.exp(log_normal(z) + slopes).sum() * (axis[1] - axis[0]) ** 2
    assert float(total) == pytest.approx(1.0, abs=0.01)


def test_spline_is_monotonic_and_the_identity_in_its_tails():
    raw = jax.random.normal(jax.random.key(4), (parameters(8),))
    x = jnp.linspace(-BOUND - 2, BOUND + 2, 500)
    turned = jax.jit(partial(spline, bound=BOUND))
    y, slopes = turned(x, jnp.broadcast_to(raw, (500, len(raw))))
    assert np.all(np.diff(y) > 0)
    outside = np.abs(np.asarray(x)) >= BOUND
    np.testing.assert_array_equal(y[outside], x[outside])
    np.testing.assert_array_equal(slopes[outside], 0)


def test_every_number_has_a_bin():
    """At the ends of the interval and at the knots too, both ways."""
    raw = 3 * jax.random.normal(jax.random.key(4), (64, parameters(8)))
    edge = np.nextafter(np.float32(BOUND), np.float32(0))
    for inverse in (False, True):
        turned = jax.jit(partial(spline, bound=BOUND, inverse=inverse))
        for x in (-edge, edge, np.float32(0)):
            y, slopes = turned(jnp.full(64, x), raw)
            assert np.isfinite(y).all()
            assert np.isfinite(slopes).all()
            assert np.abs(y).max() <= BOUND * 1.001


def test_far_numbers_do_not_grow_from_block_to_block():
    flow, params = untrained(0, spread=1.0)
    far = jnp.full((3, SIZE), 1e6)
    inverse = jax.jit(partial(flow.apply, method="inverse"))
    back = inverse(params, far, jnp.ones((3, CONDITIONS)))
    assert np.abs(back).max() < 1e6 * np.exp(4 * LARGEST_LOG_SCALE)
    assert np.isfinite(back).all()


@pytest.mark.slow
def test_a_flow_learns_a_curved_density_better_than_a_normal_one():
    """x2 = x1^2 + noise: the mean log-likelihood of the fit comes near that of the truth."""
    import optax

    flow = CouplingFlow(2, blocks=4, hidden=(32,), bins=6)
    noise = jax.random.normal(jax.random.key(5), (2000, 2))
    x = jnp.stack([noise[:, 0], noise[:, 0] ** 2 - 1 + 0.3 * noise[:, 1]], 1)
    none = jnp.zeros((len(x), 0))
    params = flow.init(jax.random.key(0), x[:1], none[:1])
    adam = optax.adam(5e-3)

    def loss(params):
        z, slopes = flow.apply(params, x, none)
        return -(log_normal(z) + slopes).mean()

    @jax.jit
    def fit(params):
        def step(carry, _):
            params, state = carry
            value, gradient = jax.value_and_grad(loss)(params)
            moves, state = adam.update(gradient, state)
            return (optax.apply_updates(params, moves), state), value

        return jax.lax.scan(step, (params, adam.init(params)), length=250)

    (params, _), values = fit(params)
    truth = float(np.log(2 * np.pi) + 1 + np.log(0.3))  # entropy of two normal numbers, scaled
    normal = float(np.log(2 * np.pi) + 1 + 0.5 * np.log(np.linalg.det(np.cov(x.T))))
    assert normal - truth > 1.0
    assert float(values[-1]) < truth + 0.4
