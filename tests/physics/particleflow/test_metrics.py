"""MLPF scores: known counts and momenta, and rule-based particle flow on third-party events."""

import numpy as np
import pytest
from helpers.mlpf import event
from hypothesis import given, settings
from hypothesis import strategies as st

from hepjax.formats.particleflow import reader
from hepjax.formats.particleflow.columns import Particle
from hepjax.physics.particleflow import jets, metrics
from hepjax.report.confusion import by_truth


def rows(labels, pt=10.0, eta=0.0, phi=0.0) -> np.ndarray:
    """Massless particles of these classes."""
    label, pt, phi = (np.asarray(a, float) for a in (labels, pt, phi))
    table = np.zeros((len(label), 7))
    for column, value in {
        Particle.CLASS: label, Particle.PT: pt, Particle.ETA: eta,
        Particle.SIN_PHI: np.sin(phi), Particle.COS_PHI: np.cos(phi),
        Particle.ENERGY: pt * np.cosh(np.asarray(eta, float)),
    }.items():  # fmt: skip
        table[:, column] = value
    return table * (label != 0)[:, None]


def test_efficiency_at_a_fake_rate():
    true = np.array([1, 1, 0, 1, 0, 1], bool)
    probability = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    found = metrics.efficiency_at(true, probability, 0.25)  # 3 of the first 4
    assert (found["threshold"], found["efficiency"]) == (0.6, 0.75)
    assert metrics.efficiency_at(true, probability, 1 / 3)["efficiency"] == 1
    assert np.isnan(metrics.efficiency_at(~true, probability, 0.2)["efficiency"])
    assert np.isnan(metrics.efficiency_at(true[:0], probability[:0], 0.2)["efficiency"])


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30),
    st.floats(0, 1),
)
def test_efficiency_at_a_fake_rate_is_the_best_of_all_cuts(elements, fake_rate):
    true, probability = (np.array(column) for column in zip(*elements, strict=True))
    best = float("nan")
    for cut in range(6):
        found = probability >= cut
        if found.any() and true.any() and (found & ~true).sum() <= fake_rate * found.sum() + 1e-6:
            best = np.nanmax([best, (found & true).sum() / true.sum()])
    result = metrics.efficiency_at(true, probability / 5, fake_rate)
    np.testing.assert_allclose(result["efficiency"], best)


def test_both_fake_rates_of_a_class():
    # Four true neutral hadrons, three found; of five found one is a photon, one nothing at all.
    true = np.array([2, 2, 2, 2, 3, 0, 1])
    found = np.array([2, 2, 2, 0, 2, 2, 1])
    scores = metrics.class_scores(metrics.confusion(true, found), 2)
    assert (scores["true"], scores["found"]) == (4, 5)
    assert scores["efficiency"] == 3 / 4
    assert scores["efficiency_error"] == pytest.approx(np.sqrt(0.75 * 0.25 / 4))
    assert scores["fake_rate"] == pytest.approx(2 / 5)
    assert scores["fake_rate_of_particles"] == pytest.approx(1 / 4)


def test_a_class_without_particles_has_no_scores():
    scores = metrics.class_scores(metrics.confusion(np.array([1, 0]), np.array([1, 0])), 5)
    assert scores["true"] == 0
    assert np.isnan(scores["efficiency"])
    assert np.isnan(scores["fake_rate"])


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60))
def test_confusion_counts_every_element_once(pairs):
    true, found = np.array(pairs).T
    counts = metrics.confusion(true, found)
    assert counts.sum() == len(pairs)
    assert counts[true[0], found[0]] >= 1
    shares = by_truth(counts)
    assert np.nansum(shares, axis=1)[np.unique(true)] == pytest.approx(1.0)
    assert np.isnan(shares[np.setdiff1d(np.arange(6), true)]).all()


def test_the_decision_rule_of_the_paper():
    probability = np.array([
        [0.1, 0.7, 0.1, 0.1, 0.0, 0.0],  # charged, but not sure enough: the next one
        [0.1, 0.85, 0.05, 0.0, 0.0, 0.0],
        [0.6, 0.0, 0.4, 0.0, 0.0, 0.0],
        [0.25, 0.6, 0.0, 0.15, 0.0, 0.0],
    ])  # fmt: skip
    assert metrics.decide(probability, {}).tolist() == [1, 1, 0, 1]
    assert metrics.decide(probability, metrics.THRESHOLDS).tolist() == [0, 1, 0, 0]


def test_bins_with_few_entries_are_blank():
    edges = np.array([0.0, 5.0, 20.0, 50.0])
    pt = np.repeat([1.0, 10.0], [49, 100])
    truth, found = rows(np.ones(149), pt), rows(np.ones(149), pt)
    found[49:74] = 0  # a quarter of the second bin is not found
    scores = metrics.against(truth, found, 1, Particle.PT, edges)
    assert np.isnan(scores["efficiency"]).tolist() == [True, False, True]
    assert scores["efficiency"][1] == pytest.approx(0.75)
    assert scores["efficiency_error"][1] == pytest.approx(np.sqrt(0.75 * 0.25 / 100))
    assert scores["fake_rate"][1] == 0


def test_deviations_and_their_width():
    rng = np.random.default_rng(0)
    truth = rows(np.full(20_000, 2), 10.0, 1.0, 3.1)
    found = truth.copy()
    found[:, Particle.ENERGY] *= 1.05 + rng.normal(0, 0.2, len(found))
    relative = metrics.deviation(truth, found, "energy")
    width = metrics.spread(relative)
    assert width["mean"] == pytest.approx(0.05, abs=0.005)
    assert width["std"] == pytest.approx(0.2, rel=0.02)
    assert width["iqr"] == pytest.approx(0.2, rel=0.03)
    # A few wild ones enter the mean with 10 at most, and hardly move the robust width.
    relative[:20] = 1e6
    wild = metrics.spread(relative)
    assert wild["mean"] == pytest.approx(0.06, abs=0.005)
    assert wild["iqr"] == pytest.approx(0.2, rel=0.03)


def test_azimuth_is_compared_around_the_circle():
    truth, found = rows([1], phi=np.pi - 0.01), rows([1], phi=-np.pi + 0.01)
    assert metrics.deviation(truth, found, "delta_phi") == pytest.approx([0.02])


def test_without_a_true_momentum_there_is_no_deviation():
    truth, found = rows([2, 2], [0.0, 10.0]), rows([2, 2])
    assert metrics.spread(metrics.deviation(truth, found, "pt"))["count"] == 1
    assert np.isnan(metrics.spread(np.array([np.nan]))["std"])


def test_resolutions_are_of_particles_that_all_give_to_the_class():
    both = metrics.common(rows([1, 1, 1, 2]), [rows([1, 1, 2, 1]), rows([1, 2, 1, 1])], 1)
    assert both.tolist() == [True, False, False, False]


def test_numbers_of_particles_in_each_event():
    true = metrics.multiplicity(rows([1, 1, 2, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1]), 3, 1)
    assert true.tolist() == [2, 3, 0]
    scores = metrics.multiplicity_scores(np.array([10, 20, 0]), np.array([9, 18, 0]))
    assert scores["mean"] == pytest.approx(-0.1)
    assert scores["std"] == pytest.approx(0, abs=1e-12)
    assert scores["r"] == pytest.approx(1)
    assert scores["true"] == 10


def test_missing_momentum_balances_back_to_back():
    table = rows([1, 2, 1, 0], [30.0, 30.0, 5.0, 100.0], phi=np.array([0.3, 0.3 + np.pi, 1.0, 0]))
    event_of = np.array([0, 0, 1, 1])
    assert metrics.missing_pt(table, event_of, 3) == pytest.approx([0, 5, 0], abs=1e-6)


def test_two_jets_far_apart():
    pytest.importorskip("fastjet")
    phi = np.array([0.0, 0.1, 2.0, 2.0])
    table = rows([1, 3, 2, 0], [20.0, 10.0, 40.0, 99.0], [1.0, 1.05, -2.0, 0], phi)
    # The third event is empty, the second has something too soft for a jet.
    event_of = np.array([0, 0, 0, 0, 1])
    found = jets.anti_kt(np.concatenate([table, rows([1], 1.0)]), event_of, 3)
    assert found.event.tolist() == [0, 0]
    assert found.pt == pytest.approx([40, 30], rel=0.01)
    assert jets.anti_kt(rows([0, 0]), np.array([0, 0]), 1).pt.size == 0


def test_jets_match_the_nearest_in_their_event():
    def at(event, pt, eta, phi):
        return jets.Jets(*map(np.array, (event, pt, eta, phi, [0.0] * len(pt))))

    true = at([0, 1, 1], [10.0, 20.0, 40.0], [0.0, 1.0, 2.0], [3.14, 0.0, 0.0])
    found = at([0, 0, 1], [9.0, 50.0, 22.0], [0.05, 2.0, 1.02], [-3.14, 0.0, 0.0])
    assert jets.matched(true, found, 2).tolist() == [0, 2, -1]
    scores, pt, response = jets.compare(true, found, 2)
    assert scores["matched_share"] == pytest.approx(2 / 3)
    assert pt.tolist() == [10, 20]
    assert response == pytest.approx([0.9, 1.1])


def test_perfect_candidates():
    truth = event(60, seed=1)["ygen"]
    ids = metrics.classes(truth)
    counts = metrics.confusion(ids, ids)
    scores = metrics.class_scores(counts, 1)
    assert (scores["efficiency"], scores["fake_rate"]) == (1, 0)
    assert metrics.spread(metrics.deviation(truth[ids == 1], truth[ids == 1], "pt"))["std"] == 0


def test_rule_based_particle_flow_on_third_party_events(reference_data):
    """Fifty top pairs with 200 pile-up collisions: values found independently on the same file."""
    path = reference_data / "mlpf_ttbar_pu200.h5"
    source = reader.open_events(path, buckets=(8192,), too_long="truncate")
    batch = source[np.arange(50)]
    inside = np.arange(batch["X"].shape[1]) < batch["n"][:, None]
    truth, found = batch["ygen"][inside], batch["ycand"][inside]
    ids = metrics.classes(truth)
    neutral = metrics.class_scores(metrics.confusion(ids, metrics.classes(found)), 2)
    assert neutral["efficiency"] == pytest.approx(0.89, abs=0.01)
    assert neutral["fake_rate"] == pytest.approx(0.06, abs=0.01)
    width = {}
    for label, quantity in ((2, "energy"), (1, "pt")):
        both = metrics.common(truth, [found], label)
        width[label] = metrics.spread(metrics.deviation(truth[both], found[both], quantity))
    assert width[2]["iqr"] == pytest.approx(0.28, abs=0.01)
    assert width[1]["iqr"] == pytest.approx(0.16, abs=0.01)
    # The published standard deviations, on their own events: 0.35 and 0.21.
    assert width[2]["std"] == pytest.approx(0.35, abs=0.02)
    assert width[1]["std"] == pytest.approx(0.21, abs=0.02)
