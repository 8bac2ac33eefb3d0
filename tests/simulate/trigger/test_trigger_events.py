"""Simulated events of the trigger tasks: reproducible, and right where the truth is known."""

import numpy as np
import pytest

from hepjax.formats.trigger.tables import read_events
from hepjax.formats.trigger.tasks import PIXELS, TASKS
from hepjax.physics.trigger.metrics import bayes
from hepjax.simulate.trigger.anomaly import FIRST, LEPTON, _hard, collisions
from hepjax.simulate.trigger.clusters import LORENTZ, clusters
from hepjax.simulate.trigger.files import write_trigger
from hepjax.simulate.trigger.jets import jets
from hepjax.simulate.trigger.toy import points


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("task", ["toy", "linear", "anomaly", "pixels"])
def test_events_depend_on_their_number_and_seed_alone(tmp_path, task):
    for name, count, seed in (("a", 70, 1), ("b", 70, 1), ("c", 70, 2)):
        write_trigger(tmp_path / name, task, count, seed, lambda n: None)
    a, b, c = (read_events([tmp_path / name], TASKS[task]) for name in "abc")
    np.testing.assert_array_equal(a.inputs, b.inputs)
    np.testing.assert_array_equal(a.label, b.label)
    assert (a.inputs != c.inputs).any()
    assert len(a.inputs) == 70


def test_the_best_accuracy_of_the_linear_toy_is_that_of_the_mean_posterior():
    from hepjax.formats.trigger.tasks import mixture

    for name in ("toy", "linear"):
        events = points(name, 20000, rng())
        share, error = bayes(name, events.inputs, events.label)
        # The best classifier is right as often as it says it is.
        said = mixture(name).posterior(events.inputs).max(axis=1).mean()
        assert share == pytest.approx(said, abs=4 * error)
        # Nearest mean is the best of the linear toy and not of the other.
        away = ((events.inputs[:, None] - mixture(name).mean) ** 2).sum(2)
        nearest = (away.argmin(1) == events.label).mean()
        assert nearest == share if name == "linear" else nearest < share - 20 * error


def test_jets_have_the_masses_of_what_they_are():
    events = jets(500, rng(1))
    mass = events.inputs[:, TASKS["jets"].inputs.index("mass_mmdt")]
    multiplicity = events.inputs[:, TASKS["jets"].inputs.index("multiplicity")]
    by = {name: mass[events.label == k] for k, name in enumerate(TASKS["jets"].classes)}
    assert np.median(by["w"]) == pytest.approx(80, abs=6)
    assert np.median(by["z"]) == pytest.approx(91, abs=6)
    assert 130 < np.quantile(by["t"], 0.7) < 185
    assert np.median(by["q"]) < 60
    assert multiplicity[events.label == 0].mean() > 1.3 * multiplicity[events.label == 1].mean()
    assert np.isfinite(events.inputs).all()


def test_collisions_have_ordered_objects_above_threshold():
    events = collisions(False, 800, rng(2))
    objects = events.inputs.reshape(-1, 19, 3)
    for first, last, least in ((1, 5, 3.0), (5, 9, 3.0), (9, 19, 15.0)):
        pt = objects[:, first:last, 0]
        assert (np.diff(pt, axis=1) <= 0).all()
        assert pt[pt > 0].min() >= least
    absent = objects[..., 0] == 0
    assert absent.any()
    assert (objects[absent] == 0).all()
    assert (events.label == 0).all()
    signal = collisions(True, 400, rng(3))
    assert np.bincount(signal.label).tolist() == [0, 100, 100, 100, 100]
    for inputs in (events.inputs, signal.inputs):
        leptons = inputs[:, [FIRST["egamma"], FIRST["muon"]]].max(axis=1)
        assert leptons.min() > LEPTON


def test_the_momentum_of_a_resonance_is_balanced_by_a_jet():
    parts = _hard("z", np.arange(300), rng(5))
    total = sum(np.stack([part.px, part.py]) for part in parts)
    np.testing.assert_allclose(total, 0.0, atol=1e-9)


def test_clusters_are_as_long_as_the_angle_of_the_track():
    made = clusters(3000, rng(4))
    slope, rows = made.labels["cotBeta"], (made.charge.sum(2) > 0).sum(1)
    assert made.charge.shape == (3000, *PIXELS)
    # The drift turns charge aside, so that tracks along the Lorentz angle have the shortest ones.
    away = np.abs(slope - LORENTZ)
    near, far = rows[away < 0.08].mean(), rows[(away > 0.4) & (away < 0.6)].mean()
    assert far > near + 1.5
    # Both charges of one momentum bend to either side of a straight track from the beam.
    pt, straight = made.labels["pt"], made.labels["y-local"] / 30.0
    bend = slope - straight
    assert (bend[(pt > 0) & (pt < 0.3)] > 0).all()
    assert (bend[(pt < 0) & (pt > -0.3)] < 0).all()
    path = np.sqrt(1 + slope**2 + made.labels["cotAlpha"] ** 2)
    total = made.charge.sum((1, 2)) / path
    assert 6000 < np.median(total) < 11000
