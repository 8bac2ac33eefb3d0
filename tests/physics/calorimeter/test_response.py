"""Fits of the energy response find what was put in."""

import numpy as np
import pytest

from hepjax.physics.calorimeter import response


def sample(seed=0, n=4000, scale=1.0, stochastic=0.2, constant=0.01):
    rng = np.random.default_rng(seed)
    energy = rng.uniform(10, 500, n)
    mean = scale * (0.026 - 0.001 * np.log(energy))
    spread = np.sqrt(stochastic**2 / energy + constant**2)
    return mean * rng.normal(1, spread), energy


def test_fits_find_mean_and_both_terms_of_the_resolution():
    found = response.fitted(*sample())
    energy = np.array([20.0, 100.0, 400.0])
    np.testing.assert_allclose(found.at(energy), 0.026 - 0.001 * np.log(energy), rtol=5e-3)
    assert found.stochastic == pytest.approx(0.2, rel=0.06)
    assert found.constant == pytest.approx(0.01, rel=0.1)
    np.testing.assert_allclose(
        found.resolution(energy), np.sqrt(0.04 / energy + 1e-4), rtol=0.06
    )  # fmt: skip


def test_scale_and_spread_are_told_apart():
    reference = sample()
    mean, spread = response.distances(reference, sample(1, scale=1.05))
    assert mean == pytest.approx(0.05, abs=0.004)
    assert spread < 0.06
    mean, spread = response.distances(reference, sample(2, stochastic=0.3, constant=0.015))
    assert mean < 0.004
    assert spread == pytest.approx(0.5, abs=0.06)
    assert response.distances(reference, reference) == (0, 0)


def test_empty_showers_are_wholly_wrong_and_few_showers_say_nothing():
    fraction, energy = sample(n=200)
    assert response.distances((fraction, energy), (0 * fraction, energy)) == pytest.approx((1, 1))
    mean, spread = response.distances((0 * fraction, energy), (fraction, energy))
    assert np.isnan(mean)
    assert np.isnan(spread)
    few = fraction[:5], energy[:5]
    assert np.isnan(response.distances(few, few)).all()


def test_one_energy_has_a_mean_and_a_spread():
    rng = np.random.default_rng(0)
    energy = np.full(500, 50.0)
    found = response.fitted(0.02 * rng.normal(1, 0.03, 500), energy)
    assert found.at(energy[:1])[0] == pytest.approx(0.02, rel=0.01)
    assert found.resolution(energy[:1])[0] == pytest.approx(0.03, rel=0.1)
