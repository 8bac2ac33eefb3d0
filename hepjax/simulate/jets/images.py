"""Images of jets, eight channels round the jet axis, from what a detector measures.

The layout of the CMS Open Data end-to-end images. Tracks, impact parameters and pixel hits lie in
cells of the electromagnetic calorimeter or finer; calorimeters keep their towers. No detector here.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from hepjax import InputError
from hepjax.formats.images import Channel, Grid, SparseImages

CELL_ETA = 0.0174
"""Height of a cell of the electromagnetic calorimeter in the barrel; its width is 1 degree."""
CELLS_PER_TOWER = 5
"""Of the electromagnetic calorimeter, along eta and along phi, in one hadron tower."""
TURN = 360
"""Cells round the detector."""
WINDOW = 125
"""Cells along each side of an image."""
BPIX_RADIUS_MM = {"BPIX1": 44.0, "BPIX2": 73.0, "BPIX3": 102.0}
"""Layers of the pixel barrel."""


class Deposits(NamedTuple):
    """What goes into one channel of several jets; (k,) arrays."""

    jet: np.ndarray  # int64, number of the image
    eta: np.ndarray
    phi: np.ndarray  # rad, any turn
    value: np.ndarray


def jet_grid(resolution: int) -> Grid:
    """The cells of an image: 125 x 125 pixels at resolution 1, 375 x 375 at 3.

    Calorimeters keep their own granularity at both, tracks and hits are in pixels.
    """
    if resolution not in (1, 3):
        raise InputError(f"resolution: expected 1 or 3, found {resolution}")
    tower = resolution * CELLS_PER_TOWER
    return Grid(
        (WINDOW * resolution, WINDOW * resolution),
        (
            Channel("pT", "GeV"),
            Channel("d0", "mm"),
            Channel("dz", "mm"),
            Channel("ECAL", "GeV", resolution),
            Channel("HCAL", "GeV", tower),
            *(Channel(name, "hits") for name in BPIX_RADIUS_MM),
        ),
    )


def first_cell(eta: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column (n,) of the first cell of the windows round some axes.

    The hadron tower that holds the axis is in the middle, so that towers fill whole 5 x 5 blocks:
    the central cell is tower * 5 + 2, as in the published images. Rows count from eta = 0, columns
    from phi = 0.
    """
    margin = WINDOW // 2 - CELLS_PER_TOWER // 2
    row, column = (
        CELLS_PER_TOWER * np.floor(cell / CELLS_PER_TOWER).astype(np.int64) - margin
        for cell in (np.asarray(eta) / CELL_ETA, np.degrees(phi))
    )
    return row, column


def jet_images(
    resolution: int, eta: np.ndarray, phi: np.ndarray, deposits: Mapping[str, Deposits]
) -> SparseImages:
    """Images on ``jet_grid(resolution)``.

    Args:
      eta, phi: (n,) axes of the jets.
      deposits: by channel; energies of calorimeters are transverse. Deposits outside a window are
        left out, deposits in one cell add up. A tower's energy is split over the pixels that it
        fills, so that the sum of the dense image is the sum of the deposits.
    """
    grid = jet_grid(resolution)
    keys, values = [], []
    for start, plane, channel in zip(grid.starts, grid.planes, grid.channels, strict=False):
        what = deposits[channel.name]
        inside, row, column = _in_window(eta, phi, what, resolution / channel.coarsening)
        keys.append(what.jet[inside] * grid.size + start + row * plane[1] + column)
        values.append(np.asarray(what.value, np.float64)[inside] / channel.coarsening**2)
    return _added_up(np.concatenate(keys), np.concatenate(values), len(eta), grid.size)


def tracks_in_window(eta: np.ndarray, phi: np.ndarray, tracks: Deposits) -> np.ndarray:
    """(n,) int32, tracks that fall into the image of each jet."""
    inside, _, _ = _in_window(eta, phi, tracks, 1.0)
    return np.bincount(tracks.jet[inside], minlength=len(eta)).astype(np.int32)


def _in_window(
    eta: np.ndarray, phi: np.ndarray, what: Deposits, finer: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which deposits fall into the window of their jet, and their row and column in it.

    Args:
      finer: stored cells along one cell of the electromagnetic calorimeter: 3, 1 or 1/5.
    """
    first_row, first_column = (np.round(first * finer) for first in first_cell(eta, phi))
    row = np.floor(what.eta / CELL_ETA * finer) - first_row[what.jet]
    column = np.floor(np.degrees(what.phi) * finer) - first_column[what.jet]
    column %= round(TURN * finer)
    size = round(WINDOW * finer)
    inside = (row >= 0) & (row < size) & (column < size)
    return inside, row[inside].astype(np.int64), column[inside].astype(np.int64)


def _added_up(key: np.ndarray, value: np.ndarray, jets: int, size: int) -> SparseImages:
    key, position = np.unique(key, return_inverse=True)
    total = np.bincount(position, value, minlength=len(key)).astype(np.float32)
    kept = total != 0
    jet, cell = np.divmod(key[kept], size)
    first = np.searchsorted(jet, np.arange(jets + 1))
    return SparseImages(first, cell.astype(np.uint32), total[kept])
