"""Flat HDF5 files of MLPF events: all elements in ``X``, ``ygen``, ``ycand``, cut by ``offsets``.

``offsets`` (events + 1,) is the first row of each event; ``n_unassociated_gen`` (events,), if it is
there, counts the generated particles that left no element.
"""

from functools import partial
from pathlib import Path

import h5py
import numpy as np

from hepjax import InputError
from hepjax.formats.hdf5 import numeric_dataset, open_hdf5, read_rows
from hepjax.formats.particleflow.columns import ARRAYS
from hepjax.formats.particleflow.events import EventFile, Events

KEYS = (*ARRAYS, "offsets")
BLOCK_ROWS = 2**17
"""Elements decoded together; 25 events with 200 pile-up collisions, 14 MB."""


def is_events(file: h5py.File) -> bool:
    """Whether the file has the four datasets."""
    return set(KEYS) <= set(file)


def describe(path: Path) -> EventFile:
    """Read everything but the elements.

    Raises:
      InputError: unreadable, damaged, or datasets that do not go together.
    """
    with open_hdf5(path) as file:
        rows = {key: _rows(file, path, key) for key in ARRAYS}
        if len(set(rows.values())) > 1:
            raise InputError(f"{path}: expected as many rows in X, ygen and ycand, found {rows}")
        offsets = _integers(file, path, "offsets")
        unassociated = None
        if "n_unassociated_gen" in file:
            unassociated = _integers(file, path, "n_unassociated_gen")
    _require_offsets(path, offsets, rows["X"])
    if unassociated is not None and len(unassociated) != len(offsets) - 1:
        raise InputError(
            f"{path}: expected as many rows in 'n_unassociated_gen' as events "
            f"({len(offsets) - 1}), found {len(unassociated)}"
        )
    # A block ends with the first event past a whole number of BLOCK_ROWS.
    last = np.flatnonzero(np.diff(offsets[:-1] // BLOCK_ROWS)) + 1
    blocks = np.concatenate([[0], last, [len(offsets) - 1]])
    return EventFile(
        path, "flat HDF5", np.diff(offsets), blocks, partial(read, path, offsets), unassociated
    )


def read(path: Path, offsets: np.ndarray, start: int, stop: int) -> Events:
    """Events ``start`` to ``stop``.

    Raises:
      InputError: unreadable or damaged.
    """
    low, high = int(offsets[start]), int(offsets[stop])
    with open_hdf5(path) as file:
        X, ygen, ycand = (np.asarray(read_rows(file[key], low, high), np.float32) for key in ARRAYS)
    return Events(offsets[start : stop + 1] - low, X, ygen, ycand)


def _rows(file: h5py.File, path: Path, key: str) -> int:
    dataset = numeric_dataset(file, path, key)
    if dataset.ndim != 2 or dataset.shape[1] != ARRAYS[key]:
        raise InputError(
            f"{path}: expected dataset {key!r} of shape (n, {ARRAYS[key]}), found {dataset.shape}"
        )
    return len(dataset)


def _integers(file: h5py.File, path: Path, key: str) -> np.ndarray:
    dataset = numeric_dataset(file, path, key)
    if dataset.dtype.kind == "f" or dataset.ndim != 1 or dataset.nbytes > 2**30:
        raise InputError(
            f"{path}: expected a list of whole numbers in {key!r}, "
            f"found {dataset.dtype} of shape {dataset.shape}"
        )
    return np.asarray(dataset[...], np.int64)


def _require_offsets(path: Path, offsets: np.ndarray, rows: int) -> None:
    falls = np.flatnonzero(offsets[1:] < offsets[:-1])
    if len(falls):
        raise InputError(
            f"{path}: expected 'offsets' that rise, found {offsets[falls[0] + 1]} after "
            f"{offsets[falls[0]]} in event {falls[0]}"
        )
    if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != rows:
        raise InputError(
            f"{path}: expected 'offsets' of events from 0 to {rows}, the rows of 'X', "
            f"found {len(offsets)} from {offsets[0]} to {offsets[-1]}"
        )
