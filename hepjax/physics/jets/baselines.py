"""What separates the classes without a network: one number of an event, from columns or cells.

Pure functions of columns (n,) and padded sparse images (n, K), NumPy. A tagger should beat them.
"""

import numpy as np

from hepjax.formats.images import Grid

TRACKS, CALORIMETER = "pT", "ECAL"
"""Channels whose filled pixels are counted, and whose width is measured."""


def from_columns(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The jet observables that the files have: name for people to values (n,).

    N-subjettiness ratio tau3/tau2: Thaler and Van Tilburg, JHEP 03 (2011) 015; 1 where tau2 is 0.
    """
    names = {"mass": "jet mass", "m_sd": "soft-drop mass", "nt": "track multiplicity", "pt": "pT"}
    found = {
        text: np.asarray(columns[name], float) for name, text in names.items() if name in columns
    }
    if "tau2" in columns and "tau3" in columns:
        tau2, tau3 = np.asarray(columns["tau2"], float), np.asarray(columns["tau3"], float)
        found["tau3 / tau2"] = np.divide(tau3, tau2, out=np.ones_like(tau3), where=tau2 > 0)
    return found


def from_cells(grid: Grid, cell: np.ndarray, value: np.ndarray) -> dict[str, np.ndarray]:
    """Filled track pixels, and the widths of the electromagnetic energy along both image axes.

    Args:
      cell: (n, K) flat cells of ``grid``, padded with ``grid.size``.
      value: (n, K), padded with 0.
    Returns:
      Name for people to values (n,); widths are rms in cells, negative cells left out.
    """
    found = {}
    for index, name in enumerate(grid.names):
        start, stop = grid.starts[index : index + 2]
        inside = (cell >= start) & (cell < stop)
        if name == TRACKS:
            found["track pixels"] = np.count_nonzero(inside & (value != 0), axis=1).astype(float)
        if name == CALORIMETER:
            energy = np.where(inside, np.maximum(value, 0), 0).astype(float)
            row, column = np.divmod(cell - start, grid.planes[index][1])
            found[f"{name} width, rows"] = _rms(row, energy)
            found[f"{name} width, columns"] = _rms(column, energy)
    return found


def _rms(position: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted standard deviation along axis 1; 0 without weight."""
    total = np.maximum(weight.sum(1), np.finfo(float).tiny)
    mean = (weight * position).sum(1) / total
    variance = (weight * (position - mean[:, None]) ** 2).sum(1) / total
    return np.sqrt(variance)
