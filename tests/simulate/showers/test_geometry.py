"""Depths, shares and the effective medium of calorimeters."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hepjax.formats.showers.calorimeter import Calorimeter, Layer, Slab
from hepjax.formats.showers.calorimeters import calorimeter
from hepjax.simulate.showers.geometry import (
    active_centres_mm,
    active_fractions,
    boundaries_x0,
    crossing_energies,
    effective_medium,
)

CLIC = calorimeter("clic-25")


def test_effective_medium_of_the_clic_sandwich():
    medium = effective_medium(CLIC)
    assert medium.z == pytest.approx(72.5, abs=0.1)
    assert medium.density == pytest.approx(7.85, abs=0.01)
    assert medium.x0_mm == pytest.approx(8.765, abs=0.005)
    assert medium.critical_energy == pytest.approx(8.23e-3, abs=0.01e-3)
    assert medium.moliere_mm == pytest.approx(22.6, abs=0.1)
    assert medium.periods_per_x0 == pytest.approx(1.449, abs=0.001)
    assert medium.e_hat == pytest.approx(0.704, abs=0.001)
    assert effective_medium(calorimeter("clic-51")) == medium


def test_the_stack_is_22_7_radiation_lengths_deep():
    boundaries = boundaries_x0(CLIC)
    assert boundaries.shape == (26,)
    assert boundaries[-1] == pytest.approx(22.7, abs=0.1)
    # The last eight layers have twice the tungsten of the others.
    steps = np.diff(boundaries)
    assert steps[17] / steps[16] == pytest.approx(2.0, abs=0.02)


def test_silicon_planes_lie_behind_their_absorbers():
    centres = active_centres_mm(CLIC)
    assert centres[0] == pytest.approx(2.65)
    assert centres[1] - centres[0] == pytest.approx(2.4 + 0.5 + 3.15)
    assert centres[24] - centres[23] == pytest.approx(4.8 + 0.5 + 3.15)


def test_periods_are_the_same_as_layers_put_together():
    par04 = calorimeter("par04")
    single = replace(
        par04, layers=tuple(replace_(layer, periods=1) for layer in par04.layers for _ in (0, 1))
    )
    np.testing.assert_allclose(boundaries_x0(par04), boundaries_x0(single)[::2])
    pairs = active_centres_mm(single).reshape(-1, 2)
    np.testing.assert_allclose(active_centres_mm(par04), pairs.mean(1))
    np.testing.assert_allclose(active_fractions(par04), active_fractions(single)[::2])
    assert effective_medium(par04) == effective_medium(single)
    assert sum(slab.mm for slab in par04.stack) == pytest.approx(153)  # the published depth


def replace_(layer, **changes):
    return layer._replace(**changes)


def test_par04_is_36_radiation_lengths_deep_with_its_published_sampling_fraction():
    par04 = calorimeter("par04")
    assert boundaries_x0(par04)[-1] == pytest.approx(45 * 0.8, rel=0.02)
    medium = effective_medium(par04)
    fraction = medium.e_hat * active_fractions(par04)[0]
    assert fraction == pytest.approx(par04.divided_by, rel=0.25)


def test_a_block_without_absorber_is_homogeneous():
    block = Calorimeter(
        "block", tuple(Layer((Slab("lead-tungstate", 10.0, True),)) for _ in range(3)), (3, 3)
    )
    medium = effective_medium(block)
    assert medium.e_hat == 1.0
    assert math.isinf(medium.periods_per_x0)
    assert medium.x0_mm == pytest.approx(8.93, rel=0.01)
    np.testing.assert_array_equal(active_fractions(block), 1.0)


def test_a_crossing_is_shared_by_the_active_slabs_of_a_period():
    one = Calorimeter("one", (Layer((Slab("lead", 5.0), Slab("silicon", 0.6, True))),), (3, 3))
    two = Layer((Slab("silicon", 0.3, True), Slab("lead", 5.0), Slab("silicon", 0.3, True)))
    halves = replace(one, layers=(two,))
    assert crossing_energies(one)[0] == pytest.approx(0.06 * 3.876e-3)
    assert crossing_energies(halves)[0] == pytest.approx(0.03 * 3.876e-3)
    np.testing.assert_allclose(active_fractions(one), active_fractions(halves))


def test_gas_has_a_thickness_and_no_mass_unless_it_is_active():
    layer = CLIC.layers[0]
    bare = replace(CLIC, layers=(layer._replace(slabs=layer.slabs[:2]),))
    assert active_fractions(CLIC)[0] == active_fractions(bare)[0]
    assert effective_medium(CLIC).x0_mm > effective_medium(bare).x0_mm
    chamber = Calorimeter("chamber", (Layer((Slab("iron", 5.0), Slab("air", 5.0, True))),), (3, 3))
    assert 0 < active_fractions(chamber)[0] < 1e-3
