"""The parametrisation: published numbers, conservation of energy, and trends that must hold."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepjax.formats.showers.calorimeters import calorimeter
from hepjax.simulate.showers import model
from hepjax.simulate.showers.geometry import effective_medium
from hepjax.simulate.showers.model import PUBLISHED, TUNED

MEDIUM = effective_medium(calorimeter("clic-25"))


def test_mean_shape_at_100_gev_follows_the_published_formulas():
    mean = model.longitudinal(jnp.float32(100.0), MEDIUM)
    log_y = np.log(100.0 / 8.23e-3)
    depth = log_y - 0.812 - 0.55 / 1.449 - 0.69 * (1 - 0.704)
    shape = 0.81 + (0.458 + 2.26 / 72.5) * log_y - 0.476 / 1.449
    assert np.exp(mean.log_t) == pytest.approx(depth, rel=2e-3)
    assert np.exp(mean.log_a) == pytest.approx(shape, rel=2e-3)
    assert float(mean.sigma_t) == pytest.approx(1 / (-2.5 + 1.25 * log_y), rel=2e-3)


@settings(max_examples=20)
@given(
    energy=st.floats(1.0, 1000.0),
    t=st.floats(1.0, 15.0),
    a=st.floats(1.1, 10.0),
)
def test_energy_is_conserved_before_sampling(energy, t, a):
    boundaries = jnp.concatenate([jnp.linspace(0.0, 40.0, 26), jnp.array([1e4])])
    by_layer = model.energy_by_layer(energy, t, a, boundaries)
    assert float(by_layer.sum()) == pytest.approx(energy, rel=1e-4)
    assert float(by_layer.min()) >= 0.0


def test_no_energy_before_the_shower_starts():
    by_layer = model.energy_by_layer(50.0, 7.0, 4.0, jnp.array([-3.0, -1.0, 0.0, 2.0]))
    assert by_layer[0] == 0.0
    assert by_layer[1] == 0.0
    assert by_layer[2] > 0.0


def test_the_gamma_profile_peaks_at_t():
    depths = jnp.linspace(0.0, 20.0, 401)
    by_layer = model.energy_by_layer(1.0, 6.0, 4.0, depths)
    assert float(depths[int(jnp.argmax(by_layer))]) == pytest.approx(6.0, abs=0.2)


def test_fluctuations_have_the_published_spread_and_correlation():
    rng = np.random.default_rng(0)
    mean = model.longitudinal(jnp.float32(100.0), MEDIUM)
    t, a = model.fluctuate(mean, *rng.normal(size=(2, 20_000)).astype(np.float32))
    assert np.std(np.log(t)) == pytest.approx(float(mean.sigma_t), rel=0.03)
    assert np.std(np.log(a)) == pytest.approx(float(mean.sigma_a), rel=0.03)
    correlation = np.corrcoef(np.log(t), np.log(a))[0, 1]
    assert correlation == pytest.approx(float(mean.correlation), abs=0.02)


@pytest.mark.parametrize("tuning", [PUBLISHED, TUNED])
@pytest.mark.parametrize("energy", [0.5, 10.0, 500.0, 2000.0])
def test_radial_profile_stays_physical_at_any_depth(tuning, energy):
    profile = model.radial(jnp.float32(energy), jnp.linspace(0.0, 10.0, 101), MEDIUM, tuning)
    assert np.all((profile.core_weight >= 0) & (profile.core_weight <= 1))
    assert np.all(profile.core_radius > 0)
    assert np.all(profile.tail_radius >= profile.core_radius)
    assert np.all(np.isfinite(profile.tail_radius))


def test_the_core_widens_with_depth():
    profile = model.radial(jnp.float32(50.0), jnp.array([0.5, 1.0, 2.0]), MEDIUM, TUNED)
    assert np.all(np.diff(profile.core_radius) > 0)
