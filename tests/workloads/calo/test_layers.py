"""The vector of stage 1 and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import calo

from hepjax.workloads.calo import geometry, layers


def measured(known, cells, groups=3):
    found = jax.jit(lambda c: layers.measured(known, geometry.to_layers(known, c), groups))
    return found(jnp.asarray(cells))


def to_vector(known, true, incident, seed=0):
    key = jax.random.key(seed)
    made = jax.jit(lambda t, e, k: layers.to_vector(known, known.threshold, t, e, k))
    return made(true, incident, key)


def from_vector(known, vector, incident, groups=3):
    made = jax.jit(lambda v, e: layers.from_vector(known, known.threshold, v, e, groups))
    return made(vector, incident)


@pytest.mark.parametrize("groups", [0, 1, 3])
@pytest.mark.parametrize("kind", calo.KINDS)
def test_vector_and_back(kind, groups):
    known, made = calo.KINDS[kind], calo.showers(calo.KINDS[kind], 50)
    true, incident = measured(known, made["ecal"], groups), jnp.asarray(made["energy"])
    vector = to_vector(known, true, incident)
    assert vector.shape == (50, layers.size(known, groups))
    back = from_vector(known, vector, incident, groups)
    np.testing.assert_allclose(back.energy, true.energy, rtol=2e-4, atol=0.02 * known.threshold)
    np.testing.assert_array_equal(back.hits, true.hits)
    if not groups:
        return
    many = np.asarray(layers.resolved(known, true.hits, groups))
    assert many.mean() > 0.3
    length = np.sqrt(np.asarray(true.moments[..., 2] + true.moments[..., 3]))
    error = np.abs(np.asarray(back.moments - true.moments))
    assert (error[..., 4] / np.maximum(length, 1e-6))[many].max() < 2e-3
    assert np.all(np.asarray(back.moments)[~many] == 0)


def test_moments_are_those_of_the_cells():
    """Two cells of the middle layer, 1 and 3 GeV, at x = -2 and 1 mm."""
    cells = np.zeros((1, 5, 5, 3), np.float32)
    cells[0, 0, 2, 1], cells[0, 3, 2, 1] = 1.0, 3.0
    found = measured(calo.BOX, cells)
    np.testing.assert_allclose(found.energy, [[0, 4, 0]])
    np.testing.assert_allclose(found.hits, [[0, 2, 0]])
    np.testing.assert_allclose(found.moments[0, 1], [0.25, 0, 1.75, 0, 1.25], atol=1e-6)


def test_moments_of_a_group_weigh_its_layers_by_their_energy():
    """1 GeV at x = -2 mm in the first layer, 3 GeV at y = 1 mm in the second of two in a group."""
    cells = np.zeros((1, 5, 5, 3), np.float32)
    cells[0, 0, 2, 0], cells[0, 2, 3, 1], cells[0, 2, 2, 2] = 1.0, 3.0, 8.0
    found = measured(calo.BOX, cells, 2)
    np.testing.assert_allclose(
        found.moments[0], [[-0.5, 0.75, 1, 0.75, 1.25], [0, 0, 0, 0, 0]], atol=1e-6
    )


def test_components_are_absent_where_layers_are_empty():
    """Hits in the layers: none; in the last; in the first; in all."""
    hits = jnp.array([[0.0, 0, 0], [0, 0, 9], [9, 0, 0], [9, 5, 9]])
    found = np.asarray(layers.present(calo.BOX, hits, 3))
    assert found[:, :3].all()
    assert found[:, 3].tolist() == [False, True, True, True]
    assert found[:, 4:6].tolist() == [[False, False], [False, False], [False, False], [True, True]]
    moments = found[:, 6:].reshape(4, 3, 5)
    assert (moments == (np.asarray(hits) > 5)[..., None]).all()


def test_empty_showers_and_layers_stay_empty():
    cells = np.zeros((40, 5, 5, 3), np.float32)
    cells[20:, 2, 2, 0] = 0.5  # one hit in the first layer
    true, incident = measured(calo.BOX, cells), jnp.full(40, 50.0)
    vector = to_vector(calo.BOX, true, incident, 1)
    assert np.isfinite(vector).all()
    back = from_vector(calo.BOX, vector, incident)
    np.testing.assert_array_equal(back.hits, true.hits)
    np.testing.assert_allclose(back.energy, true.energy, rtol=1e-4)


def test_any_vector_gives_sound_layers():
    vector = 8 * jax.random.normal(jax.random.key(2), (200, layers.size(calo.RAGGED, 3)))
    made = from_vector(calo.RAGGED, vector, jnp.full(200, 30.0))
    energy, hits = np.asarray(made.energy), np.asarray(made.hits)
    assert np.isfinite(energy).all()
    assert (energy >= 0).all()
    assert np.isfinite(made.moments).all()
    assert np.all((energy == 0) | (energy >= 0.9999e-4))
    assert np.all((hits > 0) == (energy > 0))
    assert np.all(hits * 1e-4 <= energy * 1.001)
