"""The toy: decays that conserve momentum, spectra near those it imitates, events by seed."""

from itertools import islice

import numpy as np
import pytest

from hepjax import InputError, MissingExtraError
from hepjax.simulate.collisions import events, pythia
from hepjax.simulate.collisions.toy import soft_hadrons, toy_collisions, two_body


def test_two_body_decay_conserves_momentum_and_masses():
    rng = np.random.default_rng(0)
    momentum = rng.normal(0, 50, (3, 500))
    parent = (*momentum, np.sqrt((momentum**2).sum(0) + 172.5**2))
    daughters = two_body(parent, (80.4, 4.8), rng)
    np.testing.assert_allclose(np.sum(daughters, axis=0), parent, atol=1e-9)
    for (px, py, pz, energy), mass in zip(daughters, (80.4, 4.8), strict=True):
        np.testing.assert_allclose(np.sqrt(energy**2 - px**2 - py**2 - pz**2), mass, rtol=1e-4)


def test_soft_hadrons_look_like_minimum_bias():
    made = soft_hadrons(50_000, np.random.default_rng(0))
    pions = np.abs(made.pdg) == 211
    assert pions.sum() / 50_000 == pytest.approx(0.5, abs=0.01)
    assert made.pt[pions].mean() == pytest.approx(0.485, rel=0.05)  # Pythia 8.317, 14 TeV
    assert abs(made.charge.sum()) < 1000
    assert np.median(np.abs(made.eta[pions])) == pytest.approx(3.5, abs=0.5)
    np.testing.assert_array_equal(made.charge[pions], np.sign(made.pdg[pions]))


@pytest.mark.parametrize(("process", "least"), [("minbias", 1), ("qcd", 100), ("ttbar", 100)])
def test_sequences_depend_on_process_and_seed(process, least):
    first = list(islice(toy_collisions(process, 3), 5))
    again = list(islice(toy_collisions(process, 3), 5))
    other = next(toy_collisions(process, 4))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.px, b.px)
        assert len(a) >= least
        mass2 = a.energy**2 - a.px**2 - a.py**2 - a.pz**2
        assert np.all(mass2 > -1e-6 * a.energy**2)
    assert len(other) != len(first[0]) or not np.array_equal(other.px, first[0].px)


def test_top_pairs_have_leptons_one_time_in_three():
    codes = np.concatenate([np.unique(e.pdg) for e in islice(toy_collisions("ttbar", 0), 600)])
    neutrinos = np.isin(np.abs(codes), (12, 14)).sum()
    assert neutrinos / 1200 == pytest.approx(1 / 3, abs=0.06)


def simulated(n, seed=0, pileup=3.0):
    made = events.simulate_events("ttbar", n, pileup, seed, toy=True, pool_events=20)
    return list(made)


def test_the_same_seed_gives_the_same_events_however_many():
    three, five = simulated(3), simulated(5)
    for a, b in zip(three, five, strict=False):
        np.testing.assert_array_equal(a.X, b.X)
        np.testing.assert_array_equal(a.ygen, b.ygen)
        np.testing.assert_array_equal(a.ycand, b.ycand)
    assert not np.array_equal(simulated(1, seed=1)[0].X[:5], three[0].X[:5])


def test_more_pileup_more_elements():
    few, many = (np.mean([len(e.X) for e in simulated(5, pileup=p)]) for p in (0.0, 20.0))
    assert many > few + 200


def test_about_5000_elements_at_200_collisions():
    made = events.simulate_events("ttbar", 3, 200.0, 0, toy=True, pool_events=300)
    assert 4000 < np.mean([len(e.X) for e in made]) < 6500


def test_a_toy_is_called_one():
    assert "toy" in events.provenance("ttbar", 200.0, 0, toy=True)["generator"]


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("higgs", 1, 0.0, 0), "process"),
        (("ttbar", 1, -1.0, 0), "pileup"),
        (("ttbar", 1, float("nan"), 0), "pileup"),
    ],
)
def test_wrong_values_are_refused(arguments, key):
    with pytest.raises(InputError, match=f"^{key}: expected"):
        next(events.simulate_events(*arguments, toy=True))
    with pytest.raises(InputError, match="process: expected one of"):
        next(toy_collisions("higgs", 0))


def test_without_pythia_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    assert not pythia.is_available()
    with pytest.raises(MissingExtraError, match=r"hepjax\[hep\]"):
        next(pythia.collisions("ttbar", 0))
