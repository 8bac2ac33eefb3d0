"""Cells of a box as bins of a cylinder: one matrix for every layer."""

import math

import numpy as np

SECTORS = 16
"""Bins of the azimuth, as in the meshes of Geant4's Par04."""
POINTS = 16
"""Along each side of a cell; shares are then right to about 1 %."""


def box_to_cylinder(
    cells: tuple[int, int], size: tuple[float, float], sectors: int = SECTORS
) -> tuple[np.ndarray, int, int, float]:
    """The share of each cell (x, y) that lies in each bin (radius, azimuth) about the centre.

    Args:
      cells: along x and y.
      size: of a cell along x and y, mm.
    Returns:
      (x y, rings sectors) float32 whose rows sum to 1, so that energy is kept; rings; sectors; and
      the width of a ring in mm, that of the larger side of a cell. Azimuths begin at -pi.
    """
    width = max(size)
    corner = math.hypot(*(n * s / 2 for n, s in zip(cells, size, strict=True)))
    rings = math.ceil(corner / width)
    within = (np.arange(POINTS) + 0.5) / POINTS
    x, y = (
        (((np.arange(n)[:, None] + within) - n / 2) * s).reshape(-1)
        for n, s in zip(cells, size, strict=True)
    )
    radius, azimuth = np.hypot(x[:, None], y), np.arctan2(y[None], x[:, None])
    ring = np.minimum((radius / width).astype(int), rings - 1)
    sector = np.clip(((azimuth + np.pi) / (2 * np.pi) * sectors).astype(int), 0, sectors - 1)
    cell_x, cell_y = np.arange(len(x)) // POINTS, np.arange(len(y)) // POINTS
    cell = cell_x[:, None] * cells[1] + cell_y
    shares = np.zeros((math.prod(cells), rings * sectors))
    np.add.at(shares, (cell, ring * sectors + sector), 1 / POINTS**2)
    return shares.astype(np.float32), rings, sectors, width
