"""Likeness of pictures: known answers, and showers that are copies of one another."""

import numpy as np
import pytest

from hepjax.physics.calorimeter import likeness


def pictures(seed=0, n=40, spread=1.0):
    """Spots whose place and height vary with ``spread``."""
    rng = np.random.default_rng(seed)
    y, z = np.mgrid[:15, :12]
    at = rng.normal(0, spread, (n, 2))[:, :, None, None]
    height = np.exp(rng.normal(0, 0.2 * spread, n))[:, None, None]
    return height * np.exp(-((y - 7 - at[:, 0]) ** 2 + (z - 5 - at[:, 1]) ** 2) / 8)


def test_equal_pictures_are_wholly_alike_and_opposite_ones_are_not():
    same = np.repeat(pictures(n=1), 3, axis=0)
    np.testing.assert_allclose(likeness.structural_similarity(same, 1.0), [1, 1])
    pattern = np.indices((15, 12)).sum(0) % 2 - 0.5
    found = likeness.structural_similarity(np.stack([1 + pattern, 1 - pattern]), 1.0)
    assert found[0] < -0.9
    assert len(likeness.structural_similarity(same[:1], 1.0)) == 0


def test_one_window_is_the_formula():
    """Pictures of the size of a window have one, whose similarity is a line of arithmetic."""
    a, b = np.random.default_rng(0).uniform(size=(2, 7, 7))
    covariance = np.cov(a.ravel(), b.ravel())
    means = a.mean(), b.mean()
    expected = (
        (2 * means[0] * means[1] + 4e-4) * (2 * covariance[0, 1] + 3.6e-3)
        / ((means[0] ** 2 + means[1] ** 2 + 4e-4) * (covariance.trace() + 3.6e-3))
    )  # fmt: skip
    found = likeness.structural_similarity(np.stack([a, b]), 2.0)
    assert found == pytest.approx(expected)


def test_distances_of_pairs():
    points = np.array([[[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 1.0]]])
    np.testing.assert_allclose(sorted(likeness.pair_distances(points)), [1, 18**0.5, 5])


def test_lower_bound_sees_collapse_and_not_a_rotation():
    reference = pictures()
    assert likeness.gromov_wasserstein(reference, reference[::-1, ::-1]) == pytest.approx(0)
    assert likeness.gromov_wasserstein(reference, pictures(1)) < 0.1
    copies = np.repeat(reference[:1], 40, axis=0)
    assert likeness.gromov_wasserstein(reference, copies) == pytest.approx(0.5)
    assert np.isnan(likeness.gromov_wasserstein(reference, reference[:1]))
