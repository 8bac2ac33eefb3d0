"""CaloChallenge files, for looking into them: ``incident_energies`` and ``showers`` in MeV.

Voxels run over radius fastest, then angle, then layer. Source: the homepage of the challenge
(arXiv:2410.21611).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hepjax import InputError
from hepjax.formats.hdf5 import column, numeric_dataset, open_hdf5, read_rows
from hepjax.formats.showers.layout import UNIT_HINT, Unit
from hepjax.formats.units import ENERGY, unit_of

KEYS = ("incident_energies", "showers")
UNIT = "MeV"
"""Of voxels and energies, unless the file states another."""
BLOCK_BYTES = 2**25
VOXEL_THRESHOLD_GEV = 15.15e-6
"""Voxels of data sets 2 and 3 below this energy are set to zero."""
DATASETS = {
    368: ("1, photons", None),
    533: ("1, pions", None),
    6480: ("2, electrons", (45, 16, 9)),
    40500: ("3, electrons", (45, 50, 18)),
}
"""Voxels: data set and its grid (layer, angle, radius); the layers of set 1 differ in size."""


@dataclass(frozen=True, eq=False)
class CaloChallengeFile:
    """What a file holds; ``energy`` (n,) float32 GeV, ``grid`` (layer, angle, radius) or None."""

    path: Path
    dataset: str
    events: int
    voxels: int
    grid: tuple[int, int, int] | None
    energy: np.ndarray
    unit: str = UNIT
    """Of the voxels in the file."""
    unit_because: str = "the layout"

    def stream(self) -> Iterator[np.ndarray]:
        """All showers in order, (n, voxels) float32 GeV, some 32 MB at a time."""
        step = max(1, BLOCK_BYTES // (4 * self.voxels))
        for start in range(0, self.events, step):
            with open_hdf5(self.path) as file:
                rows = read_rows(file["showers"], start, min(start + step, self.events))
            yield (rows / ENERGY[self.unit]).astype(np.float32)


def is_calochallenge(file: h5py.File) -> bool:
    """Whether the file has the two datasets of the challenge."""
    return set(KEYS) <= set(file)


def describe(path: Path, unit: Unit = "auto") -> CaloChallengeFile:
    """Read everything but the voxels.

    Args:
      unit: of the voxels; ``auto`` takes what the file states, else MeV.
    Raises:
      InputError: not a CaloChallenge file, or energies that are not positive.
    """
    with open_hdf5(path) as file:
        showers = numeric_dataset(file, path, "showers")
        if showers.ndim != 2:
            raise InputError(
                f"{path}: dataset 'showers' has shape {showers.shape}, expected (n, voxels)"
            )
        events, voxels = showers.shape
        energy = column(file, path, KEYS[0], events)
        of_energy = unit_of(file[KEYS[0]], path, KEYS[0], ENERGY) or UNIT
        of_voxels, because = str(unit), "as requested"
        if unit == "auto":
            said = unit_of(showers, path, KEYS[1], ENERGY, UNIT_HINT)
            of_voxels, because = (said, "written in the file") if said else (UNIT, "the layout")
    if energy.size != events:
        raise InputError(
            f"{path}: dataset 'incident_energies' has shape {energy.shape}, expected ({events}, 1)"
        )
    energy = energy.reshape(events) / ENERGY[of_energy]
    bad = np.flatnonzero(~(np.isfinite(energy) & (energy > 0)))
    if len(bad):
        raise InputError(
            f"{path}: expected positive energies in 'incident_energies', "
            f"found {energy[bad[0]] * ENERGY[of_energy]} {of_energy} in event {bad[0]}"
        )
    dataset, grid = DATASETS.get(voxels, ("of another detector", None))
    return CaloChallengeFile(
        path, dataset, events, voxels, grid, energy.astype(np.float32), of_voxels, because
    )
