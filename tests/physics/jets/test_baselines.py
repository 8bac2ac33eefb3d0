"""Numbers of single events, sums over sparse images, and derivatives, against values by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.formats.images import Channel, Grid
from hepjax.physics.jets import baselines, saliency
from hepjax.physics.jets.images import absolute_sums, planes

GRID = Grid((10, 10), (Channel("pT", "GeV"), Channel("ECAL", "GeV"), Channel("HCAL", "GeV", 5)))
PAD = GRID.size  # 100 + 100 + 4


def sparse(*events: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Events of {flat cell: value} as padded arrays of four cells."""
    cell, value = np.full((len(events), 4), PAD, np.int32), np.zeros((len(events), 4), np.float32)
    for i, event in enumerate(events):
        cell[i, : len(event)], value[i, : len(event)] = list(event), list(event.values())
    return cell, value


def test_track_pixels_and_widths():
    # Two track pixels; ECAL with 3 GeV at (0, 0) and 1 GeV at (0, 4): rms 4 sqrt(3/16).
    cell, value = sparse({5: 1.0, 7: 2.0, 100: 3.0, 104: 1.0}, {})
    found = baselines.from_cells(GRID, cell, value)
    np.testing.assert_array_equal(found["track pixels"], [2, 0])
    np.testing.assert_allclose(found["ECAL width, rows"], [0, 0])
    np.testing.assert_allclose(found["ECAL width, columns"], [4 * np.sqrt(3 / 16), 0])


def test_negative_cells_have_no_width():
    cell, value = sparse({100: 1.0, 109: -0.5})
    assert baselines.from_cells(GRID, cell, value)["ECAL width, columns"] == 0


def test_columns_that_are_there():
    found = baselines.from_columns(
        {"mass": np.array([80, 170]), "tau2": np.array([0.5, 0.0]), "tau3": np.array([0.2, 0.0])}
    )
    assert set(found) == {"jet mass", "tau3 / tau2"}
    np.testing.assert_allclose(found["tau3 / tau2"], [0.4, 1])


def test_absolute_sums_by_class_leave_the_padding_out():
    cell, value = sparse({3: -2.0, 203: 1.0}, {3: 1.0}, {3: 5.0})
    sums = absolute_sums(GRID, cell, value, np.array([0, 0, 1]), 2)
    assert sums.shape == (2, PAD)
    assert (sums[0, 3], sums[1, 3], sums[0, 203]) == (3, 5, 1)
    assert sums.sum() == 9
    pictures = planes(GRID, sums[0])
    assert [p.shape for p in pictures] == [(10, 10), (10, 10), (2, 2)]
    assert (pictures[0][0, 3], pictures[2][1, 1]) == (3, 1)


def test_saliency_of_a_linear_score_is_its_weights():
    weights = jax.random.normal(jax.random.key(0), (4, 4, 2))
    images = jax.random.normal(jax.random.key(1), (3, 4, 4, 2))
    found = saliency.saliency(lambda x: jnp.tensordot(x, weights, 3), images)
    np.testing.assert_allclose(found, np.broadcast_to(np.abs(weights), images.shape), rtol=1e-6)


def test_saliency_of_each_event_is_its_own():
    images = jnp.arange(1.0, 4.0).reshape(3, 1, 1, 1)
    found = saliency.saliency(lambda x: (x**2).sum((1, 2, 3)), images)
    np.testing.assert_allclose(found.ravel(), [2, 4, 6])


def test_sums_by_class_leave_other_labels_out():
    maps = jnp.array([1.0, 2.0, 4.0, 8.0])[:, None, None, None]
    sums, count = saliency.sums_by_class(maps, jnp.array([0, 1, 1, 2]), 2)
    np.testing.assert_allclose(sums.ravel(), [1, 6])
    np.testing.assert_allclose(count, [1, 2])
