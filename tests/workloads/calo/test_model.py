"""Margins and mixing: known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import calo

from hepjax.workloads.calo.model import (
    Margins,
    Mixing,
    inner_of,
    normal_of,
    outer_of,
    value_of,
    window_flow,
)
from hepjax.workloads.calo.objective import margin_loss

SKEWED = Margins(*(jnp.float32(v) for v in (0.2, 1.0, 0.4, 0.5, -0.3)))


def test_margins_invert_and_know_their_slope():
    normal = jnp.linspace(-4, 4, 41)
    value = value_of(SKEWED, normal)
    back, slope = normal_of(SKEWED, value)
    np.testing.assert_allclose(back, normal, atol=1e-4)
    expected = jax.vmap(jax.grad(lambda v: normal_of(SKEWED, v)[0]))(value)
    np.testing.assert_allclose(slope, jnp.log(expected), atol=1e-4)


def test_without_skew_and_tail_a_margin_is_normal():
    zero = jnp.float32(0)
    plain = Margins(zero, jnp.float32(2.0), jnp.log(3.0), zero, zero)
    np.testing.assert_allclose(value_of(plain, jnp.float32(-1.0)), -1.0, atol=1e-5)


def test_density_of_hits_and_probability_of_empty_cells_sum_to_one():
    value = jnp.linspace(-60, 60, 120_001)
    hit = jnp.exp(-margin_loss(SKEWED, value, jnp.ones_like(value, bool)))
    empty = jnp.exp(-margin_loss(SKEWED, jnp.float32(0), jnp.array(False)))
    assert float(empty) == pytest.approx(0.5793, abs=1e-3)  # of the edge
    total = np.trapezoid(np.asarray(hit, float), np.asarray(value, float)) + float(empty)
    assert total == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("edge", [-4.0, 0.3, 2.5])
def test_numbers_above_the_edge_are_standard_normal_when_stretched(edge):
    normal = jax.random.normal(jax.random.key(0), (400_000,))
    above = normal[normal > edge]
    inner = np.asarray(jax.jit(inner_of)(jnp.float32(edge), above))
    tolerance = 5 / np.sqrt(len(inner))
    assert inner.mean() == pytest.approx(0, abs=tolerance)
    assert inner.std() == pytest.approx(1, abs=tolerance)
    assert np.all(np.diff(inner[np.argsort(above)]) > -2e-3)  # rising, but for rounding
    near = np.abs(inner) < 3
    back = jax.jit(outer_of)(jnp.float32(edge), inner)
    np.testing.assert_allclose(np.asarray(back)[near], np.asarray(above)[near], atol=2e-3)


def test_edges_beyond_single_precision_stay_finite():
    slope = jax.jit(jax.value_and_grad(lambda e, n: inner_of(e, n).sum(), argnums=(0, 1)))
    for edge in (-20.0, 0.0, 20.0):
        normal = jnp.array([-5.0, 0.0, 5.0])
        value, slopes = slope(jnp.full(3, edge), normal)
        assert np.isfinite(value)
        assert all(np.isfinite(g).all() for g in slopes)


@pytest.mark.parametrize("kind", calo.KINDS)
def test_mixed_numbers_stay_standard_normal_and_follow_their_neighbours(kind):
    known = calo.KINDS[kind]
    module = Mixing(known)
    count, cells = len(known.layers), max(known.voxels // len(known.layers), 24)
    noise = jax.random.normal(jax.random.key(0), (4000, count, cells))
    if kind == "ragged":
        sizes = [layer.voxels for layer in known.layers]
        noise *= np.arange(cells) < np.array(sizes)[:, None]
    params = jax.jit(module.init)(jax.random.key(1), noise)
    params = jax.tree.map(lambda p: p + 0.4, params)
    mixed = np.asarray(jax.jit(module.apply)(params, noise))
    there = mixed[0] != 0
    np.testing.assert_allclose(mixed.std(0)[there], 1.0, atol=0.06)
    first, second = mixed[:, 1, 0], mixed[:, 1, 1]
    assert np.corrcoef(first, second)[0, 1] > 0.3


def test_the_flow_of_the_window_inverts_and_sees_its_layer():
    cfg = calo.tiny(bins=4)
    flow = window_flow(cfg)
    condition = jax.random.normal(jax.random.key(0), (6, 9))
    z = jax.random.normal(jax.random.key(1), (6, 3, 4))
    params = jax.jit(flow.init)(jax.random.key(2), z, condition)["params"]
    keys = iter(jax.random.split(jax.random.key(3), 20))
    params = jax.tree.map(lambda p: p + 0.2 * jax.random.normal(next(keys), p.shape), params)
    x = flow.apply({"params": params}, z, condition, method="inverse")
    back, slopes = flow.apply({"params": params}, x, condition)
    np.testing.assert_allclose(back, z, atol=1e-4)
    assert slopes.shape == (6, 3)
    # The same numbers in another layer become other numbers.
    same = flow.apply({"params": params}, jnp.broadcast_to(z[:, :1], z.shape), condition)[0]
    assert np.abs(same[:, 0] - same[:, 1]).max() > 1e-3
