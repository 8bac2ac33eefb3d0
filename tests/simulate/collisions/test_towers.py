"""Cells, energy in them, resolutions at the values of the CMS card, and energy flow."""

import numpy as np
import pytest

from hepjax.simulate.collisions.energy_flow import energy_flow
from hepjax.simulate.collisions.towers import ECAL, HCAL, above_threshold, fill_towers, fraction


def fill(calorimeter, energy, pdg, eta, phi, seed=0):
    arrays = (np.asarray(a, float) for a in (energy, pdg, eta, phi))
    return fill_towers(calorimeter, *arrays, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("calorimeter", "energy", "eta", "expected"),
    [
        (ECAL, 50.0, 0.0, np.sqrt(0.4**2 + 0.11**2 * 50 + 0.4**2)),
        (ECAL, 50.0, 1.0, 1.64 * np.sqrt(0.4**2 + 0.11**2 * 50 + 0.4**2)),
        (ECAL, 50.0, 2.0, 2.16 * np.sqrt(0.4**2 + 0.11**2 * 50 + 0.4**2)),
        (ECAL, 50.0, 4.0, np.sqrt(5.35**2 + 2.08**2 * 50)),
        (HCAL, 100.0, 1.0, np.sqrt(5.0**2 + 15.0**2)),
        (HCAL, 100.0, 4.0, np.sqrt(13.0**2 + 27.0**2)),
    ],
)
def test_resolution_of_the_card(calorimeter, energy, eta, expected):
    assert calorimeter.sigma(np.array([energy]), np.array([eta])) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("code", "ecal", "hcal"),
    [(22, 1, 0), (-11, 1, 0), (211, 0, 1), (130, 0, 1), (310, 0.3, 0.7), (13, 0, 0), (-14, 0, 0)],
)
def test_fractions_of_the_card(code, ecal, hcal):
    assert fraction(ECAL, np.array([code])) == ecal
    assert fraction(HCAL, np.array([code])) == hcal


def test_cells_of_both_calorimeters():
    # 340 rows of 1 degree and 2 x 11 of 10 degrees; 38 of 5, 2 x 19 of 10, 2 x 2 of 20.
    assert ECAL.grid.starts[-1] == 340 * 360 + 22 * 36
    assert HCAL.grid.starts[-1] == 38 * 72 + 38 * 36 + 4 * 18
    for grid in (ECAL.grid, HCAL.grid):
        np.testing.assert_allclose(grid.eta_edges, -grid.eta_edges[::-1])
        assert grid.eta_edges[0] == -5.0
        assert np.all(np.diff(grid.eta_edges) > 0)


@pytest.mark.parametrize("calorimeter", [ECAL, HCAL])
def test_each_point_is_inside_the_edges_of_its_cell(calorimeter):
    rng = np.random.default_rng(1)
    eta, phi = rng.uniform(-5.2, 5.2, 5000), rng.uniform(-np.pi, np.pi, 5000)
    cell = calorimeter.grid.cell(eta, phi)
    np.testing.assert_array_equal(cell < 0, np.abs(eta) > 5.0)
    low_eta, high_eta, low_phi, high_phi = calorimeter.grid.edges(cell[cell >= 0])
    eta, phi = eta[cell >= 0], phi[cell >= 0]
    assert np.all((low_eta < eta) & (eta <= high_eta))
    assert np.all((low_phi - 1e-9 <= phi) & (phi <= high_phi + 1e-9))
    assert calorimeter.grid.cell(np.zeros(2), np.array([-np.pi, np.pi])).min() >= 0


def test_towers_hold_the_energy_of_their_particles():
    rng = np.random.default_rng(2)
    n = 3000
    energy = rng.uniform(200.0, 500.0, n)  # far above all thresholds
    pdg = rng.choice([211, 22, 130, 310, 13], n)
    eta, phi = rng.uniform(-4.9, 4.9, n), rng.uniform(-np.pi, np.pi, n)
    for calorimeter in (ECAL, HCAL):
        towers = fill(calorimeter, energy, pdg, eta, phi)
        share = fraction(calorimeter, pdg)
        assert towers.deposited.sum() == pytest.approx((energy * share).sum())
        again = np.bincount(
            towers.hit_tower, (energy * share)[towers.hit_particle], minlength=len(towers)
        )
        np.testing.assert_allclose(again, towers.deposited)
        # Smearing keeps the mean.
        assert towers.energy.sum() == pytest.approx(towers.deposited.sum(), rel=0.03)
        np.testing.assert_array_equal(calorimeter.grid.cell(towers.eta, towers.phi), towers.cell)


def test_a_tower_below_minimum_or_significance_is_not_seen():
    towers = fill(ECAL, [0.2, 100.0], [22, 22], [0.1, 1.0], [0.0, 0.0])
    seen, kept = above_threshold(towers)
    assert kept.tolist() == [1]
    assert seen.hit_particle.tolist() == [1]
    assert seen.hit_tower.tolist() == [0]
    # 1.5 sqrt(E): 5 GeV in the HCAL is 1.5 standard deviations.
    energy = fill(HCAL, np.full(200, 5.0), np.full(200, 130), np.linspace(-1.6, 1.6, 200),
                  np.linspace(-3, 3, 200)).energy  # fmt: skip
    assert np.all((energy == 0) | (energy >= 2 * HCAL.sigma(energy, 0.0)))
    assert 0 < (energy == 0).mean() < 1


def test_what_does_not_get_to_the_calorimeter_leaves_nothing():
    towers = fill(ECAL, [50.0, 50.0], [22, 22], [np.nan, 5.5], [0.0, 0.0])
    assert len(towers) == 0


def hadron_tower(energy, track_energy, resolution):
    """Energy flow of one HCAL tower that measured ``energy``, with one track in it."""
    towers = fill(HCAL, [energy], [211], [0.5], [0.5])
    exact = HCAL.sigma(np.array([energy]), np.array([0.5]))
    measured = type(towers)(**{**vars(towers), "energy": np.array([energy]), "sigma": exact})
    return energy_flow(
        HCAL, measured, np.array([track_energy]), np.array([resolution]), np.array([211]),
        towers.cell,
    )  # fmt: skip


def test_a_significant_excess_over_the_tracks_is_a_neutral_particle():
    excess, factor = hadron_tower(100.0, 20.0, 0.01)
    assert excess == pytest.approx(80.0)
    assert factor == 1.0


def test_without_an_excess_tracks_take_the_inverse_variance_mean():
    excess, factor = hadron_tower(100.0, 90.0, 0.10)
    assert excess == 0.0
    weights = np.array([1 / 9.0**2, 1 / (5.0**2 + 15.0**2)])
    assert factor * 90.0 == pytest.approx(weights @ [90.0, 100.0] / weights.sum())


def test_muons_and_tracks_in_other_cells_take_no_part():
    towers = fill(HCAL, [400.0], [130], [0.5], [0.5])
    excess, factor = energy_flow(
        HCAL, towers, np.array([300.0, 300.0]), np.array([0.01, 0.01]), np.array([13, 211]),
        np.array([towers.cell[0], towers.cell[0] + 1]),
    )  # fmt: skip
    assert excess[0] == towers.energy[0]
    assert factor.tolist() == [1.0, 1.0]


def test_no_towers_at_all():
    towers = fill(HCAL, [], [], [], [])
    excess, factor = energy_flow(
        HCAL, towers, np.array([1.0]), np.array([0.1]), np.array([211]), np.array([3])
    )
    assert len(excess) == 0
    assert factor.tolist() == [1.0]
