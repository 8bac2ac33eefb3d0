"""Shower quantities against showers whose answers are known on paper."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepjax.physics.calorimeter import observables

GRID = (25, 25, 25)


def delta(x: int, y: int, z: int, energy: float = 2.0) -> np.ndarray:
    shower = np.zeros((1, *GRID), np.float32)
    shower[0, x, y, z] = energy
    return shower


def test_sampling_fraction_of_a_shower_of_known_energy():
    showers = np.concatenate([delta(1, 2, 3, 2.0), delta(4, 5, 6, 1.0)])
    fractions = observables.sampling_fraction(showers, np.array([100.0, 40.0]))
    np.testing.assert_allclose(fractions, [0.02, 0.025], rtol=1e-6)


@pytest.mark.parametrize(
    ("energy", "percent"),
    [(10, 2.18), (50, 2.09), (100, 2.02), (200, 1.93), (300, 1.88), (400, 1.84), (500, 1.81)],
)
def test_published_sampling_fraction(energy, percent):
    assert 100 * float(observables.published_sampling_fraction(energy)) == pytest.approx(
        percent, abs=0.0055
    )


def test_profiles_hold_the_whole_energy_on_their_axis():
    for profile, place in zip(observables.profiles(delta(3, 7, 11)), (3, 7, 11), strict=True):
        expected = np.zeros((1, 25))
        expected[0, place] = 2.0
        np.testing.assert_allclose(profile, expected)


def test_projections_keep_the_two_axes_they_name():
    xy, xz, yz = observables.projections(delta(3, 7, 11))
    assert (float(xy[0, 3, 7]), float(xz[0, 3, 11]), float(yz[0, 7, 11])) == (2.0, 2.0, 2.0)


def test_moments_count_from_the_first_cell_without_half():
    """Energies 3 and 1 at 4 and 8: mean 5, variance 3, third moment 6."""
    shower = delta(4, 10, 0, 3.0) + delta(8, 10, 24, 1.0)
    found = observables.moments(shower, 3)[0]
    np.testing.assert_allclose(found[:, 0], [5.0, 3.0, 6.0], rtol=1e-5)
    np.testing.assert_allclose(found[:, 1], [10.0, 0.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(found[:2, 2], [6.0, 108.0], rtol=1e-5)


@given(st.floats(0.1, 10.0), st.integers(0, 2**31 - 1))
@settings(max_examples=10)
def test_shape_quantities_do_not_depend_on_the_energy_scale(scale, seed):
    showers = np.random.default_rng(seed).gamma(0.5, size=(2, 4, 4, 20)).astype(np.float32)
    for quantity in (
        observables.moments,
        observables.longitudinal_ratios,
        observables.measured_angle,
    ):
        np.testing.assert_allclose(
            quantity(showers * scale), quantity(showers), rtol=1e-3, atol=1e-4
        )


def test_longitudinal_ratios_split_at_layers_8_and_16():
    showers = np.concatenate([delta(0, 0, z) for z in (0, 7, 8, 15, 16, 24)])
    expected = np.repeat(np.eye(3), 2, axis=0)
    np.testing.assert_allclose(observables.longitudinal_ratios(showers), expected)


def test_hits_are_above_the_threshold():
    shower = delta(0, 0, 0, 2.9e-4) + delta(1, 0, 0, 3.1e-4) + delta(2, 0, 0, 1.0)
    assert int(observables.hits(shower)[0]) == 2
    assert int(observables.hits(shower, 1e-4)[0]) == 3


def test_sparsity_counts_cells_above_each_power_of_ten():
    curve = np.asarray(observables.sparsity(delta(0, 0, 0, 3e-4) + delta(1, 1, 1, 0.5)))[0] * 25**3
    by_exponent = dict(zip(observables.SPARSITY_EXPONENTS, np.round(curve, 3), strict=True))
    assert (by_exponent[-13], by_exponent[-4], by_exponent[-3], by_exponent[0]) == (2, 2, 1, 0)


def test_cell_spectrum_bins_are_equal_in_the_logarithm():
    """100 bins from 1e-12 to 10 GeV: 1 GeV is in bin 12 / 0.13 = 92; 50 GeV is beyond."""
    spectrum = np.asarray(observables.cell_spectrum(delta(0, 0, 0, 1.0) + delta(0, 0, 1, 50.0)))[0]
    assert np.flatnonzero(spectrum).tolist() == [92]
    assert spectrum[92] == 1


def test_max_position():
    shower = delta(5, 6, 7, 0.5) + delta(20, 1, 13, 0.6)
    np.testing.assert_array_equal(observables.max_position(shower), [[20, 1, 13]])


def test_empty_showers_give_zero_not_nan():
    empty = np.zeros((2, *GRID), np.float32)
    for quantity in (observables.moments, observables.longitudinal_ratios, observables.sparsity):
        assert np.all(np.asarray(quantity(empty)) == 0)


def test_correlation_matrix_of_known_columns():
    x = np.linspace(1, 2, 50)
    matrix = np.asarray(observables.correlation_matrix(np.stack([x, -3 * x, np.full(50, 7.3)], 1)))
    np.testing.assert_allclose(matrix, [[1, -1, 0], [-1, 1, 0], [0, 0, 1]], atol=1e-5)


def test_correlated_columns_are_in_the_published_order():
    row = np.asarray(observables.correlated(delta(3, 7, 11, 2.0), np.array([80.0])))[0]
    by_name = dict(zip(observables.CORRELATED, row, strict=True))
    expected = {"Mx1": 3, "My1": 7, "Mz1": 11, "Mz2": 0, "Esum": 2, "Ep": 80, "hits": 1, "R2": 1}
    assert {name: float(by_name[name]) for name in expected} == pytest.approx(expected)


def inclined(angle: float, layers: int = 25) -> np.ndarray:
    """A track in the y-z plane: each layer shares its energy between two cells in y."""
    shower = np.zeros((1, 51, 51, layers), np.float32)
    for z in range(layers):
        y = 25.0 + (z - (layers - 1) / 2) / np.tan(angle)
        low = int(np.floor(y))
        shower[0, 25, low, z], shower[0, 25, low + 1, z] = 1 - (y - low), y - low
    return shower


@pytest.mark.parametrize("degrees", [62.0, 90.0, 118.0])
def test_measured_angle_of_an_inclined_line(degrees):
    """The published sign: slope along +z in y makes the angle smaller than 90 degrees."""
    found = float(observables.measured_angle(inclined(np.radians(degrees)))[0])
    # The layer at the barycentre says 90 degrees; with weight z it pulls by 1/25 of the tilt.
    assert np.degrees(found) == pytest.approx(90 + (degrees - 90) * 0.96, abs=0.5)


def test_measured_angle_of_an_empty_shower_is_the_published_flag():
    assert float(observables.measured_angle(np.zeros((1, *GRID), np.float32))[0]) == 100.0


def test_measured_angle_reproduces_the_value_stored_with_geant4_showers(reference_data):
    import h5py

    with h5py.File(reference_data / "clic_ele_angle_10events.h5") as file:
        showers, stored = file["ECAL"][:], file["mtheta"][:]
    np.testing.assert_allclose(observables.measured_angle(showers), stored, atol=1e-5)


def test_gradients_are_finite_on_empty_showers_and_layers():
    showers = jnp.concatenate([jnp.zeros((1, *GRID)), delta(12, 12, 12), delta(3, 3, 0)])
    for quantity in (
        observables.measured_angle,
        observables.moments,
        observables.longitudinal_ratios,
    ):
        gradient = jax.jit(jax.grad(lambda s, quantity=quantity: quantity(s).sum()))(showers)
        assert bool(jnp.isfinite(gradient).all())


def test_gradient_of_the_angle_turns_the_shower_the_right_way():
    # An even number of layers: none lies at the barycentre, where the slope has no gradient.
    shower = jnp.asarray(inclined(np.radians(80.0), layers=24))
    gradient = jax.jit(jax.grad(lambda s: observables.measured_angle(s).sum()))(shower)[0]
    # More energy at large y in the last layer tilts the axis further: a smaller angle.
    assert float(gradient[25, 35, 23]) < float(gradient[25, 20, 23])
