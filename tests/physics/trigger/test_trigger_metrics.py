"""Metrics of trigger networks against numbers that are known."""

import numpy as np
import pytest

from hepjax.physics.trigger.metrics import accuracy, anomalous, area, classified, efficiencies


def test_the_area_counts_pairs_and_half_of_equal_ones():
    score = np.array([0.1, 0.4, 0.4, 0.8])
    positive = np.array([False, True, False, True])
    # of the four pairs three are right and one is equal
    assert area(score, positive) == pytest.approx(3.5 / 4)
    assert area(-score, positive) == pytest.approx(0.5 / 4)
    assert np.isnan(area(score, np.ones(4, bool)))


def test_accuracy_and_its_error():
    p = np.array([[0.6, 0.4], [0.2, 0.8], [0.9, 0.1], [0.3, 0.7]])
    share, error = accuracy(p, np.array([0, 1, 1, 1]))
    assert share == 0.75
    assert error == pytest.approx(np.sqrt(0.75 * 0.25 / 4))


def test_efficiencies_at_rates_that_are_measured():
    background, signal = np.arange(1000.0), np.array([985.0, 990.0, 995.0, 2000.0])
    found = efficiencies(background, signal, (1e-2, 1e-3))
    # Ten background events lie above 989.
    assert found == {"0.01": 0.75, "0.001": None}


def test_smart_pixels_cut_soft_clusters_at_the_published_efficiency():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], 5000)
    hard = np.where(label == 0, rng.uniform(0, 1, 15000), rng.uniform(-1, 0.07, 15000))
    scores = {"hard": hard, "soft_plus": -hard, "soft_minus": -hard - 1}
    found = classified("pixels", scores, label)
    assert found["soft_cut"] == pytest.approx(1.0, abs=0.02)
    assert found["auc"]["hard"] > 0.99


def test_each_signal_has_an_area_of_its_own():
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(5), 2000)
    score = rng.normal(label * 1.0)
    found = anomalous("anomaly", score, label)
    # Normal scores d apart have an area of Phi(d / sqrt 2).
    assert found["auc"]["a4l"] == pytest.approx(0.760, abs=0.02)
    assert found["auc"]["hpmtaunu"] == pytest.approx(0.9977, abs=0.002)
    assert found["efficiency"]["a4l"]["0.001"] is None
