"""Elements and targets of events made by hand."""

import numpy as np
import pytest

from hepjax.simulate.collisions.detector import respond
from hepjax.simulate.collisions.ntuple import ntuple, tower_targets
from hepjax.simulate.collisions.particles import particles
from hepjax.simulate.collisions.towers import Towers

MASS = {211: 0.1396, 321: 0.4937, 2212: 0.9383, 11: 0.0, 13: 0.1057, 130: 0.4976, 22: 0.0, 14: 0.0}


def event(*rows):
    """Particles from (code, charge, pT, eta, phi)."""
    code, charge, pt, eta, phi = np.array(rows, float).T
    mass = np.array([MASS[abs(int(c))] for c in code])
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return particles(code, charge, (px, py, pz, np.sqrt(px**2 + py**2 + pz**2 + mass**2)))


def one_tower(particles, energy=50.0):
    """A tower that all these particles left energy in."""
    one = np.array([energy])
    hits = np.arange(len(particles))
    return Towers(one, one * 0, one * 0, one * 0, one, one, 0 * hits, hits)


def target(*rows, tracked=()):
    made = event(*rows)
    has_track = np.isin(np.arange(len(made)), tracked)
    return tower_targets(made, one_tower(made), has_track)[0]


def test_a_tower_stands_for_the_species_with_most_energy_and_the_sum_of_all():
    row = target((22, 0, 30.0, 0.1, 0.5), (130, 0, 20.0, 0.1, 0.5), (211, 1, 15.0, 0.1, 0.5))
    assert row[0] == 3
    assert row[1] == 0
    assert row[2] == pytest.approx(65.0, rel=1e-5)
    assert row[6] == pytest.approx(65.0 * np.cosh(0.1), rel=1e-3)
    assert row[3] == pytest.approx(0.1, rel=1e-5)
    assert row[4:6] == pytest.approx([np.sin(0.5), np.cos(0.5)], rel=1e-5)


def test_species_add_up_before_they_are_compared():
    assert target((22, 0, 30.0, 0, 0), (211, 1, 20.0, 0, 0), (2212, 1, 20.0, 0, 0))[0] == 1


def test_particles_with_a_track_are_no_part_of_a_tower():
    row = target((211, 1, 40.0, 0, 0), (130, 0, 20.0, 0, 0), tracked=[0])
    assert row[0] == 2
    assert row[2] == pytest.approx(20.0)
    assert np.all(target((211, 1, 40.0, 0, 0), tracked=[0]) == 0)


def test_a_charged_hadron_beyond_the_tracker_counts_as_neutral():
    assert target((211, 1, 5.0, 2.4, 0))[:2].tolist() == [1, 1]
    assert target((-211, -1, 5.0, 2.4, 0))[:2].tolist() == [1, 1]  # no sign without a track
    assert target((211, 1, 5.0, 2.6, 0))[:2].tolist() == [2, 0]


def test_a_neutral_hadron_below_9_gev_is_no_target():
    assert target((130, 0, 9.1, 0, 0))[0] == 2
    assert np.all(target((130, 0, 8.9, 0, 0)) == 0)
    assert np.all(target((211, 1, 0.5, 3.0, 0)) == 0)
    assert target((22, 0, 1.0, 0, 0))[0] == 3


def test_an_electron_without_a_track():
    assert target((11, -1, 20.0, 0, 0))[:2].tolist() == [4, 1]


def test_elements_of_a_whole_event():
    made = event(
        (211, 1, 20.0, 0.3, 0.4), (-13, 1, 30.0, -1.0, 2.0), (22, 0, 50.0, 0.7, -2.0),
        (130, 0, 80.0, -0.6, 1.0), (14, 0, 40.0, 0.0, 0.0), (22, 0, 1.0, 6.0, 0.0),
    )  # fmt: skip
    # The pion is lost once in twenty: take a seed where it is not.
    made_of = ntuple(made, respond(made, np.random.default_rng(1)))
    X, ygen, ycand = made_of.X, made_of.ygen, made_of.ycand
    assert X.dtype == ygen.dtype == ycand.dtype == np.float32
    assert X.shape == (5, 12)  # two tracks, then a photon's, a pion's and a neutral's tower
    assert X[:, 0].tolist() == [2, 2, 1, 1, 1]
    assert ygen[:2, 0].tolist() == [1, 5]
    assert ygen[:2, 1].tolist() == [1, 1]  # charge, not the sign of the code
    assert X[1, 9:].tolist() == [1, 1, 0]
    assert X[0, 5] == pytest.approx(X[0, 1] * np.cosh(X[0, 2]), rel=1e-5)
    towers = {int(c): i for i, c in zip(range(2, 5), ygen[2:, 0], strict=True)}
    assert set(towers) == {0, 2, 3}  # the tower of the tracked pion has no target
    assert X[towers[3], 6] == X[towers[3], 5]
    assert X[towers[3], 7] == 0
    assert X[towers[2], 7] == X[towers[2], 5]
    np.testing.assert_allclose(X[2:, 1], X[2:, 5] / np.cosh(X[2:, 2]), rtol=1e-5)
    assert ycand[towers[3], 0] == 3
    assert ycand[towers[2], 0] == 2
    assert ycand[towers[2], 6] == pytest.approx(X[towers[2], 5])
    assert ycand[:2, 0].tolist() == [1, 5]
    assert ycand[1, 2] == X[1, 1]  # muons are not scaled
    np.testing.assert_allclose(
        ygen[[0, 1, towers[2], towers[3]], 2], [20.0, 30.0, 80.0, 50.0], rtol=1e-5
    )
    assert made_of.unassociated == 2  # the neutrino, and the photon in the beam pipe


def test_an_event_without_anything_visible():
    made = event((14, 0, 40.0, 0.0, 0.0))
    made_of = ntuple(made, respond(made, np.random.default_rng(0)))
    assert made_of.X.shape == (0, 12)
    assert made_of.ygen.shape == made_of.ycand.shape == (0, 7)
    assert made_of.unassociated == 1
