"""Small made-up jet images and a way to read files of them whole."""

import numpy as np

from hepjax.formats.images import Channel, Grid, SparseImages
from hepjax.formats.jets.reader import open_jets

CHANNELS = ("pT", "d0", "ECAL")
LABELS = {0: "qcd", 1: "top"}
GRID = Grid((9, 9), tuple(Channel(name, "1") for name in CHANNELS))


def jets(n=20, grid=GRID, seed=0):
    """Sparse images with signed d0 and an empty event, and their columns."""
    rng = np.random.default_rng(seed)
    dense = rng.exponential(size=(n, grid.size)) * (rng.random((n, grid.size)) < 0.05)
    dense[:, grid.starts[1] : grid.starts[2]] *= -1
    dense[n // 2] = 0
    event, cell = np.nonzero(dense)
    first = np.searchsorted(event, np.arange(n + 1))
    images = SparseImages(first, cell.astype(np.uint32), dense[event, cell].astype(np.float32))
    columns = {
        "label": rng.integers(0, 2, n).astype(np.int32),
        "pt": rng.uniform(400, 1200, n).astype(np.float32),
        "mass": rng.uniform(10, 200, n).astype(np.float32),
    }
    return images, columns


def read_all(paths, channels=CHANNELS, labels=LABELS, shape=None, **range_):
    """All events of some files in one piece."""
    pieces = [
        piece
        for file in open_jets(paths, channels=channels, labels=labels, shape=shape)
        for piece in file.stream(**range_)
    ]
    counts = np.concatenate([np.diff(images.first) for images, _ in pieces])
    whole = SparseImages(
        np.concatenate([[0], np.cumsum(counts)]),
        np.concatenate([images.cell for images, _ in pieces]),
        np.concatenate([images.value for images, _ in pieces]),
    )
    return whole, {k: np.concatenate([c[k] for _, c in pieces]) for k in pieces[0][1]}


def assert_same(read, made, start=0, stop=None):
    """Bit-exact images and columns of events ``start`` to ``stop`` of ``made``."""
    (images, columns), (wanted, wanted_columns) = read, made
    stop = len(wanted) if stop is None else stop
    first = wanted.first[start : stop + 1]
    assert images.first.dtype == np.int64
    assert images.cell.dtype == np.uint32
    np.testing.assert_array_equal(images.first, first - first[0])
    np.testing.assert_array_equal(images.cell, wanted.cell[first[0] : first[-1]])
    np.testing.assert_array_equal(
        images.value.view(np.uint32), wanted.value[first[0] : first[-1]].view(np.uint32)
    )
    assert columns["label"].dtype == np.int32
    for name, values in wanted_columns.items():
        np.testing.assert_array_equal(columns[name], values[start:stop])
