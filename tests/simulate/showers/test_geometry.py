"""The calorimeter and its effective medium."""

import numpy as np
import pytest

from hepjax import InputError
from hepjax.simulate.showers.geometry import CLIC_ANGLE, CLIC_FIXED, Calorimeter, effective_medium


def test_effective_medium_of_the_clic_sandwich():
    medium = effective_medium(CLIC_FIXED)
    assert medium.z == pytest.approx(72.5, abs=0.1)
    assert medium.density == pytest.approx(7.85, abs=0.01)
    assert medium.x0_mm == pytest.approx(8.765, abs=0.005)
    assert medium.critical_energy == pytest.approx(8.23e-3, abs=0.01e-3)
    assert medium.moliere_mm == pytest.approx(22.6, abs=0.1)
    assert medium.periods_per_x0 == pytest.approx(1.449, abs=0.001)
    assert medium.e_hat == pytest.approx(0.704, abs=0.001)


def test_the_stack_is_22_7_radiation_lengths_deep():
    boundaries = CLIC_FIXED.boundaries_x0()
    assert boundaries.shape == (26,)
    assert boundaries[-1] == pytest.approx(22.7, abs=0.1)
    # The last eight layers have twice the tungsten of the others.
    steps = np.diff(boundaries)
    assert steps[17] / steps[16] == pytest.approx(2.0, abs=0.02)


def test_silicon_planes_lie_behind_their_absorbers():
    centres = CLIC_FIXED.active_centres_mm()
    assert centres[0] == pytest.approx(2.65)
    assert centres[1] - centres[0] == pytest.approx(2.4 + 0.5 + 3.15)
    assert centres[24] - centres[23] == pytest.approx(4.8 + 0.5 + 3.15)


def test_the_angle_layout_is_wider_and_otherwise_the_same():
    assert CLIC_ANGLE.shape == (51, 51, 25)
    assert CLIC_FIXED.shape == (25, 25, 25)
    assert effective_medium(CLIC_ANGLE) == effective_medium(CLIC_FIXED)


@pytest.mark.parametrize("wrong", [{"cell_mm": 0.0}, {"absorber_mm": ()}, {"cells": (0, 25)}])
def test_an_impossible_calorimeter_is_refused(wrong):
    with pytest.raises(InputError, match="calorimeter"):
        Calorimeter(**wrong)
