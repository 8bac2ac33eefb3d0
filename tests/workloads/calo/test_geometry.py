"""Cells layer by layer, their neighbours and symmetries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import calo

from hepjax.workloads.calo import geometry, layers


@pytest.mark.parametrize("kind", calo.KINDS)
def test_layers_and_back(kind):
    known = calo.KINDS[kind]
    cells = jnp.asarray(calo.showers(known, 3)["ecal"])
    there = geometry.to_layers(known, cells)
    np.testing.assert_array_equal(geometry.from_layers(known, there), cells)
    assert float(jnp.where(geometry.plan(known).inside, 0, there).sum()) == 0


def test_neighbours_end_in_a_box_and_close_in_the_azimuth():
    box = jnp.zeros((1, 3, 25)).at[0, 1, 0].set(1.0)  # the corner
    moved = geometry.shifted(calo.BOX, box, -1, -1)
    assert float(moved[0, 1, 6]) == 1
    assert float(moved.sum()) == 1
    assert float(geometry.shifted(calo.BOX, box, 1, 0).sum()) == 0
    first = jnp.zeros((1, 2, 48)).at[0, 0, 0].set(1.0)  # sector 0, innermost ring
    moved = geometry.shifted(calo.CYLINDER, first, 1, 0)
    assert float(moved[0, 0, 7 * 6]) == 1
    assert float(moved.sum()) == 1


@pytest.mark.parametrize("kind", calo.KINDS)
def test_the_window_holds_the_cells_nearest_to_the_axis(kind):
    known = calo.KINDS[kind]
    facts = geometry.plan(known)
    far = jnp.asarray(facts.functions[..., 4])[None]  # r, 0 where there is no cell
    inner = geometry.in_window(known, 4, far)
    assert inner.shape == (1, *facts.inside.shape[:1], 4)
    for layer, there in enumerate(facts.inside):
        r = np.sort(facts.functions[layer, there, 4])
        np.testing.assert_allclose(inner[0, layer][: len(r)], r[:4])
    marked = geometry.with_window(known, jnp.zeros_like(far), inner + 1)
    np.testing.assert_array_equal(geometry.in_window(known, 4, marked), inner + 1)
    assert int((marked > 0).sum()) == inner.size


@pytest.mark.parametrize("kind", calo.KINDS)
def test_turned_showers_keep_layers_rings_and_sizes(kind):
    known = calo.KINDS[kind]
    cells = jnp.asarray(calo.showers(known, 4)["ecal"])
    there = geometry.to_layers(known, cells)
    count = len(known.layers)
    before = layers.measured(known, there, count)
    changed = False
    for seed in range(6):
        turned = geometry.turned(known, there, jax.random.key(seed))
        changed |= not np.array_equal(turned, there)
        after = layers.measured(known, turned, count)
        np.testing.assert_allclose(after.energy, before.energy, rtol=1e-5)
        np.testing.assert_array_equal(after.hits, before.hits)
        square = [m.moments[..., 2] + m.moments[..., 3] for m in (before, after)]
        np.testing.assert_allclose(square[1], square[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            after.moments[..., 4], before.moments[..., 4], rtol=1e-4, atol=1e-4
        )
    assert changed
