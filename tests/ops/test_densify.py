"""Sparse images become dense on the device, bit for bit as on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepjax.formats import images
from hepjax.formats.images import Channel, Grid, SparseImages
from hepjax.ops import densify

GRIDS = {
    "fine": Grid((6, 10), (Channel("pT", "GeV"), Channel("d0", "mm"))),
    "coarse": Grid(
        (12, 12),
        (Channel("pT", "GeV"), Channel("HCAL", "GeV", 4), Channel("d0", "mm"),
         Channel("ECAL", "GeV", 2)),
    ),
    "towers": Grid((10, 5), (Channel("HCAL", "GeV", 5),)),
    "shower": Grid((4, 4, 6), (Channel("ECAL", "GeV"),)),
}  # fmt: skip


def random_images(grid: Grid, n: int, seed: int) -> SparseImages:
    rng = np.random.default_rng(seed)
    filled = rng.random((n, grid.size)) < rng.choice([0.0, 0.1, 1.0], n)[:, None]
    cells = np.nonzero(filled)[1].astype(np.uint32)
    value = rng.normal(size=len(cells)).astype(np.float32)
    value[::5] = -0.0  # whose sign has to survive
    return SparseImages(np.concatenate([[0], np.cumsum(filled.sum(1))]), cells, value)


def padded(sparse: SparseImages, grid: Grid, spare: int = 3):
    counts = np.diff(sparse.first)
    shape = len(sparse), int(counts.max(initial=0)) + spare
    cell, value = np.full(shape, grid.size, np.int32), np.zeros(shape, np.float32)
    inside = np.arange(shape[1]) < counts[:, None]
    cell[inside], value[inside] = sparse.cell, sparse.value
    return cell, value


def dense(grid: Grid, cell, value):
    coarsenings = tuple(channel.coarsening for channel in grid.channels)
    return jax.jit(lambda c, v: densify(c, v, grid.shape, coarsenings))(cell, value)


@pytest.mark.parametrize("name", GRIDS)
@settings(max_examples=8)
@given(n=st.integers(1, 4), seed=st.integers(0, 2**16))
def test_equals_the_host_bit_for_bit(name, n, seed):
    grid = GRIDS[name]
    sparse = random_images(grid, n, seed)
    found = np.asarray(dense(grid, *padded(sparse, grid)))
    expected = images.densify(sparse, grid)
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def test_the_order_of_the_cells_does_not_matter():
    grid = GRIDS["coarse"]
    cell, value = padded(random_images(grid, 3, 1), grid)
    order = np.random.default_rng(2).permutation(cell.shape[1])
    np.testing.assert_array_equal(
        dense(grid, cell, value), dense(grid, cell[:, order], value[:, order])
    )


def test_cells_out_of_range_are_dropped():
    grid = GRIDS["coarse"]
    cell = np.array([[grid.size, grid.size + 5, 2**31 - 1, -1]], np.int32)
    assert not np.any(dense(grid, cell, np.ones((1, 4), np.float32)))


def test_a_coarse_cell_fills_its_block_and_its_gradient_sums_over_it():
    grid = GRIDS["coarse"]  # cell 144 is the first tower: pixels 0 to 3 along both axes
    cell, value = np.array([[144, 0]], np.int32), np.array([[2.0, 1.0]], np.float32)
    image = np.asarray(dense(grid, cell, value))
    assert image[0, :4, :4, 1].sum() == 16 * 2.0
    assert image.sum() == 16 * 2.0 + 1.0
    weight = jnp.arange(image.size, dtype=jnp.float32).reshape(image.shape)
    gradient = jax.grad(lambda v: (dense(grid, cell, v) * weight).sum())(jnp.asarray(value))
    np.testing.assert_allclose(gradient[0], [weight[0, :4, :4, 1].sum(), weight[0, 0, 0, 0]])
