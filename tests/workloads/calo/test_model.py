"""Margins and mixing: known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import calo

from hepjax.workloads.calo.model import Margins, Mixing, normal_of, value_of
from hepjax.workloads.calo.objective import margin_loss

SKEWED = Margins(*(jnp.float32(v) for v in (1.0, 0.4, 0.5, -0.3)))


def test_margins_invert_and_know_their_slope():
    normal = jnp.linspace(-4, 4, 41)
    value = value_of(SKEWED, normal)
    back, slope = normal_of(SKEWED, value)
    np.testing.assert_allclose(back, normal, atol=1e-4)
    expected = jax.vmap(jax.grad(lambda v: normal_of(SKEWED, v)[0]))(value)
    np.testing.assert_allclose(slope, jnp.log(expected), atol=1e-4)


def test_without_skew_and_tail_a_margin_is_normal():
    plain = Margins(jnp.float32(2.0), jnp.log(3.0), jnp.float32(0), jnp.float32(0))
    np.testing.assert_allclose(value_of(plain, jnp.float32(-1.0)), -1.0, atol=1e-5)


def test_density_of_hits_and_probability_of_empty_cells_sum_to_one():
    value = jnp.linspace(0, 60, 60_001)
    hit = jnp.exp(-margin_loss(SKEWED, value, jnp.ones_like(value, bool)))
    empty = jnp.exp(-margin_loss(SKEWED, jnp.float32(0), jnp.array(False)))
    total = np.trapezoid(np.asarray(hit, float), np.asarray(value, float)) + float(empty)
    assert total == pytest.approx(1.0, abs=2e-3)
    assert 0.02 < float(empty) < 0.9


@pytest.mark.parametrize("kind", calo.KINDS)
def test_mixed_numbers_stay_standard_normal_and_follow_their_neighbours(kind):
    known = calo.KINDS[kind]
    module = Mixing(known)
    count, cells = len(known.layers), max(known.voxels // len(known.layers), 24)
    noise = jax.random.normal(jax.random.key(0), (4000, count, cells))
    if kind == "ragged":
        sizes = [layer.voxels for layer in known.layers]
        noise *= np.arange(cells) < np.array(sizes)[:, None]
    params = module.init(jax.random.key(1), noise)
    params = jax.tree.map(lambda p: p + 0.4, params)
    mixed = np.asarray(module.apply(params, noise))
    there = mixed[0] != 0
    np.testing.assert_allclose(mixed.std(0)[there], 1.0, atol=0.06)
    first, second = mixed[:, 1, 0], mixed[:, 1, 1]
    assert np.corrcoef(first, second)[0, 1] > 0.3
