"""Generated cells have the energy, hits and moments that stage 1 gave their layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import calo

from hepjax.workloads.calo import geometry, layers, project
from hepjax.workloads.calo.layers import Layers

THRESHOLD = 1e-4
KNOWN = {"static_argnums": 0}
with_hits = jax.jit(project.with_hits, **KNOWN)
with_energy = jax.jit(project.with_energy)
with_moments = jax.jit(project.with_moments, **KNOWN)


def cells_of(known, above, hits, energy, threshold=THRESHOLD):
    """Cells whose values are what they have above the cut."""
    cut, hit = with_hits(known, above, hits)
    return with_energy(above - cut[..., None], hit, energy, threshold)


def values(known, n, seed=0):
    shape = geometry.plan(known).inside.shape
    return 2 + 2 * jax.random.normal(jax.random.key(seed), (n, *shape))


@pytest.mark.parametrize("kind", calo.KINDS)
def test_hits_and_energies_are_exact(kind):
    known = calo.KINDS[kind]
    value = values(known, 30).at[:10].add(8.0)  # far above any cut, in empty layers too
    value = project.FARTHEST * jnp.tanh(value / project.FARTHEST)
    inside = geometry.plan(known).inside.sum(1)
    rng = np.random.default_rng(0)
    hits = jnp.asarray(rng.integers(0, inside + 1, (30, len(inside))).astype(np.float32))
    energy = jnp.where(hits > 0, rng.uniform(0.1, 2, hits.shape), 0.0)
    cut, hit = with_hits(known, value, hits)
    np.testing.assert_array_equal(hit.sum(2), hits)
    np.testing.assert_array_equal(hit, hit & (value > cut[..., None]))
    cells = with_energy(value, hit, energy, THRESHOLD)
    np.testing.assert_allclose(cells.sum(2), energy, rtol=1e-4, atol=1e-7)
    assert np.all((np.asarray(cells) == 0) | (np.asarray(cells) >= THRESHOLD * 0.9999))


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_moments_are_imposed_where_hits_allow_it(groups):
    value = 1 + 0.3 * values(calo.BOX, 40)
    wanted = 1 + 0.3 * values(calo.BOX, 40, seed=1)
    full = jnp.full((40, 3), 20.0)
    energy = jnp.full((40, 3), 1.0)

    def cells(v):
        return cells_of(calo.BOX, v, full, energy)

    target = layers.measured(calo.BOX, cells(wanted), groups)
    before = layers.measured(calo.BOX, cells(value), groups)
    tilted = with_moments(calo.BOX, cells(value), target, THRESHOLD)
    after = layers.measured(calo.BOX, tilted, groups)
    np.testing.assert_allclose(after.energy, target.energy, rtol=1e-4)
    np.testing.assert_array_equal(after.hits, target.hits)
    miss = [np.abs(np.asarray(m.moments - target.moments)) for m in (before, after)]
    assert np.all(np.median(miss[1], (0, 1)) < 0.02 * np.median(miss[0], (0, 1)))


def test_layers_of_one_hit_survive_any_moments():
    known = calo.RAGGED
    count = len(known.layers)
    wanted = Layers(jnp.full((5, count), 0.3), jnp.ones((5, count)), jnp.full((5, count, 5), 9.0))
    cells = cells_of(known, values(known, 5), wanted.hits, wanted.energy)
    tilted = with_moments(known, cells, wanted, THRESHOLD)
    np.testing.assert_allclose(tilted, cells, rtol=1e-4)
    np.testing.assert_allclose(tilted.sum(2), wanted.energy, rtol=1e-4)


def test_moments_that_no_cells_have_leave_the_layers_finite():
    """Sizes far below a cell and far beyond the calorimeter, for layers of any number of hits."""
    known, rng = calo.RAGGED, np.random.default_rng(1)
    inside = geometry.plan(known).inside.sum(1)
    n = 2000
    hits = jnp.asarray(rng.integers(1, inside + 1, (n, len(inside))).astype(np.float32))
    hits = hits.at[::2].set(1.0)
    size = 10.0 ** rng.uniform(-3, 5, (n, len(inside), 5))
    size[..., :2] *= rng.choice([-1, 1], size[..., :2].shape)
    wanted = Layers(jnp.asarray(10.0 ** rng.uniform(-1.5, 3, hits.shape), jnp.float32), hits,
                    jnp.asarray(size, jnp.float32))  # fmt: skip
    cells = cells_of(known, values(known, n), hits, wanted.energy)
    tilted = with_moments(known, cells, wanted, THRESHOLD)
    assert np.isfinite(tilted).all()
    np.testing.assert_allclose(tilted.sum(2), wanted.energy, rtol=1e-3)


def test_gradients_pass_through_all_of_it():
    def loss(value):
        hits = jnp.full((2, 3), 9.0)
        wanted = Layers(jnp.ones((2, 3)), hits, jnp.full((2, 3, 5), 1.0).at[..., :2].set(0.0))
        cells = cells_of(calo.BOX, value, hits, wanted.energy)
        return (with_moments(calo.BOX, cells, wanted, THRESHOLD) ** 2).sum()

    gradient = jax.jit(jax.grad(loss))(values(calo.BOX, 2))
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0
