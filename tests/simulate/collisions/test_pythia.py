"""Events from Pythia as arrays; skipped where the extra is not installed."""

from itertools import islice

import numpy as np
import pytest

from hepjax import InputError
from hepjax.simulate.collisions.pythia import PROCESSES, collisions

pytest.importorskip("pythia8mc")
pytest.importorskip("awkward")
FAST = ("PartonLevel:MPI = off",)


@pytest.fixture(scope="module")
def tops():
    return list(islice(collisions("ttbar", 1), 20))


def test_events_conserve_energy_momentum_and_charge(tops):
    for particles, _ in tops:
        assert particles.energy.sum() == pytest.approx(14_000.0, rel=1e-6)
        for p in (particles.px, particles.py, particles.pz):
            assert abs(p.sum()) < 1e-3
        assert particles.charge.sum() == 2


def test_long_lived_particles_are_left_to_the_detector(tops):
    codes = set(np.abs(np.concatenate([p.pdg for p, _ in tops])).tolist())
    assert {211, 321, 310, 130, 3122, 22, 13} <= codes  # K0S and Lambda fly further than 10 mm
    assert not codes & {111, 411, 511, 15, 6, 24}


def test_partons_of_a_top_pair(tops):
    for _, partons in tops:
        assert sorted(partons.pdg[np.abs(partons.pdg) == 6].tolist()) == [-6, 6]
        bottoms = np.abs(partons.pdg) == 5
        from_top = bottoms & (np.abs(partons.parent) == 6)
        assert from_top.sum() >= 1  # a top goes to s or d once in five hundred
        from_w = np.abs(partons.parent) == 24
        assert from_w.sum() == 4
        # The daughters of a W have its mass.
        plus = partons.parent == 24
        total = [q[plus].sum() for q in (partons.energy, partons.px, partons.py, partons.pz)]
        mass = np.sqrt(total[0] ** 2 - np.square(total[1:]).sum())
        assert 60 < mass < 100


def test_displaced_vertices_are_kept(tops):
    distance = np.concatenate([np.hypot(p.x, p.y) for p, _ in tops])
    assert np.quantile(distance, 0.5) < 1e-3
    assert 0.5 < distance.max() < 200.0  # mm: decays of B and D hadrons and taus


def test_the_same_seed_gives_the_same_events(tops):
    again = next(collisions("ttbar", 1)).particles
    other = next(collisions("ttbar", 2)).particles
    np.testing.assert_array_equal(again.px, tops[0].particles.px)
    assert len(other) != len(again) or not np.array_equal(other.px, again.px)


@pytest.mark.parametrize("process", sorted(set(PROCESSES) - {"ttbar", "minbias"}))
def test_each_process_starts(process):
    particles, partons = next(collisions(process, 0, FAST))
    assert len(particles) > 20
    outgoing = partons.pdg[np.abs(partons.pdg) != 24]
    if process == "gluons":
        assert outgoing.tolist() == [21, 21]
    if process == "quarks":
        assert np.all(np.abs(outgoing) <= 5)
    limit = {"boosted-top": 380, "hard-qcd": 400, "qcd": 20, "gluons": 80, "quarks": 80}[process]
    # The last copy before radiation moves a little from the pT of the hard process.
    assert partons.pt[:2].max() > 0.9 * limit


def test_wrong_process_and_setting_are_refused():
    with pytest.raises(InputError, match="process: expected one of"):
        next(collisions("higgs", 0))
    with pytest.raises(InputError, match="a setting that it knows"):
        next(collisions("ttbar", 0, ("Top:gg2nothing = on",)))
