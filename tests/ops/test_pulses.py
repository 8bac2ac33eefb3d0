"""Densities of arrival against SciPy, light against a sum, Poisson numbers against theirs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hepjax.ops.poisson import EXACT_BELOW, poisson
from hepjax.ops.pulses import arrivals, delayed, light, two_over_one


def test_densities_are_those_of_scipy():
    edges = np.arange(201)
    found = np.asarray(arrivals(jnp.float32(90.3), jnp.float32(7.0), 200))
    np.testing.assert_allclose(found, np.diff(stats.norm.cdf(edges, 90.3, 7.0)), atol=2e-6)
    found = np.asarray(delayed(jnp.float32(60.0), jnp.float32(5.0), 20.0, 200))
    expected = np.diff(stats.exponnorm.cdf(edges, 20.0 / 5.0, 60.0, 5.0))
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_likelihood_ratio_of_electrons_is_that_of_scipy():
    electrons = np.zeros(100)
    electrons[[30, 42, 70]] = 3, 1, 2
    found = two_over_one(
        jnp.asarray(electrons, jnp.float32), jnp.float32(45.0), jnp.float32(8.0),
        jnp.float32(20.0), jnp.float32(0.3),
    )  # fmt: skip
    t = np.arange(100) + 0.5
    two = 0.7 * stats.norm.pdf(t, 39.0, 8.0) + 0.3 * stats.norm.pdf(t, 59.0, 8.0)
    expected = (electrons * np.log(two / stats.norm.pdf(t, 45.0, 8.0))).sum()
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_all_electrons_at_once_shine_evenly():
    electrons = jnp.zeros(40).at[10].set(6.0)
    found = np.asarray(light(electrons, jnp.int32(5)))
    np.testing.assert_allclose(found[10:16], [0.6, 1.2, 1.2, 1.2, 1.2, 0.6], rtol=1e-6)
    assert found.sum() == pytest.approx(6.0)


@pytest.mark.parametrize("rate", [0.05, 3.0, 11.9, 12.1, 40.0, 700.0])
def test_poisson_numbers(rate):
    n = 40_000
    found = np.asarray(poisson(jax.random.key(1), jnp.full(n, rate, jnp.float32)))
    assert (found == np.round(found)).all()
    assert (found >= 0).all()
    assert found.mean() == pytest.approx(rate, abs=4.5 * (rate / n) ** 0.5)
    assert found.var() == pytest.approx(rate, rel=4.5 * ((2 + 1 / rate) / n) ** 0.5)
    low, high = stats.poisson.ppf([0.001, 0.999], rate)
    kept = np.arange(low, high + 1)
    expected = stats.poisson.pmf(kept, rate) * n
    counts = np.array([(found == k).sum() for k in kept])
    enough = expected > 8
    pulls = (counts - expected)[enough] / np.sqrt(expected[enough])
    # The tolerance is for the expansion, which holds only above EXACT_BELOW.
    assert (pulls**2).mean() < (1.9 if rate > EXACT_BELOW else 1.6) + 3 / enough.sum() ** 0.5
