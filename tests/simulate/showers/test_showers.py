"""Whole showers: reproducible whatever the batching, physical, and close to full Monte Carlo."""

import os
import subprocess
import sys

import h5py
import jax
import numpy as np
import pytest

from hepjax import InputError
from hepjax.simulate.showers.geometry import CLIC_ANGLE, CLIC_FIXED
from hepjax.simulate.showers.showers import simulate_showers

KEY = jax.random.key(3)
NORMAL = np.pi / 2


def mean_layer(showers):
    by_layer = showers.sum((0, 1, 2))
    return (by_layer * np.arange(len(by_layer))).sum() / by_layer.sum()


@pytest.fixture(scope="module")
def electrons():
    return simulate_showers(CLIC_FIXED, np.full(200, 20.0), NORMAL, "electron", KEY)


def test_shape_type_and_positive_energy(electrons):
    assert electrons.shape == (200, 25, 25, 25)
    assert electrons.dtype == np.float32
    assert electrons.min() == 0.0
    assert np.isfinite(electrons).all()


def test_a_shower_does_not_depend_on_its_neighbours(electrons):
    alone = simulate_showers(CLIC_FIXED, [20.0], NORMAL, "electron", KEY, first=7)
    np.testing.assert_array_equal(alone[0], electrons[7])
    mixed = simulate_showers(
        CLIC_FIXED, [60.0, 20.0, 30.0, 20.0], NORMAL, "electron", KEY, first=100
    )
    np.testing.assert_array_equal(mixed[1], electrons[101])
    np.testing.assert_array_equal(mixed[3], electrons[103])


def test_two_devices_draw_the_same_showers(electrons, tmp_path):
    program = (
        "import jax, numpy as np, sys\n"
        "from hepjax.simulate.showers.geometry import CLIC_FIXED\n"
        "from hepjax.simulate.showers.showers import simulate_showers\n"
        "assert jax.local_device_count() == 2\n"
        "energy = np.full(5, 20.0)\n"
        "key = jax.random.key(3)\n"
        "showers = simulate_showers(CLIC_FIXED, energy, np.pi / 2, 'electron', key)\n"
        "np.save(sys.argv[1], showers)\n"
    )
    flags = "--xla_force_host_platform_device_count=2"
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "two.npy")],
        check=True,
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
    )
    np.testing.assert_array_equal(np.load(tmp_path / "two.npy"), electrons[:5])


def test_another_seed_gives_other_showers(electrons):
    other = simulate_showers(CLIC_FIXED, [20.0], NORMAL, "electron", jax.random.key(4))
    assert np.abs(other[0] - electrons[0]).max() > 0.0


def test_the_visible_fraction_falls_slowly_with_energy(electrons):
    high = simulate_showers(CLIC_FIXED, np.full(40, 400.0), NORMAL, "electron", KEY)
    at_20, at_400 = electrons.sum() / (200 * 20.0), high.sum() / (40 * 400.0)
    assert 0.022 < at_20 < 0.027
    assert 0.80 < at_400 / at_20 < 0.95
    assert mean_layer(high) > mean_layer(electrons) + 1.5


def test_photons_start_deeper(electrons):
    photons = simulate_showers(CLIC_FIXED, np.full(200, 20.0), NORMAL, "photon", KEY)
    # 9/7 radiation lengths are almost two layers of 0.69; the thicker ones behind take some off.
    assert 0.6 < mean_layer(photons) - mean_layer(electrons) < 2.2


def test_the_axis_follows_the_tangent_of_the_angle():
    theta = np.radians(np.repeat([65.0, 110.0], 60))
    showers = simulate_showers(CLIC_ANGLE, np.full(120, 20.0), theta, "electron", KEY)
    in_yz = showers.sum(1, dtype=np.float64)  # (n, y, layers): the tilt lies in this plane
    y = np.arange(51) + 0.5
    barycentre = np.einsum("nyz,y->nz", in_yz, y) / np.maximum(in_yz.sum(1), 1e-9)
    depth = CLIC_ANGLE.active_centres_mm() / CLIC_ANGLE.cell_mm
    # Shower by shower: each is shifted by its own number of cells.
    slope = np.polyfit(depth[5:17], barycentre[:, 5:17].T, 1)[0]
    assert slope[:60].mean() == pytest.approx(np.tan(np.radians(25.0)), abs=0.03)
    assert slope[60:].mean() == pytest.approx(-np.tan(np.radians(20.0)), abs=0.03)
    along_y, along_x = in_yz.sum((0, 2)), showers.sum((0, 2, 3))
    assert (along_y @ y) / along_y.sum() == pytest.approx(25.5, abs=0.3)
    assert (along_x @ y) / along_x.sum() == pytest.approx(25.5, abs=0.3)


@pytest.mark.parametrize(
    ("energy", "theta", "particle", "word"),
    [
        ([0.0], NORMAL, "electron", "energy"),
        ([np.nan], NORMAL, "electron", "energy"),
        ([50.0], 0.1, "electron", "theta"),
        ([50.0], NORMAL, "pion", "particle"),
    ],
)
def test_what_cannot_be_simulated_is_refused(energy, theta, particle, word):
    with pytest.raises(InputError, match=word):
        simulate_showers(CLIC_FIXED, energy, theta, particle, KEY)


def test_no_showers_are_an_empty_array():
    assert simulate_showers(CLIC_FIXED, [], NORMAL, "electron", KEY).shape == (0, 25, 25, 25)


def test_showers_follow_full_monte_carlo(reference_data):
    with h5py.File(reference_data / "ecal_e_10_100_25.h5") as file:
        rows = slice(520, 840)  # the showers before these set the tuned constants
        truth, energy = file["ECAL"][rows], file["energy"][rows]
    ours = simulate_showers(CLIC_FIXED, energy, NORMAL, "electron", KEY)

    def quantities(showers):
        tower = showers.sum(3).reshape(len(showers), -1)
        total = tower.sum(1)
        return {
            "visible": (total / energy).mean(),
            "layer": (showers.sum((1, 2)) @ np.arange(25) / total).mean(),
            "hottest cell": showers.max((1, 2, 3)).mean(),
            "hottest tower": (tower.max(1) / total).mean(),
            "occupancy": (showers > 1e-6).mean(),
            "occupancy above 0.1 MeV": (showers > 1e-4).mean(),
        }

    expected, found = quantities(truth), quantities(ours)
    tolerance = {"visible": 0.02, "layer": 0.02, "hottest cell": 0.10}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=tolerance.get(name, 0.07)), name
