"""Scores of weights, and the exact answers that programs are tested against."""

import numpy as np
import pytest

from hepjax.physics.unfolding.exact import expectation_maximisation, gaussian_recursion
from hepjax.physics.unfolding.scores import (
    area_under_curve,
    bins_of,
    covariance,
    effective_size,
    histograms,
    triangular_discriminator,
)


def test_effective_size():
    assert effective_size(np.ones(7)) == pytest.approx(7)
    assert effective_size(np.array([1.0, 0, 0])) == pytest.approx(1)
    np.testing.assert_allclose(effective_size(np.array([[1.0, 2], [3, 2]])), [1.6, 2])


def test_triangular_discriminator():
    assert triangular_discriminator(np.array([1.0, 3]), np.array([2.0, 6])) == 0
    assert triangular_discriminator(np.array([1.0, 0]), np.array([0.0, 5])) == pytest.approx(1)
    # By hand: (1/4)^2 / (5/4) = 0.05 and 0.25^2 / 0.75 = 1 / 12.
    found = triangular_discriminator(np.array([3.0, 1]), np.array([2.0, 2]))
    assert found == pytest.approx(0.5 * (0.05 + 1 / 12))


def test_area_under_curve_with_weights_and_ties():
    ones = np.ones(2)
    assert area_under_curve(np.array([2.0, 3]), ones, np.array([0.0, 1]), ones)[0] == 1
    assert area_under_curve(np.array([1.0, 1]), ones, np.array([1.0, 1]), ones)[0] == 0.5
    weight = np.array([3.0, 1])
    assert area_under_curve(np.array([2.0, 0]), weight, np.array([1.0, 1]), ones)[0] == 0.75


def test_error_of_the_area_is_its_spread_for_equal_samples():
    rng = np.random.default_rng(1)
    found = [
        area_under_curve(rng.random(200), rng.random(200), rng.random(300), np.ones(300))
        for _ in range(300)
    ]
    area, error = np.array(found).T
    assert area.mean() == pytest.approx(0.5, abs=0.005)
    assert area.std() == pytest.approx(error.mean(), rel=0.15)


def test_histograms_and_covariance():
    place = bins_of(np.array([-5.0, 0.5, 1.5, 9.0]), np.array([0.0, 1, 2]))
    assert place.tolist() == [0, 0, 1, 1]
    weights = np.array([[1.0, 2], [1, 2], [1, 4], [1, 4]])
    np.testing.assert_array_equal(histograms(place, weights, 2), [[2, 4], [2, 8]])
    assert (covariance(np.ones((1, 3))) == 0).all()
    np.testing.assert_allclose(covariance(np.array([[1.0, 2], [3, 6]])), [[2, 4], [4, 8]])


def test_the_recursion_of_gaussians():
    """The values of the first four iterations, and the truth as the fixed point."""
    found = gaussian_recursion((0.5, 1.0), (0.0, 0.9), 0.5, 200)
    np.testing.assert_allclose(found[:4, 0], [0.1, 0.0222, 0.0051, 0.0012], atol=5e-5)
    np.testing.assert_allclose(found[:4, 1], [0.9372, 0.9149, 0.9061, 0.9025], atol=5e-5)
    np.testing.assert_allclose(found[-1], [0, 0.9], atol=1e-6)


def test_expectation_maximisation_is_the_recursion_and_ends_at_the_truth():
    edges = np.linspace(-6, 6, 241)
    middle = (edges[1:] + edges[:-1]) / 2

    def normal(x, mean, width):
        return np.exp(-0.5 * ((x - mean) / width) ** 2) / width

    response = normal(middle[None], middle[:, None], 0.5)
    response /= response.sum(axis=1, keepdims=True)
    start, truth = normal(middle, 0.5, 1.0), normal(middle, 0.0, 0.9)
    start, truth = start / start.sum(), truth / truth.sum()
    found = expectation_maximisation(response, start, truth @ response, 3)
    for true, (mean, width) in zip(
        found, gaussian_recursion((0.5, 1.0), (0.0, 0.9), 0.5, 3), strict=True
    ):
        assert np.average(middle, weights=true) == pytest.approx(mean, abs=2e-3)
        spread = np.sqrt(np.average((middle - mean) ** 2, weights=true))
        assert spread == pytest.approx(width, abs=2e-3)
    passing = response * (0.5 + 0.05 * middle)[:, None]
    for keep in (False, True):
        last = expectation_maximisation(passing, start, truth @ passing, 400, keep=keep)[-1]
        assert np.abs(last - truth).sum() < 0.02
    # With fakes in the expectation the same truth fits.
    fakes = 0.1 * start
    measured = truth @ passing + fakes
    last = expectation_maximisation(passing, start, measured, 400, fakes=fakes)[-1]
    assert np.abs(last - truth).sum() < 0.02
