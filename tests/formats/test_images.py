"""Sparse images: what sparsify keeps and densify gives back, bit for bit."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepjax import InputError
from hepjax.formats.images import Channel, Grid, densify, sparsify

FINE = Grid((4, 6), (Channel("pT", "GeV"), Channel("d0", "cm"), Channel("HCAL", "GeV")))
COARSE = Grid((4, 6), (Channel("pT", "GeV"), Channel("HCAL", "GeV", 2)))

floats = st.sampled_from([0.0, -0.0, 1.5, -2.5, 1e-40, -1e-45, 3e38])


@settings(max_examples=50)
@given(arrays.arrays(np.float32, st.tuples(st.integers(0, 3), st.just(4), st.just(6), st.just(3)),
                     elements=floats))  # fmt: skip
def test_dense_images_come_back_bit_for_bit(dense):
    images = sparsify(dense, FINE)
    assert np.array_equal(densify(images, FINE).view(np.uint32), dense.view(np.uint32))
    channels_first = np.ascontiguousarray(np.moveaxis(dense, -1, 1))
    same = sparsify(np.moveaxis(channels_first, 1, -1), FINE)
    assert all(np.array_equal(getattr(images, f), getattr(same, f)) for f in vars(images))


def test_cells_are_numbered_by_channel_then_pixel():
    dense = np.zeros((2, 4, 6, 3), np.float32)
    dense[0, 1, 2, 1], dense[1, 0, 0, 0], dense[1, 3, 5, 2] = -1, 2, 3
    images = sparsify(dense, FINE)
    assert images.first.tolist() == [0, 1, 3]
    assert images.cell.tolist() == [24 + 6 + 2, 0, 71]
    assert images.value.tolist() == [-1, 2, 3]


def test_one_cell_of_a_coarse_channel_fills_its_block():
    dense = np.zeros((1, 4, 6, 2), np.float32)
    dense[0, 2:4, 4:6, 1], dense[0, 3, 3, 0] = 7, 1
    images = sparsify(dense, COARSE)
    assert images.cell.tolist() == [21, 24 + 5]
    assert np.array_equal(densify(images, COARSE), dense)


def test_a_coarse_channel_that_varies_in_a_block_is_refused():
    dense = np.zeros((1, 4, 6, 2), np.float32)
    dense[0, 3, 5, 1] = 7
    with pytest.raises(InputError, match=r"HCAL \(2\): expected one value"):
        sparsify(dense, COARSE)


def test_images_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"expected float32 of \(n, 4, 6, 3\), found"):
        sparsify(np.zeros((1, 3, 4, 6), np.float32), FINE)
