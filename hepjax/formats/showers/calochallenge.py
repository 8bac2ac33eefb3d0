"""Reads CaloChallenge files: voxels and incident energies in MeV, cylinders of any binning.

Voxels run over radius fastest, then azimuth, then layer. Source: the homepage of the challenge
(arXiv:2410.21611).
"""

from pathlib import Path

import h5py
import numpy as np

from hepjax import InputError
from hepjax.formats.hdf5 import column, numeric_dataset, open_hdf5, read_rows
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.file import BLOCK_EVENTS, ShowerFile
from hepjax.formats.showers.geometry import calorimeter_of
from hepjax.formats.showers.layout import CELL_UNIT, INCIDENT, UNIT_HINT, VOXELS, Unit
from hepjax.formats.units import ENERGY, unit_of

UNIT = CELL_UNIT["calochallenge"]
"""Of voxels and energies, unless the file states another."""
FRACTION = (0.25, 4.0)
"""Sum of the voxels over the incident energy in files whose deposits are divided by a sampling
fraction: 0.6 to 0.8 on average in the published ones."""
UNDIVIDED_FRACTION = (2e-3, 2.0)
"""The same if nothing is known of a division."""


def is_calochallenge(file: h5py.File) -> bool:
    """Whether the file has the two datasets of the challenge."""
    return {VOXELS, INCIDENT} <= set(file)


def describe(path: Path, unit: Unit = "auto", calorimeter: Calorimeter | None = None) -> ShowerFile:
    """Read everything but the voxels.

    Args:
      unit: of the voxels; ``auto`` takes what the file states, else MeV.
      calorimeter: of the file, if it neither says it nor has the number of voxels of a public set.
    Raises:
      InputError: not a CaloChallenge file, energies that are not positive, or energies or voxels
        that show to be in another unit.
    """
    with open_hdf5(path) as file:
        showers = numeric_dataset(file, path, VOXELS)
        if showers.ndim != 2:
            raise InputError(
                f"{path}: expected dataset 'showers' of shape (n, voxels), found {showers.shape}"
            )
        events, voxels = showers.shape
        found = calorimeter_of(file, path, (voxels,), calorimeter)
        energy = column(file, path, INCIDENT, events)
        of_energy = unit_of(file[INCIDENT], path, INCIDENT, ENERGY)
        of_voxels, because = str(unit), "as requested"
        if unit == "auto":
            said = unit_of(showers, path, VOXELS, ENERGY, UNIT_HINT)
            of_voxels, because = (said, "written in the file") if said else (UNIT, "the layout")
        first = np.asarray(read_rows(showers, 0, min(events, BLOCK_EVENTS)), np.float64)
        chunk = min(events, showers.chunks[0]) if showers.chunks else 1
    if energy.size != events:
        raise InputError(
            f"{path}: expected dataset {INCIDENT!r} of shape ({events}, 1), found {energy.shape}"
        )
    energy = energy.reshape(events) / ENERGY[of_energy or UNIT]
    _check_energies(path, energy, of_energy, found)
    if found is not None and because == "the layout":
        fraction = first.sum() / ENERGY[of_voxels] / energy[: len(first)].sum()
        _check_fraction(path, fraction, found)
    return ShowerFile(
        path, "calochallenge", events, (voxels,), -(-BLOCK_EVENTS // chunk) * chunk, of_voxels,
        because, INCIDENT, energy.astype(np.float32), None, None, None, found,
        0.0 if found is None else found.threshold,
    )  # fmt: skip


def _check_energies(
    path: Path, energy: np.ndarray, stated: str | None, calorimeter: Calorimeter | None
) -> None:
    """Refuse energies that are not positive, or all out of range but for their unit."""
    unit = stated or UNIT
    with np.errstate(over="ignore"):
        single = energy.astype(np.float32)  # too large becomes infinite, too small 0
    bad = np.flatnonzero(~(np.isfinite(single) & (single > 0)))
    if len(bad):
        raise InputError(
            f"{path}: expected positive energies in {INCIDENT!r}, "
            f"found {energy[bad[0]] * ENERGY[unit]} {unit} in event {bad[0]}"
        )
    if calorimeter is None or not calorimeter.stack or stated:
        return
    low, high = 0.5 * calorimeter.energy[0], 2.0 * calorimeter.energy[1]
    for other in ("GeV", "keV"):
        scaled = energy * ENERGY[unit] / ENERGY[other]
        if not np.any((energy >= low) & (energy <= high)) and np.all(
            (scaled >= low) & (scaled <= high)
        ):
            raise InputError(
                f"{path}: expected {INCIDENT!r} in {unit}, {calorimeter.energy[0]:g} to "
                f"{calorimeter.energy[1]:g} GeV for {calorimeter.name}, found {energy.min():g} to "
                f"{energy.max():g} GeV, which looks like {other}; write the attribute 'unit' of "
                "the dataset"
            )


def _check_fraction(path: Path, fraction: float, calorimeter: Calorimeter) -> None:
    """Refuse voxels whose sum over the incident energy shows that they are in another unit."""
    divided = calorimeter.divided_by != 1.0
    low, high = FRACTION if divided else UNDIVIDED_FRACTION
    if fraction == 0 or not np.isfinite(fraction) or fraction < 0 or low <= fraction < high:
        return  # the check of the cells names events without sense
    looks = f"another unit; {UNIT_HINT}"
    for other in ("GeV", "keV"):
        if low <= fraction * ENERGY[UNIT] / ENERGY[other] < high:
            looks = f"{other}; {UNIT_HINT}"
    if divided and low <= fraction / calorimeter.divided_by < high:
        looks = (
            f"deposits that were not divided by the sampling fraction "
            f"{calorimeter.divided_by:g} of {calorimeter.name}; divide them"
        )
    raise InputError(
        f"{path}: expected voxels in {UNIT} that sum to {low:g} to {high:g} of the incident "
        f"energy, found {fraction:.3g}, which looks like {looks}"
    )
