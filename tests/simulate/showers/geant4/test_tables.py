"""Tables written from formulas, against published numbers."""

import numpy as np
import pytest

from hepjax.simulate.showers.geant4.tables import bremsstrahlung, photoelectric, write_stopping

AVOGADRO = 6.02214e23
LOSS = {0.3: 0.0578, 1.0: 0.1155, 10.0: 1.128, 100.0: 13.55, 900.0: 130.5}
"""Radiative energy loss in tungsten by energy in MeV, MeV cm2/g: tables of Seltzer and Berger."""


@pytest.mark.parametrize("kinetic", LOSS)
def test_the_radiative_loss_in_tungsten_is_the_tabulated_one(kinetic):
    fraction = np.linspace(1e-6, 1 - 1e-9, 20_001)
    values = bremsstrahlung(74, kinetic, fraction)
    beta2 = 1 - (0.51099895 / (kinetic + 0.51099895)) ** 2
    # beta^2 / Z^2 k dsigma/dk in mb, integrated over k.
    integral = np.trapezoid(values, fraction) * kinetic * 74**2 / beta2 * 1e-27
    assert AVOGADRO / 183.84 * integral == pytest.approx(LOSS[kinetic], rel=0.03)


def test_the_radiation_length_of_lead_comes_out():
    fraction = np.linspace(1e-6, 1 - 1e-9, 20_001)
    integral = np.trapezoid(bremsstrahlung(82, 1e4, fraction), fraction) * 82**2 * 1e-27
    assert 1 / (AVOGADRO / 207.2 * integral) == pytest.approx(6.37, rel=0.04)  # g/cm2


def test_photoelectric_cross_sections_follow_the_coefficients_of_their_interval():
    rows = np.array([[1e-4, 2.0, 0, 0, 0], [0.05, 0, 0, 0, 3.0]])
    energy, sigma = photoelectric(rows, atoms=10.0)
    assert np.all(np.diff(energy) > 0)
    below, above = energy < 0.05, energy >= 0.05
    np.testing.assert_allclose(sigma[below], 0.2 / energy[below])
    np.testing.assert_allclose(sigma[above], 0.3 / energy[above] ** 4)
    # The edge is sharp: two energies are closer to it than any grid.
    assert np.diff(energy)[np.searchsorted(energy, 0.05) - 1] < 1e-7


def test_ions_get_a_file_for_each_element_of_a_compound(tmp_path):
    write_stopping(tmp_path, [1, 6])
    for name in ("icru73/z3_1.dat", "icru90/z18_6.dat", "icru73/z80_79.dat"):
        assert (tmp_path / "ion_stopping_data" / name).exists()
