"""Efficiencies and resolutions at the values of the CMS card, and tracks that follow them."""

import numpy as np
import pytest

from hepjax.simulate.collisions.particles import particles
from hepjax.simulate.collisions.tracks import (
    efficiency,
    find_tracks,
    impact_resolution,
    log_normal,
    pt_resolution,
)


@pytest.mark.parametrize(
    ("pdg", "pt", "eta", "expected"),
    [
        (211, 0.05, 0.0, 0.0),
        (211, 0.5, 0.0, 0.70),
        (-321, 0.5, -2.0, 0.60),
        (2212, 5.0, 1.4, 0.95),
        (211, 5.0, -1.6, 0.85),
        (211, 5.0, 2.6, 0.0),
        (11, 0.5, 2.0, 0.50),
        (-11, 50.0, 0.0, 0.95),
        (11, 200.0, 2.0, 0.90),
        (13, 0.5, 0.0, 0.75),
        (-13, 50.0, 2.0, 0.98),
        (13, 2000.0, 0.0, 0.99 * np.exp(-0.5)),
    ],
)
def test_tracking_efficiency_of_the_card(pdg, pt, eta, expected):
    found = efficiency(np.array([pdg]), np.array([pt]), np.array([eta]))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pdg", "pt", "eta", "expected"),
    [
        (211, 1.0, 0.2, np.hypot(0.06, 1.3e-3)),
        (211, 100.0, -1.0, np.hypot(0.10, 0.17)),
        (211, 100.0, 2.0, np.hypot(0.25, 0.31)),
        (11, 40.0, 0.2, np.hypot(0.03, 0.052)),
        (-11, 40.0, 2.0, np.hypot(0.15, 0.124)),
        (13, 100.0, 0.0, np.hypot(0.01, 0.01)),
        (-13, 100.0, -2.0, np.hypot(0.025, 0.035)),
    ],
)
def test_momentum_resolution_of_the_card(pdg, pt, eta, expected):
    found = pt_resolution(np.array([pdg]), np.array([pt]), np.array([eta]))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pt", "eta", "d0", "dz"),
    [  # arXiv:1405.6569: within the bins of the published curves
        (0.2, 0.0, 0.354, 0.369),
        (1.0, 0.5, 0.0753, 0.111),
        (4.0, -0.5, 0.0324, 0.0516),
        (25.0, 0.0, 0.0130, 0.0316),
        (1.0, 1.2, 0.0926, 0.198),
        (1.0, 2.0, 0.1557, 0.670),
        (100.0, -2.0, 0.0130, 0.0820),
    ],
)
def test_impact_parameter_resolution_of_the_card(pt, eta, d0, dz):
    found = impact_resolution(np.array([pt]), np.array([eta]))
    assert found[0][0] == pytest.approx(d0, rel=0.08)
    assert found[1][0] == pytest.approx(dz, rel=0.08)


def test_log_normal_keeps_mean_and_width_and_leaves_nothing_at_zero():
    drawn = log_normal(np.full(200_000, 10.0), 3.0, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(10.0, rel=0.005)
    assert drawn.std() == pytest.approx(3.0, rel=0.02)
    assert drawn.min() > 0
    assert log_normal(np.zeros(3), np.ones(3), np.random.default_rng(0)).tolist() == [0, 0, 0]


def test_tracks_are_found_smeared_and_keep_direction_and_particle():
    n = 20_000
    px = np.full(n, 3.0)
    zero = np.zeros(n)
    energy = np.sqrt(px**2 + 0.1396**2)
    pions = particles(np.full(n, 211), np.ones(n), (px, zero, zero, energy))
    outer = np.full(n, 0.1), np.full(n, -0.2)
    tracks = find_tracks(pions, np.arange(n), outer, 3.8, np.random.default_rng(0))
    assert len(tracks) / n == pytest.approx(0.95, abs=0.01)
    assert tracks.pt.std() / 3.0 == pytest.approx(np.hypot(0.06, 3.0 * 1.3e-3), rel=0.03)
    assert np.all(tracks.eta == 0.0)
    assert np.all(tracks.eta_outer == 0.1)
    assert np.all(tracks.energy > tracks.pt)
    assert np.all(np.diff(tracks.particle) > 0)
    sigma_d0, sigma_dz = impact_resolution(np.array([3.0]), np.array([0.0]))
    assert tracks.d0.std() == pytest.approx(sigma_d0[0], rel=0.05)
    assert tracks.dz.std() == pytest.approx(sigma_dz[0], rel=0.05)


def test_a_particle_that_curls_out_of_acceptance_leaves_no_track():
    pion = particles(np.array([211]), np.array([1]), [np.array([v]) for v in (0.3, 0, 0.05, 0.4)])
    tracks = find_tracks(
        pion, np.array([0]), (np.array([3.1]), np.array([0.0])), 3.8, np.random.default_rng(0)
    )
    assert len(tracks) == 0
