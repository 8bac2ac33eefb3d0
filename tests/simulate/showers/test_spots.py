"""Spots: their energies, their places, and their random numbers."""

import jax.numpy as jnp
import numpy as np
import pytest

from hepjax.simulate.showers.spots import Layers, fill_cells, uniform

SHAPE = (9, 9, 4)
SPOT = (3e-4, 1.2)


def layers(spots, *, core=0.5, tail=0.5, x=4.5, stretch=1.0, n=4):
    """Showers of four layers that differ in their seeds alone."""
    one = np.ones((n, 4), np.float32)
    return Layers(
        spots=np.tile(np.asarray(spots, np.int32), (n, 1)),
        core_weight=0.5 * one,
        core_radius=core * one,
        tail_radius=tail * one,
        x=x * one,
        y=4.5 * one,
        stretch=np.full(n, stretch, np.float32),
        seeds=np.random.default_rng(1).integers(2**32, size=(n, 3), dtype=np.uint32),
    )


def test_the_mean_energy_of_a_spot_is_kept():
    cells = fill_cells(SHAPE, 4096, SPOT, layers([1000, 0, 2000, 500], core=1e-3, tail=1e-3))
    by_layer = np.asarray(cells).sum((0, 1, 2)) / 4
    np.testing.assert_allclose(by_layer, 3e-4 * np.array([1000, 0, 2000, 500]), rtol=0.05)


def test_a_narrow_shower_stays_in_the_cell_of_its_axis():
    cells = np.asarray(fill_cells(SHAPE, 1024, SPOT, layers([200] * 4, core=1e-6, tail=1e-6)))
    assert np.count_nonzero(cells.sum((0, 3))) == 1
    assert cells.sum((0, 3)).argmax() == 4 * 9 + 4


def test_half_of_the_core_lies_within_its_radius():
    shape = (201, 201, 1)
    one = layers([4000], core=30.0, tail=30.0, n=1)
    one = Layers(*(v[:, :1] if v.ndim == 2 and v.shape[1] == 4 else v for v in one))
    one = one._replace(x=np.array([[100.5]]), y=np.array([[100.5]]))
    cells = np.asarray(fill_cells(shape, 4096, SPOT, one))[0, :, :, 0]
    x = np.arange(201) - 100
    inside = np.hypot(x[:, None], x[None, :]) < 30.0
    expected = 4000 * SPOT[0] / 2  # r = R sqrt(v / (1 - v)) is R at v = 1/2
    assert cells[inside].sum() == pytest.approx(expected, rel=0.08)


def test_more_slots_change_nothing():
    few = fill_cells(SHAPE, 1024, SPOT, layers([200, 300, 100, 50]))
    many = fill_cells(SHAPE, 4096, SPOT, layers([200, 300, 100, 50]))
    np.testing.assert_array_equal(few, many)


def test_energy_outside_the_window_is_lost_not_wrapped():
    cells = np.asarray(fill_cells(SHAPE, 1024, SPOT, layers([200] * 4, core=1e-6, tail=1e-6, x=-3)))
    assert cells.sum() == 0.0


def test_uniform_numbers_are_flat_and_sequences_independent():
    seeds = np.random.default_rng(0).integers(2**32, size=8, dtype=np.uint32)
    draws = np.stack([uniform(jnp.arange(50_000), jnp.uint32(seed)) for seed in seeds])
    assert draws.min() > 0.0
    assert draws.max() < 1.0
    counts = np.stack([np.histogram(d, 50, (0, 1))[0] for d in draws])
    chi2 = ((counts - 1000) ** 2 / 1000).sum(axis=1)
    assert np.all(chi2 < 49 + 5 * np.sqrt(2 * 49))
    correlation = np.corrcoef(np.concatenate([draws, draws[:, ::-1], np.roll(draws, 1, 1)]))
    assert np.abs(correlation - np.eye(24)).max() < 0.03
