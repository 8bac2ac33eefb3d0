"""Electrons and photons on their way through a tracker."""

import numpy as np
import pytest

from hepjax import InputError
from hepjax.simulate.photons.tracker import Beam, Tracker, traverse

EMPTY = Tracker(thickness_x0=0.0)
THIN = Tracker(layers_mm=(500.0,), thickness_x0=0.05, field_t=0.0)


def beam(n, energy, charge):
    zero = np.zeros(n)
    return Beam(np.arange(n), np.full(n, energy), np.full(n, charge), zero, zero, zero, zero)


def test_an_electron_bends_by_half_the_square_of_the_length_over_the_radius():
    reached = traverse(EMPTY, beam(1, 50.0, -1), np.random.default_rng(0))
    radius = 50.0 / (0.299792458e-3 * 3.8)
    assert reached.x[0] == pytest.approx(-(1290.0**2) / (2 * radius), rel=1e-3)
    assert reached.sine[0] == pytest.approx(-1290.0 / radius)
    assert reached.y[0] == 0.0
    assert traverse(EMPTY, beam(1, 50.0, 0), np.random.default_rng(0)).x[0] == 0.0


def test_soft_electrons_curl_up():
    energy = 1.290 * 0.299792458 * 3.8  # its circle just touches the calorimeter
    assert not len(traverse(EMPTY, beam(3, 0.99 * energy, 1), np.random.default_rng(0)).energy)
    assert len(traverse(EMPTY, beam(3, 1.01 * energy, 1), np.random.default_rng(0)).energy) == 3


def test_energy_is_conserved_without_a_field():
    tracker = Tracker(field_t=0.0)
    for charge in (0, -1):
        reached = traverse(tracker, beam(200, 50.0, charge), np.random.default_rng(1))
        assert len(reached.energy) > 250
        energy = np.bincount(reached.event, reached.energy)
        # Some very soft electrons are scattered out.
        np.testing.assert_allclose(energy, 50.0, rtol=1e-3)
        whole = energy > 50.0 - 1e-9
        assert whole.mean() > 0.9
        assert np.all(np.bincount(reached.event, reached.charge)[whole] == charge)


def test_seven_ninths_of_a_radiation_length_convert_photons():
    reached = traverse(Tracker(field_t=0.0), beam(20_000, 50.0, 0), np.random.default_rng(2))
    whole = (reached.charge == 0) & (reached.energy == 50.0)
    assert whole.sum() / 20_000 == pytest.approx(np.exp(-7 / 9 * 0.58), abs=0.01)


def test_a_pair_shares_the_energy_as_complete_screening_says():
    reached = traverse(THIN, beam(100_000, 50.0, 0), np.random.default_rng(3))
    share = reached.energy[reached.charge < 0] / 50.0
    assert len(share) > 3000
    assert share.mean() == pytest.approx(0.5, abs=0.02)
    # The variance of (9/7) (1 - 4/3 u (1 - u)) on 0 to 1.
    assert share.var() == pytest.approx(9 / 7 * (1 / 18 + 1 / 60), abs=0.006)


def test_electrons_keep_one_in_e_of_their_energy_in_a_radiation_length():
    reached = traverse(THIN, beam(40_000, 50.0, -1), np.random.default_rng(4))
    left = reached.energy[reached.charge != 0] / 50.0
    assert len(left) == 40_000
    assert left.mean() == pytest.approx(np.exp(-0.05), abs=0.003)


def test_multiple_scattering_is_highlands():
    reached = traverse(THIN, beam(20_000, 1.0, -1), np.random.default_rng(5))
    unradiated = reached.energy == 1.0
    width = 0.0136 * np.sqrt(0.05) * (1 + 0.038 * np.log(0.05))
    assert reached.slope[unradiated].std() == pytest.approx(width, rel=0.03)
    assert reached.y[unradiated].std() == pytest.approx(790.0 * width, rel=0.03)


def test_layers_out_of_order_are_refused():
    with pytest.raises(InputError, match="layers in order"):
        Tracker(layers_mm=(500.0, 100.0))
