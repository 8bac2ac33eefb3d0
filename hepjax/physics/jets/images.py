"""Sums of sparse images by class, and cells as pictures of each channel; NumPy."""

import numpy as np

from hepjax.formats.images import Grid


def absolute_sums(
    grid: Grid, cell: np.ndarray, value: np.ndarray, label: np.ndarray, classes: int
) -> np.ndarray:
    """Sum of |value| in each cell of each class.

    Args:
      cell, value: (n, K) padded sparse images; label: (n,) in 0 ... classes - 1.
    Returns:
      (classes, grid.size) float64.
    """
    size = grid.size + 1  # the last one takes the padding
    index = cell.astype(np.int64) + size * label.astype(np.int64)[:, None]
    sums = np.bincount(index.ravel(), np.abs(value).ravel(), classes * size)
    return sums.reshape(classes, size)[:, :-1]


def planes(grid: Grid, flat: np.ndarray) -> list[np.ndarray]:
    """All cells of an event, (grid.size,), as one picture a channel at its own granularity."""
    starts = grid.starts
    return [flat[starts[k] : starts[k + 1]].reshape(p) for k, p in enumerate(grid.planes)]
