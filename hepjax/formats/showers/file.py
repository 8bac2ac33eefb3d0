"""Reads one shower file: its layout, calorimeter, unit and columns.

The cells are read in blocks, by ``read_cells``. CaloChallenge files: calochallenge.py.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hepjax import InputError
from hepjax.formats.hdf5 import column, keys, numeric_dataset, open_hdf5, read_rows
from hepjax.formats.notes import note
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.geometry import calorimeter_of
from hepjax.formats.showers.layout import (
    CELL_UNIT,
    CELLS,
    GENERATED_ANGLE,
    GENERATED_ENERGY,
    UNIT_HINT,
    Layout,
    Unit,
    cells_of,
)
from hepjax.formats.units import ANGLE, ENERGY, converted, unit_of

BLOCK_EVENTS = 128
"""Events that are decoded together, unless the chunks of the file are larger."""
GEV_FRACTION = (0.001, 0.15)
"""Visible over incident energy of a sampling calorimeter whose cells are in GeV (CLIC: 0.02)."""
TIMES_50_FRACTION = (0.15, 5.0)
"""The same in cells of GeV x 50 (CLIC: 1)."""
NORMAL_WITHIN = 1e-3
"""rad; polar angles this close to pi/2 in all events make a fixed-angle file."""

LIKE_ANGLES = ("theta", "eta", "angle", "polar_angle", "pseudorapidity")
"""Names, in any case, of what may be meant as the polar angle."""


@dataclass(frozen=True, eq=False)
class ShowerFile:
    """What a file holds, its columns in GeV and rad.

    ``layout`` of a box is ``fixed`` for normal incidence and ``angle`` otherwise, whichever keys
    the file uses. ``energy``, ``theta``, ``mtheta`` and ``visible`` (stored sums of cells, GeV) are
    (n,) float32 or None if the file has none.
    """

    path: Path
    layout: Layout
    events: int
    grid: tuple[int, ...]
    """Shape of a shower: (x, y, z), or (voxels,) of a cylinder."""
    block_events: int
    unit: str
    unit_because: str
    energy_key: str | None
    energy: np.ndarray | None
    theta: np.ndarray | None
    mtheta: np.ndarray | None
    visible: np.ndarray | None
    calorimeter: Calorimeter | None
    """None for a cylinder of unknown binning."""
    threshold: float = 0.0
    """Cells below are read as 0, GeV. Boxes have none: the compiled step of a workload has it."""

    def read_cells(self, start: int, stop: int) -> np.ndarray:
        """Cells of events ``start`` to ``stop``, (n, *grid) float32 GeV, unchecked."""
        with open_hdf5(self.path) as file:
            cells = read_rows(file[cells_of(self.layout)], start, stop)
        cells = cells.reshape(len(cells), *self.grid).astype(np.float32, copy=False)
        scale = ENERGY[self.unit]
        cells = cells if scale == 1.0 else cells / np.float32(scale)
        if self.threshold:
            # What is negative or not a number stays, to be found by the check of the cells.
            cells = np.where((cells >= 0) & (cells < self.threshold), np.float32(0), cells)
        return cells


def describe(path: Path, unit: Unit = "auto", calorimeter: Calorimeter | None = None) -> ShowerFile:
    """Read everything but the cells.

    Args:
      calorimeter: of the file; by default what it says, else what its shape tells.
      unit: of the cells; ``auto`` takes what the file says, else what their sum over the incident
        energy says, else the published unit of the layout.
    Raises:
      InputError: not a shower file, or columns that do not fit together.
    """
    with open_hdf5(path) as file:
        ecal = numeric_dataset(file, path, CELLS)
        grid = _grid(path, ecal)
        found = calorimeter_of(file, path, grid, calorimeter)
        n = len(ecal)
        energy_key, energy = _energy(file, path, n)
        names = keys(file)
        theta_key = "theta" if "theta" in names else GENERATED_ANGLE
        theta, mtheta = _angle(file, path, theta_key, n), _angle(file, path, "mtheta", n)
        if theta is None and mtheta is None:
            _note_other_angle(path, names)
        layout: Layout = "fixed" if _is_normal(theta, mtheta) else "angle"
        unit_found, because = _unit(path, ecal, energy, layout, unit)
        visible = _visible(file, path, n, unit_found)
        chunk = min(n, ecal.chunks[0]) if ecal.chunks else 1
    return ShowerFile(
        path, layout, n, grid, -(-BLOCK_EVENTS // chunk) * chunk, unit_found, because,
        energy_key, energy, *((theta, mtheta) if layout == "angle" else (None, None)),
        visible, found,
    )  # fmt: skip


def _grid(path: Path, ecal: h5py.Dataset) -> tuple[int, int, int]:
    shape = ecal.shape[:-1] if ecal.ndim == 5 and ecal.shape[-1] == 1 else ecal.shape
    if len(shape) != 4 or min(shape) < 1:
        raise InputError(
            f"{path}: expected dataset 'ECAL' of shape (n, 25, 25, 25) for fixed or "
            f"(n, 51, 51, 25) for variable angle, found {ecal.shape}"
        )
    return shape[1], shape[2], shape[3]


def _energy(file: h5py.File, path: Path, n: int) -> tuple[str | None, np.ndarray | None]:
    """Incident energies from column 1 of ``target``, or ``energy``: (n,) or, older, (n, 1, 2).

    Generated files have ``Target`` in either of the shapes.
    """
    names = keys(file)
    key = next((k for k in ("target", "energy", GENERATED_ENERGY) if k in names), None)
    if key is None:
        return None, None
    values = column(file, path, key, n)
    energy = None
    if key != "energy" and values.ndim == 2 and values.shape[1] >= 2:
        energy = values[:, 1]
    elif key != "target" and values.shape in ((n,), (n, 1)):
        energy = values.reshape(n)
    elif key == "energy" and values.shape == (n, 1, 2):
        energy = values[:, 0, 1]
    if energy is None:
        expected = f"({n}, 2)" if key == "target" else f"({n},)"
        raise InputError(
            f"{path}: expected dataset {key!r} of shape {expected}, found {values.shape}"
        )
    energy = converted(energy, file[key], path, key, ENERGY)
    single = energy.astype(np.float32)  # too large becomes infinite, too small 0
    bad = np.flatnonzero(~(np.isfinite(single) & (single > 0)))
    if len(bad):
        raise InputError(
            f"{path}: expected positive energies in {key!r}, found {energy[bad[0]]} GeV "
            f"in event {bad[0]} ({len(bad)} of {n} events)"
        )
    return key, single


def _angle(file: h5py.File, path: Path, key: str, n: int) -> np.ndarray | None:
    if key not in keys(file):
        return None
    values = converted(column(file, path, key, n), file[key], path, key, ANGLE)
    if values.size != n:
        raise InputError(f"{path}: expected dataset {key!r} of shape ({n},), found {values.shape}")
    angle = values.reshape(n)
    # Measured angles of empty showers carry the flag 100.
    bad = np.flatnonzero(~((angle >= 0) & (angle <= (np.pi if key == "theta" else 100))))
    if len(bad):
        raise InputError(
            f"{path}: expected polar angles between 0 and pi rad in {key!r}, "
            f"found {angle[bad[0]]} in event {bad[0]}"
        )
    return angle.astype(np.float32)


def _note_other_angle(path: Path, names: list[str]) -> None:
    """Say that an angle under another name is not read."""
    for name in (name for name in names if name.lower() in LIKE_ANGLES):
        note(
            f"{path}: has {name!r} and no 'theta', counts as normal incidence; write theta in rad, "
            "of a pseudorapidity 2 arctan(exp(-eta)), for tilted showers",
            key="another name of theta",
        )


def _visible(file: h5py.File, path: Path, n: int, unit: str) -> np.ndarray | None:
    """Stored sums of the cells, GeV; in the unit of the cells unless they state another."""
    if "sum" not in keys(file):
        return None
    values = column(file, path, "sum", n).reshape(n, -1)[:, 0]
    own = unit_of(file["sum"], path, "sum", ENERGY)
    sums = (values / ENERGY[own or unit]).astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(sums))
    if len(bad):
        raise InputError(
            f"{path}: expected finite sums of cells in 'sum', found {values[bad[0]]} in event "
            f"{bad[0]}; write them again or leave 'sum' out"
        )
    return sums


def _is_normal(theta: np.ndarray | None, mtheta: np.ndarray | None) -> bool:
    if theta is None:
        return mtheta is None
    return bool(np.abs(theta - np.pi / 2).max() < NORMAL_WITHIN)


def _unit(
    path: Path, ecal: h5py.Dataset, energy: np.ndarray | None, layout: Layout, unit: Unit
) -> tuple[str, str]:
    """The unit of the cells and how it was found."""
    if unit != "auto":
        if unit not in ENERGY:
            raise InputError(f"unit: expected auto, {', '.join(ENERGY)}, found {unit!r}")
        return unit, "as requested"
    stored = unit_of(ecal, path, CELLS, ENERGY, UNIT_HINT)
    if stored is not None:
        return stored, "written in the file"
    kind = "fixed" if layout == "fixed" else "variable"
    published = CELL_UNIT[layout], f"the published unit of {kind}-angle files"
    if energy is None:
        return published
    first = np.asarray(read_rows(ecal, 0, min(len(ecal), BLOCK_EVENTS)), np.float64)
    fraction = first.sum() / energy[: len(first)].sum()
    if fraction == 0:
        return published
    because = f"cells sum to {fraction:.3g} of the energy"
    for candidate, (low, high) in {"GeV": GEV_FRACTION, "0.02 GeV": TIMES_50_FRACTION}.items():
        if low <= fraction < high:
            return candidate, because
    if not np.isfinite(fraction) or fraction < 0:
        return published  # the check of the cells names the event
    raise InputError(
        f"{path}: expected cells in GeV (sum about 0.02 of the energy) or GeV x 50 (about 1), "
        f"found a sum of {fraction:.3g}; {UNIT_HINT}"
    )
