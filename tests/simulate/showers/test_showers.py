"""Whole showers: reproducible whatever the batching, physical, and close to full Monte Carlo."""

import os
import subprocess
import sys
from dataclasses import replace

import h5py
import jax
import numpy as np
import pytest

from hepjax import InputError
from hepjax.formats.showers.calorimeters import calorimeter, names
from hepjax.simulate.showers.geometry import active_centres_mm
from hepjax.simulate.showers.model import TUNED
from hepjax.simulate.showers.showers import quantum, simulate_showers

CLIC_FIXED, CLIC_ANGLE = calorimeter("clic-25"), calorimeter("clic-51")
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
        "from hepjax.formats.showers.calorimeters import calorimeter\n"
        "from hepjax.simulate.showers.showers import simulate_showers\n"
        "assert jax.local_device_count() == 2\n"
        "energy = np.full(5, 20.0)\n"
        "key = jax.random.key(3)\n"
        "clic = calorimeter('clic-25')\n"
        "showers = simulate_showers(clic, energy, np.pi / 2, 'electron', key)\n"
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
    depth = active_centres_mm(CLIC_ANGLE) / CLIC_ANGLE.cell_mm[1]
    # Shower by shower: each is shifted by its own number of cells.
    slope = np.polyfit(depth[5:17], barycentre[:, 5:17].T, 1)[0]
    assert slope[:60].mean() == pytest.approx(np.tan(np.radians(25.0)), abs=0.03)
    assert slope[60:].mean() == pytest.approx(-np.tan(np.radians(20.0)), abs=0.03)
    along_y, along_x = in_yz.sum((0, 2)), showers.sum((0, 2, 3))
    assert (along_y @ y) / along_y.sum() == pytest.approx(25.5, abs=0.3)
    assert (along_x @ y) / along_x.sum() == pytest.approx(25.5, abs=0.3)


@pytest.mark.parametrize("name", names())
def test_each_geometry_is_simulated(name):
    """Its cells, a sampling fraction near the one it is divided by, and a shower that is narrow."""
    found = calorimeter(name)
    energy = np.full(4, 2.0, np.float32)
    showers = simulate_showers(found, energy, NORMAL, "electron", KEY)
    assert showers.shape == (4, *found.shape)
    assert np.isfinite(showers).all()
    assert showers.min() == 0.0
    fraction = showers.reshape(4, -1).sum(1) * found.divided_by / energy
    expected = 0.028 if name.startswith("clic") else 0.1
    expected = expected if found.box else found.divided_by
    assert 0.5 * expected < fraction.mean() < 1.6 * expected


def test_rings_and_sectors_hold_what_the_axis_gives_them():
    """Half of a flat shower's energy in each half of the azimuth, the most in the inner ring."""
    par04 = calorimeter("par04")
    showers = simulate_showers(par04, np.full(60, 20.0), NORMAL, "electron", KEY)
    mean = showers.mean(0).reshape(par04.regular)  # layer, sector, ring
    by_sector = mean.sum((0, 2)) / mean.sum()
    np.testing.assert_allclose(by_sector, 1 / 16, rtol=0.06)
    area = np.diff(np.square(par04.layers[0].rings))
    assert np.all(np.diff(mean.sum((0, 1)) / area) < 0)
    depth = mean.sum((1, 2)) @ np.arange(45) / mean.sum()
    assert 7 < depth < 12  # layers of 0.8 radiation lengths, 8 to 9 at 20 GeV


def test_a_fine_box_and_a_cylinder_see_the_same_shower():
    """The same stack, cells and rings: energy by layer within the statistical errors."""
    cylinder = calorimeter("par04")
    box = replace(
        cylinder, cells=(81, 81), cell_mm=(1.0, 1.0),
        layers=tuple(layer._replace(rings=(), sectors=1) for layer in cylinder.layers),
    )  # fmt: skip
    energy = np.full(20, 5.0)
    fine = simulate_showers(box, energy, NORMAL, "electron", KEY)
    rings = simulate_showers(cylinder, energy, NORMAL, "electron", KEY)
    rings = rings.reshape(20, *cylinder.regular)
    # The same keys draw the same profiles and spots; the box cuts off what lies beyond 40 mm.
    np.testing.assert_allclose(fine.sum((1, 2, 3)) / rings.sum((1, 2, 3)), 1.0, atol=0.08)
    layers = fine.sum((0, 1, 2)) / rings.sum((0, 2, 3)).clip(1e-9)
    assert np.all(np.abs(layers[2:15] - 1) < 0.08)


def test_the_unit_of_the_sums_grows_with_what_a_cell_may_hold():
    clic, argon = (quantum(calorimeter(name), TUNED) for name in ("clic-25", "atlas-photons"))
    assert clic == 1e-9
    assert argon >= 8e-9
    atlas = calorimeter("atlas-photons")
    hot = simulate_showers(atlas, [4000.0], NORMAL, "photon", KEY).max() * atlas.divided_by
    assert hot < 0.5 * 2**32 * argon


@pytest.mark.parametrize(
    ("energy", "theta", "particle", "word"),
    [
        ([0.0], NORMAL, "electron", "energy"),
        ([np.nan], NORMAL, "electron", "energy"),
        ([50.0], 0.1, "electron", "theta"),
        ([50.0], NORMAL, "pion", "hadronic showers come from published data"),
        ([50.0], NORMAL, "muon", "particle"),
    ],
)
def test_what_cannot_be_simulated_is_refused(energy, theta, particle, word):
    with pytest.raises(InputError, match=word):
        simulate_showers(CLIC_FIXED, energy, theta, particle, KEY)


def test_cylinders_are_refused_at_an_angle_and_without_slabs():
    par04 = calorimeter("par04")
    with pytest.raises(InputError, match="rings lie about the shower axis"):
        simulate_showers(par04, [50.0], 1.4, "electron", KEY)
    bare = replace(par04, layers=tuple(layer._replace(slabs=()) for layer in par04.layers))
    with pytest.raises(InputError, match="expected slabs"):
        simulate_showers(bare, [50.0], NORMAL, "electron", KEY)


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
