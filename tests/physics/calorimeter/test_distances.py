"""Distances and classifier tests on normal distributions, whose answers are known."""

import sys

import numpy as np
import pytest
from scipy import stats

from hepjax import MissingExtraError
from hepjax.physics.calorimeter import classifier, distances


def normal(seed, n=2000, k=4, shift=0.0, scale=1.0):
    return shift + scale * np.random.default_rng(seed).normal(size=(n, k))


def test_frechet_distance_of_normal_distributions():
    """|m|^2 + k (s1 - s2)^2 for multiples of the unit matrix: 4 x 0.25 + 4 x 1."""
    found = distances.frechet(normal(0, 40_000), normal(1, 40_000, shift=0.5, scale=2.0))
    assert found == pytest.approx(5, rel=0.03)


def test_frechet_distance_sees_a_lost_correlation():
    """Correlation 0.8 of two unit columns against none: 4 - 2 (sqrt(1.8) + sqrt(0.2))."""
    mixed = normal(0, 40_000, 2) @ np.linalg.cholesky([[1, 0.8], [0.8, 1]]).T
    expected = 4 - 2 * (np.sqrt(1.8) + np.sqrt(0.2))
    assert distances.frechet(mixed, normal(1, 40_000, 2)) == pytest.approx(expected, rel=0.05)


def test_fpd_takes_away_the_bias_of_few_events():
    """The plain distance of 2,000 events is biased by some k (k + 3) / 2 n; FPD has little left."""
    first, second = normal(0, 4000, 10), normal(1, 4000, 10)
    found = distances.fpd(first, second, events=distances.few_events(first, second))
    plain = distances.frechet(first[:1000], second[:1000])
    assert plain > 0.02
    assert found.value < plain / 3
    shifted = distances.fpd(first, second + 0.3, events=distances.few_events(first, second))
    assert shifted.value == pytest.approx(10 * 0.09, rel=0.15)
    assert shifted.error > 0


def test_discrepancy_of_points():
    """Kernel (x y + 1)^4 of single numbers: pairs (0, 0) and (1, 1) give 1 + 16 - 2."""
    x, y = np.zeros((2, 1)), np.ones((2, 1))
    assert distances.discrepancy(x, y) == pytest.approx(1 + 16 - 2)


def test_kpd_is_unbiased_and_sees_a_shift():
    first, second = normal(0), normal(1)
    equal = distances.kpd(first, second, events=1000)
    assert abs(equal.value) < 4 * equal.error
    assert distances.kpd(first, second + 0.3, events=1000).value > 10 * equal.error


def test_prdc_against_the_definition():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(30, 3)) + 0.5

    def apart(a, b):
        return np.linalg.norm(a[:, None] - b[None], axis=2)

    reach_x, reach_y = (np.sort(apart(s, s), axis=1)[:, 5] for s in (x, y))
    in_x, in_y = apart(x, y) < reach_x[:, None], apart(x, y) < reach_y[None]
    found = distances.prdc(x, y)
    assert found.precision == pytest.approx(in_x.any(0).mean())
    assert found.recall == pytest.approx(in_y.any(1).mean())
    assert found.density == pytest.approx(in_x.sum(0).mean() / 5)
    assert found.coverage == pytest.approx(in_x.any(1).mean())


def test_prdc_knows_collapse_from_noise():
    """Copies of few events lose recall and keep precision; a wide sample the other way round."""
    reference = normal(0, 600, 2)
    few = np.repeat(reference[:30], 20, axis=0) + normal(1, 600, 2, scale=1e-3)
    collapsed = distances.prdc(reference, few)
    assert collapsed.precision > 0.95
    assert collapsed.recall < 0.1
    wide = distances.prdc(reference, normal(2, 600, 2, scale=6.0))
    assert wide.precision < 0.3 < 0.9 < wide.recall
    assert np.isnan(distances.prdc(reference[:5], few)).all()


def test_empty_cells_count_as_a_tenth_of_an_mev():
    np.testing.assert_allclose(distances.log_cells(np.array([[0, 1e-3, 1.0]])), [[-1, 0, 3]])


SHIFT = 1.0
BEST = stats.norm.cdf(SHIFT / np.sqrt(2))


@pytest.mark.parametrize("kind", ["network", "trees"])
def test_classifiers_reach_the_best_auc(kind):
    """Unit normals one standard deviation apart: no classifier is better than 0.760."""
    if kind == "trees":
        pytest.importorskip("sklearn")
        classify = classifier.boosted
    else:

        def classify(a, b, seed):
            return classifier.network(a, b, seed, classifier.Settings(width=32, epochs=6))

    first, second, third = normal(0), normal(1), normal(2)
    second[:, 0] += SHIFT
    found = classifier.over_seeds(classify, first, second, 2)
    assert found.auc == pytest.approx(BEST, abs=0.04)
    assert found.jsd == pytest.approx(0.17, abs=0.06)
    assert found.auc_error < 0.05
    equal = classify(first, third, 0)
    assert equal.auc == pytest.approx(0.5, abs=0.08)  # of 400 events each: 0.02
    assert equal.jsd < 0.03


def test_published_network_has_the_published_shape():
    key = classifier.jax.random.key(0)
    settings = classifier.Settings(2048, 2)
    assert (classifier.PUBLISHED.width, classifier.PUBLISHED.layers) == (2048, 2)
    shapes = [w.shape for w, _ in classifier._initial(key, 30, settings)]
    assert shapes == [(30, 2048), (2048, 2048), (2048, 2048), (2048, 1)]


def test_auc_and_jsd_of_given_scores():
    """Scores that tell everything, and one score for all."""
    label = np.repeat([True, False], 500)
    perfect = classifier.judged(label * 1.0, label, label * 1.0, label)
    assert perfect.auc == 1
    assert perfect.jsd == pytest.approx(1, abs=0.01)
    nothing = classifier.judged(np.full(1000, 0.3), label, np.full(1000, 0.3), label)
    assert nothing == pytest.approx((0.5, 0.0), abs=1e-6)


def test_trees_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingExtraError, match=r"hepjax\[metrics\]"):
        classifier.boosted(normal(0), normal(1), 0)


def test_pairs_of_one_energy_give_nothing_away():
    """Generated showers have the incident energies of the reference; the energy alone says
    nothing."""
    pytest.importorskip("sklearn")
    energy = np.random.default_rng(0).uniform(size=(1000, 1))
    assert classifier.boosted(energy, energy.copy(), 0).auc == pytest.approx(0.5, abs=1e-9)
