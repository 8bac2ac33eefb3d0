"""Windows round jets, and what falls into their cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepjax import InputError
from hepjax.simulate.jets.images import Deposits, first_cell, jet_grid, jet_images, tracks_in_window

NAMES = jet_grid(1).names


def empty():
    return Deposits(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0))


def one(channel, eta, phi, value=1.0):
    """Deposits of one jet, one in one channel."""
    where = (np.atleast_1d(np.asarray(x, float)) for x in (eta, phi, value))
    columns = np.broadcast_arrays(*where)
    filled = Deposits(np.zeros(len(columns[0]), np.int64), *columns)
    return {name: filled if name == channel else empty() for name in NAMES}


def plane(images, resolution, channel):
    """The image of the first jet, every stored cell filled into its pixels."""
    grid = jet_grid(resolution)
    k = grid.names.index(channel)
    inside = (images.cell >= grid.starts[k]) & (images.cell < grid.starts[k + 1])
    cells = np.zeros(np.prod(grid.planes[k]))
    cells[images.cell[inside] - grid.starts[k]] = images.value[inside]
    c = grid.channels[k].coarsening
    return cells.reshape(grid.planes[k]).repeat(c, 0).repeat(c, 1)


def test_channels_in_the_published_order():
    assert NAMES == ("pT", "d0", "dz", "ECAL", "HCAL", "BPIX1", "BPIX2", "BPIX3")
    assert [c.coarsening for c in jet_grid(1).channels] == [1, 1, 1, 1, 5, 1, 1, 1]
    assert [c.coarsening for c in jet_grid(3).channels] == [1, 1, 1, 3, 15, 1, 1, 1]
    assert jet_grid(3).shape == (375, 375)
    with pytest.raises(InputError, match="1 or 3"):
        jet_grid(2)


def test_the_tower_of_the_axis_is_in_the_middle():
    # tower * 5 + 2 is pixel 62, whatever the place of the axis in its tower
    eta = 0.087 * np.array([0.01, 0.5, 0.99, -0.01, -10.5])
    row, column = first_cell(eta, np.radians([0.1, 2.5, 4.9, -0.1, 177.0]))
    np.testing.assert_array_equal(row + 62, [2, 2, 2, -3, -53])
    np.testing.assert_array_equal(column + 62, [2, 2, 2, -3, 177])


@pytest.mark.parametrize("resolution", [1, 3])
@pytest.mark.parametrize("channel", ["pT", "ECAL", "HCAL"])
def test_a_deposit_at_the_axis_fills_the_middle(resolution, channel):
    axis = np.array([0.0435]), np.radians([2.5])
    image = plane(jet_images(resolution, *axis, one(channel, *axis, 7.0)), resolution, channel)
    rows, columns = np.nonzero(image)
    middle = (125 * resolution - 1) / 2
    assert rows.mean() == columns.mean() == middle
    assert len(rows) == jet_grid(resolution).channels[NAMES.index(channel)].coarsening ** 2
    assert image.sum() == pytest.approx(7.0, rel=1e-6)


def test_windows_go_round_the_detector():
    image = plane(
        jet_images(1, np.zeros(1), np.radians([179.0]), one("pT", 0.001, np.radians(-179.5))),
        1,
        "pT",
    )
    assert np.argwhere(image).tolist() == [[60, 60 + 5]]  # tower 35 holds 175-180, column 60 is 175


@settings(max_examples=40)
@given(
    eta=st.floats(-1.5, 1.5),
    phi=st.floats(-3.2, 3.2),
    turns=st.integers(-1, 1),
    resolution=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
def test_sums_of_images_are_sums_of_deposits(eta, phi, turns, resolution, seed):
    rng = np.random.default_rng(seed)
    at = eta + rng.uniform(-0.9, 0.9, 30), phi + rng.uniform(-0.9, 0.9, 30) + turns * 2 * np.pi
    value = rng.normal(size=30)
    for channel in ("d0", "ECAL", "HCAL"):
        images = jet_images(resolution, np.array([eta]), np.array([phi]), one(channel, *at, value))
        total = plane(images, resolution, channel).sum()
        assert total == pytest.approx(value.sum(), abs=1e-4)


def test_what_is_outside_is_left_out_and_what_cancels_is_not_stored():
    deposits = one("d0", [0.0, 0.0, 1.5], [0.0, 0.0, 0.0], [0.5, -0.5, 1.0])
    images = jet_images(1, np.zeros(1), np.zeros(1), deposits)
    assert images.first.tolist() == [0, 0]
    assert tracks_in_window(np.zeros(1), np.zeros(1), deposits["d0"]).tolist() == [2]


def test_jets_are_kept_apart_and_cells_ascend():
    rng = np.random.default_rng(0)
    n = 200
    many = Deposits(
        rng.integers(0, 5, n), rng.uniform(-1, 1, n), rng.uniform(-1, 1, n), rng.random(n) + 0.1
    )
    images = jet_images(1, np.zeros(5), np.zeros(5), dict.fromkeys(NAMES, many))
    assert len(images) == 5
    for i in range(5):
        cells = images.cell[images.first[i] : images.first[i + 1]].astype(np.int64)
        assert np.all(np.diff(cells) > 0)
        of_jet = images.value[images.first[i] : images.first[i + 1]]
        tracks = of_jet[cells < 125 * 125].sum()
        assert tracks == pytest.approx(many.value[many.jet == i].sum(), rel=1e-5)
