"""Spectra of waves and noise, and absorption of boxes whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax.physics.fields import flux, spectra

N = 8
SUMS = jax.jit(spectra.sums)


def wave(k, phase=0.0, axis=0):
    x = np.arange(N)
    line = np.cos(2 * np.pi * k * x / N + phase)
    box = np.broadcast_to(np.moveaxis(line[:, None, None], 0, axis), (N, N, N))
    return jnp.asarray(box, jnp.float32)


def test_a_wave_has_its_power_in_its_shell():
    for axis in range(3):
        total = np.asarray(SUMS(3 * wave(2, axis=axis), wave(2, axis=axis)))
        # Parseval: the sum over modes over the number of cells is the sum of squares.
        np.testing.assert_allclose(total[:, 1], np.array([9, 1, 3]) * N**3 / 2, rtol=1e-5)
        np.testing.assert_allclose(total[:, 0], 0, atol=1e-3)


def test_phases_decide_the_correlation():
    for phase in (0.0, 1.0, np.pi):
        ratio, r = spectra.ratios(np.asarray(SUMS(wave(1, phase), wave(1))))
        assert ratio[0] == pytest.approx(1, rel=1e-5)
        assert r[0] == pytest.approx(np.cos(phase), abs=1e-5)


def test_all_modes_of_a_real_field_count():
    # Lengths of 1, sqrt 2 round to 1; sqrt 3, 2, sqrt 5, sqrt 6 to 2.
    assert spectra.modes(N).tolist() == [18, 8 + 6 + 24 + 24]
    noise = jax.random.normal(jax.random.key(0), (16, 16, 16))
    power = np.asarray(SUMS(noise, noise))[0]
    assert power.sum() / spectra.modes(16).sum() == pytest.approx(1, abs=0.06)


def test_absorption_moves_with_the_velocity():
    gas = np.ones((2, 2, N, 5))
    gas[..., 1], gas[..., 2:] = 1e4, 0.0
    gas[0, 0, 3, 0] = 2.0
    still = flux.optical_depth(gas, 10.0)
    np.testing.assert_allclose(still[0, 0], [1, 1, 1, 4, 1, 1, 1, 1])
    gas[..., 4] = 15.0  # a cell and a half, over the face
    moved = flux.optical_depth(gas, 10.0)
    np.testing.assert_allclose(moved[0, 0], [1, 1, 1, 1, 2.5, 2.5, 1, 1])
    np.testing.assert_allclose(moved.sum(), still.sum())
    hot = gas.copy()
    hot[..., 1] = 2e4
    np.testing.assert_allclose(flux.optical_depth(hot, 10.0), moved * 2**-0.7)


def test_the_factor_gives_the_mean_flux():
    depths = [np.random.default_rng(0).exponential(1, (4, 4, 4))]
    factor = flux.factor(depths, 0.6)
    assert np.exp(-factor * depths[0]).mean() == pytest.approx(0.6, rel=1e-4)


def test_power_along_lines_and_the_distribution():
    line = 1 + 0.1 * np.cos(2 * np.pi * 2 * np.arange(N) / N)
    power = flux.line_power(np.broadcast_to(line, (3, 3, N)))
    np.testing.assert_allclose(power, [0, 0.01 / 4 * N, 0, 0], atol=1e-9)
    shares = flux.distribution(np.array([0.1, 0.1, 0.6, 2.0]), np.array([0, 0.5, 1]))
    np.testing.assert_allclose(shares, [0.5, 0.25])
