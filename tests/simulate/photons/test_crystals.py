"""Showers in lead tungstate."""

import numpy as np
import pytest

from hepjax.simulate.photons.crystals import Crystals, Showers, deposit

FINE = Crystals(size_mm=5.0)


def showers(n, energy, at_mm, photon=False):
    zero = np.zeros(n)
    return Showers(
        np.arange(n), np.full(n, energy), np.full(n, photon), zero + at_mm, zero + at_mm, zero, zero
    )


def test_26_radiation_lengths_hold_a_shower_of_50_gev():
    cells = deposit(Crystals(), showers(64, 50.0, 341.0), 64, (31, 31), np.random.default_rng(0))
    assert cells.shape == (64, 31, 31)
    assert cells.dtype == np.float32
    contained = cells.sum((1, 2)) / 50.0
    assert 0.97 < contained.mean() < 1.0
    assert contained.max() <= 1.0 + 1e-5
    # Centred on a crystal: three quarters in it, nearly all in 3 x 3 (CMS: 0.78 and 0.94).
    assert 0.65 < (cells[:, 15, 15] / 50.0).mean() < 0.85
    assert 0.90 < (cells[:, 14:17, 14:17].sum((1, 2)) / 50.0).mean() < 0.97


def test_nine_tenths_are_within_a_moliere_radius():
    cells = deposit(FINE, showers(32, 50.0, 250.0), 32, (100, 100), np.random.default_rng(1))
    centre = 5.0 * (np.arange(100) + 0.5) - 250.0
    near = np.hypot(centre[:, None], centre[None, :]) < 20.4
    assert cells[:, near].sum() / cells.sum() == pytest.approx(0.9, abs=0.03)


def test_photons_start_deeper_and_leak_more():
    rng = np.random.default_rng(2)
    electrons, photons = (
        deposit(Crystals(), showers(64, 50.0, 341.0, photon), 64, (31, 31), rng)
        for photon in (False, True)
    )
    shallow = Crystals(depth_mm=90.0, slices=10)
    front = [
        deposit(shallow, showers(64, 50.0, 341.0, photon), 64, (31, 31), rng).sum()
        for photon in (False, True)
    ]
    assert front[1] < 0.95 * front[0]
    assert abs(photons.sum() / electrons.sum() - 1.0) < 0.01


def test_showers_of_one_event_add_up():
    two = showers(2, 50.0, 341.0)._replace(event=np.zeros(2, np.int64))
    cells = deposit(Crystals(), two, 1, (31, 31), np.random.default_rng(4))
    assert cells.shape == (1, 31, 31)
    assert cells.sum() == pytest.approx(99.0, abs=1.5)
