"""The Gaussian process against formulas done by hand, and what its buffer must not change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.stats import multivariate_normal

from hepjax.studies.active import gaussian
from hepjax.studies.active.gaussian import Data, Kernel

posterior, log_likelihood, left_out, mean_at, told_its_mean = map(
    jax.jit,
    (gaussian.posterior, gaussian.log_likelihood, gaussian.left_out, gaussian.mean_at,
     gaussian.told_its_mean),
)  # fmt: skip


@pytest.fixture(autouse=True)
def float64():
    with gaussian.double():
        yield


def kernel(size=2, noise=0.1):
    length = jnp.log(jnp.linspace(0.3, 0.7, size))
    return Kernel(length, jnp.log(jnp.array(1.3)), jnp.log(jnp.array(noise)), jnp.array(0.2))


def data(count=7, rows=12, size=2, told=0.05):
    rng = np.random.default_rng(3)
    x = np.zeros((rows, size))
    x[:count] = rng.random((count, size))
    x[count:] = 0.5  # what lies in unused rows must not matter
    y = np.full(rows, 1e3)
    y[:count] = np.sin(5 * x[:count, 0]) + x[:count, 1]
    used = np.arange(rows) < count
    return Data(*map(jnp.asarray, (x, y, np.full(rows, told), used)))


def matern(a, b):
    """Matern 5/2 of ``kernel()``, from its definition."""
    r = np.sqrt((((a[:, None] - b[None]) / np.linspace(0.3, 0.7, a.shape[1])) ** 2).sum(-1))
    return 1.3**2 * (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)


def dense(points):
    """Points that are used, and the covariance of their values."""
    n = int(points.used.sum())
    x, y = np.asarray(points.x)[:n], np.asarray(points.y)[:n]
    extra = 0.1**2 + 0.05**2 + gaussian.JITTER * 1.3**2
    return x, y, matern(x, x) + extra * np.eye(n)


@pytest.mark.parametrize("n", [1, 5, 8])
def test_the_inverse_of_a_triangle(n):
    lower = np.tril(np.random.default_rng(0).random((n, n))) + np.eye(n)
    found = jax.jit(gaussian.inverse_of_lower)(lower)
    np.testing.assert_allclose(found @ lower, np.eye(n), atol=1e-12)


def test_the_likelihood_is_that_of_a_normal_distribution():
    points = data()
    x, y, covariance = dense(points)
    expected = multivariate_normal(np.full(len(x), 0.2), covariance).logpdf(y)
    assert float(log_likelihood(points, kernel())) == pytest.approx(expected, rel=1e-9)


def test_the_posterior_is_that_of_the_conditional_distribution():
    points, at = data(), np.random.default_rng(5).random((6, 2))
    x, y, covariance = dense(points)
    cross = matern(x, at)
    solved = np.linalg.solve(covariance, cross)
    belief = posterior(points, kernel(), jnp.asarray(at))
    np.testing.assert_allclose(belief.mean, 0.2 + solved.T @ (y - 0.2), rtol=1e-8)
    np.testing.assert_allclose(belief.variance, 1.3**2 - (cross * solved).sum(0), rtol=1e-8)
    np.testing.assert_allclose(mean_at(points, kernel(), jnp.asarray(at)), belief.mean)


def test_the_gradient_of_the_likelihood_is_the_numerical_one():
    points, k, h = data(), kernel(), 1e-5
    flat, whole = ravel_pytree(k)
    value = jax.jit(lambda flat: gaussian.log_likelihood(points, whole(flat)))
    steps = h * jnp.eye(len(flat))
    numerical = [(value(flat + step) - value(flat - step)) / (2 * h) for step in steps]
    found = ravel_pytree(jax.jit(gaussian.slope)(points, k))[0]
    np.testing.assert_allclose(found, numerical, rtol=1e-5, atol=1e-7)


def test_a_point_that_is_asked_for_changes_the_belief_as_its_mean_would():
    points, at = data(told=0.0), jnp.asarray(np.random.default_rng(5).random((6, 2)))
    before = posterior(points, kernel(), at)
    after = told_its_mean(before, kernel(), at, jnp.array(2), jnp.array(7))
    more = Data(
        points.x.at[7].set(at[2]), points.y.at[7].set(before.mean[2]), points.error,
        points.used.at[7].set(True),
    )  # fmt: skip
    whole = posterior(more, kernel(), at)
    np.testing.assert_allclose(after.mean, whole.mean, rtol=1e-9)
    np.testing.assert_allclose(after.variance, whole.variance, rtol=1e-8)


def test_a_point_left_out_is_predicted_from_the_others():
    points = data()
    off, spread = left_out(points, kernel())
    others = points._replace(used=points.used.at[4].set(False))
    belief = posterior(others, kernel(), points.x[4][None])
    assert float(off[4]) == pytest.approx(float(points.y[4] - belief.mean[0]), rel=1e-8)
    noise = 0.1**2 + 0.05**2 + gaussian.JITTER * 1.3**2
    assert float(spread[4] ** 2) == pytest.approx(float(belief.variance[0]) + noise, rel=1e-8)


def test_the_fit_finds_lengths_and_noise_again():
    """Values drawn from a process of known lengths: short along one axis, long along the other."""
    rng = np.random.default_rng(0)
    x = rng.random((60, 2))
    r = np.sqrt((((x[:, None] - x[None]) / np.array([0.2, 2.0])) ** 2).sum(-1))
    covariance = (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)
    y = rng.multivariate_normal(np.zeros(60), covariance + 0.05**2 * np.eye(60))
    points = Data(jnp.asarray(x), jnp.asarray(y), jnp.zeros(60), jnp.ones(60, bool))
    found = jax.jit(gaussian.fit)(points)
    short, long = np.exp(found.length)
    assert short == pytest.approx(0.2, rel=0.5)
    assert long > 0.7
    assert np.exp(found.noise) == pytest.approx(0.05, rel=0.5)


def test_points_that_nearly_coincide_stay_finite():
    """In float32 the factor of these is not a number."""
    rng = np.random.default_rng(1)
    x = 0.5 + 1e-4 * rng.random((40, 2))
    points = Data(jnp.asarray(x), jnp.asarray(x.sum(1)), jnp.zeros(40), jnp.ones(40, bool))
    belief = posterior(points, kernel(noise=1e-6), jnp.asarray(x))
    assert np.isfinite(belief.mean).all()
    assert not gaussian.is_sound(kernel()._replace(noise=jnp.array(jnp.nan)))


def test_only_the_block_is_in_double_precision():
    assert jnp.ones(2).dtype == jnp.float64
    with jax.enable_x64(False):
        assert jnp.ones(2).dtype == jnp.float32
