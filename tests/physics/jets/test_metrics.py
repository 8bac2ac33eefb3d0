"""Tagger metrics against numbers known by formula or by hand."""

import numpy as np
import pytest
from scipy.stats import norm

pytest.importorskip("sklearn")

from hepjax import InputError
from hepjax.physics.jets import metrics


def gaussians(n: int, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Background at 0 and signal at ``shift``, both of width 1, n each."""
    rng = np.random.default_rng(seed)
    score = np.concatenate([rng.normal(0, 1, n), rng.normal(shift, 1, n)])
    return score, np.repeat([0, 1], n)


def test_auc_of_shifted_gaussians_is_the_formula_within_its_error():
    """AUC = Phi(shift / sqrt 2)."""
    score, label = gaussians(20_000, 1.5)
    area, error = metrics.auc(score, label)
    assert 0.001 < error < 0.0025
    assert area == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=4 * error)


def test_the_error_of_the_auc_is_the_spread_over_repetitions():
    found = np.array([metrics.auc(*gaussians(60, 1.0, seed)) for seed in range(300)])
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.12)


def test_two_scores_of_the_same_events_differ_by_less_than_their_errors_in_squares():
    score, label = gaussians(2000, 1.0)
    other = score + np.random.default_rng(5).normal(0, 0.3, len(score))
    difference, error = metrics.auc_difference(score, other, label)
    (a, error_a), (b, error_b) = metrics.auc(score, label), metrics.auc(other, label)
    assert difference == pytest.approx(a - b)
    assert 0 < error < 0.5 * np.hypot(error_a, error_b)
    assert metrics.auc_difference(score, 2 * score, label) == (0, 0)
    flipped = metrics.auc_difference(score, -score, label)
    assert flipped == pytest.approx((2 * a - 1, 2 * error_a))


def test_auc_by_hand_with_ties():
    """Of six pairs four are in order, one is a tie: 4.5 / 6."""
    score, label = np.array([0.1, 0.5, 0.4, 0.5, 0.9]), np.array([0, 0, 1, 1, 1])
    assert metrics.auc(score, label)[0] == pytest.approx(4.5 / 6)


def test_integer_weights_are_repeated_events():
    rng = np.random.default_rng(1)
    score, label = gaussians(200, 1.0)
    score = np.round(score, 1)  # with ties
    weight = rng.integers(1, 4, len(score))
    repeated = np.repeat(score, weight), np.repeat(label, weight)
    assert metrics.auc(score, label, weight)[0] == pytest.approx(metrics.auc(*repeated)[0])
    assert metrics.accuracy(score, label, weight)[0] == pytest.approx(
        metrics.accuracy(*repeated)[0]
    )
    # Repeated events look like more statistics than they are: the same value, a larger error.
    (weighted,) = metrics.rejections(score, label, (0.5,), weight)
    (pretended,) = metrics.rejections(*repeated, (0.5,))
    assert weighted.value == pytest.approx(pretended.value)
    assert weighted.error > pretended.error


def test_rejection_by_hand():
    """At half the signal 2 of 8 background events pass: 1/eps_B = 4 +- sqrt(1/4 3/4 / 8) 16."""
    background = np.array([0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.8, 0.9])
    signal = np.array([0.25, 0.35, 0.7, 0.75, 0.95, 0.97])
    score, label = np.concatenate([background, signal]), np.repeat([0, 1], [8, 6])
    found, between = metrics.rejections(score, label, (4 / 6, 2.5 / 6))
    assert found.value == pytest.approx(4.0)
    assert found.error == pytest.approx(np.sqrt(0.25 * 0.75 / 8) * 16)
    assert (found.limit, found.background) == (False, pytest.approx(2.0))
    assert str(found) == "4.0 ± 2.4"
    # Half way between the thresholds at 0.95 (no background passes) and 0.75 (two do).
    assert between.background == pytest.approx(1.0)


def test_rejection_of_gaussians_is_the_formula():
    score, label = gaussians(50_000, 2.0)
    for found in metrics.rejections(score, label, metrics.SIGNAL_EFFICIENCIES):
        expected = 1 / norm.sf(2.0 + norm.isf(found.efficiency))
        assert found.value == pytest.approx(expected, abs=4 * found.error)


def test_no_background_left_gives_a_lower_limit():
    """None seen of 100 excludes eps_B > 2.95 % at 95 % confidence."""
    score, label = np.repeat([0.0, 1.0], 100), np.repeat([0, 1], 100)
    (found,) = metrics.rejections(score, label, (0.5,))
    assert found.limit
    assert found.value == pytest.approx(33.9, abs=0.05)
    assert np.isnan(found.error)
    assert str(found) == "> 34 (95% CL)"


def test_bins_of_pt_hold_every_event_and_name_those_with_too_few():
    score, label = gaussians(500, 1.0)
    pt = np.random.default_rng(2).uniform(400, 1187, len(score))
    edges = metrics.pt_edges(pt, 4)
    assert edges[0] <= pt.min()
    assert edges[-1] > pt.max()
    assert len(edges) == 5
    rows = metrics.by_pt(score, label, pt, edges)
    assert sum(r["signal"] + r["background"] for r in rows) == 1000
    assert all(r["used"] and 0.6 < r["auc"] < 0.9 for r in rows)
    few = metrics.by_pt(score, label, pt, np.array([0.0, pt.min() + 1e-9, 2000.0]))
    assert [r["used"] for r in few] == [False, True]
    assert "auc" not in few[0]


def test_one_pt_for_all_is_one_bin():
    assert len(metrics.pt_edges(np.full(10, 50.0))) == 2


def test_calibration_of_true_probabilities_is_the_diagonal():
    rng = np.random.default_rng(3)
    score = rng.uniform(size=20_000)
    label = (rng.uniform(size=20_000) < score).astype(int)
    found = metrics.calibration(score, label)
    assert found["fraction"].sum() == pytest.approx(1)
    assert np.all(np.abs(found["share"] - found["score"]) < 4 * found["error"])


@pytest.mark.parametrize(
    ("score", "label", "weight", "message"),
    [
        ([0.1, 0.2], [1, 1], None, "expected events of both classes, found 2 signal and 0"),
        ([0.1, np.nan], [0, 1], None, "score: expected finite numbers, found 1 of 2"),
        ([0.1, 0.2], [0, 2], None, "label: expected 0 (background) and 1 (signal)"),
        ([0.1, 0.2, 0.3], [0, 1], None, "score: expected one for each of (2,) labels"),
        (
            [0.1, 0.2],
            [0, 1],
            [1.0, 0.0],
            "weight: expected none negative, and a positive sum in both classes",
        ),
        ([0.1, 0.2], [0, 1], [1.0, np.inf], "weight: expected finite numbers"),
    ],
)
def test_unusable_input_is_told(score, label, weight, message):
    weight = None if weight is None else np.array(weight)
    for function in (metrics.auc, metrics.accuracy, metrics.roc):
        with pytest.raises(InputError) as caught:
            function(np.array(score), np.array(label), weight)
        assert message in str(caught.value)
