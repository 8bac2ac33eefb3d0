"""What is in CaloChallenge files: binning, units, ranges, energy by layer, checks."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.hdf5 import list_datasets
from hepjax.formats.showers import calochallenge
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.layout import Unit
from hepjax.report.inspection import Progress, value_range

DATA_SETS = {
    "atlas-photons": "1, photons",
    "atlas-pions": "1, pions",
    "par04": "2, electrons",
    "par04-fine": "3, electrons",
}
"""Calorimeters of the challenge."""
THRESHOLD = 1e-6
"""GeV, for the occupancy of a calorimeter of which nothing is known."""


def inspect_cylinders(
    paths: Iterable[Path],
    progress: Progress,
    unit: Unit = "auto",
    calorimeter: Calorimeter | None = None,
) -> dict[str, Any]:
    """The report on CaloChallenge files, see ``inspect.inspect``.

    The occupancy counts voxels above the threshold of the calorimeter; everything else counts all.

    Raises:
      InputError: files that are none, or of different numbers of voxels.
    """
    files = [calochallenge.describe(path, unit, calorimeter) for path in paths]
    first = files[0]
    for file in files[1:]:
        if file.grid != first.grid:
            raise InputError(
                f"{file.path}: expected {first.grid[0]} voxels as in {first.path.name}, "
                f"found {file.grid[0]}"
            )
    known, voxels = first.calorimeter, first.grid[0]
    threshold = THRESHOLD if known is None else known.threshold
    events = sum(file.events for file in files)
    sums = _Sums(voxels, threshold)
    with progress("inspect", events, "showers") as advance:
        for file in files:
            raw = replace(file, threshold=0.0)
            for start in range(0, file.events, file.block_events):
                cells = raw.read_cells(start, min(start + file.block_events, file.events))
                sums.add(cells)
                advance(len(cells))
    energy = np.concatenate([file.energy for file in files if file.energy is not None])
    total = np.concatenate(sums.visible)
    regular = None if known is None else known.regular
    report: dict[str, Any] = {
        "layout": f"CaloChallenge, data set {_data_set(known)}",
        "calorimeter": None if known is None else known.name,
        "events": events,
        "voxels": voxels,
        "grid_layer_angle_radius": regular and list(regular),
        "layers": None if known is None else _layers(known, sums.shower, sums.shower.sum()),
        "files": [
            {
                "path": str(f.path), "events": f.events, "cell_unit": f.unit,
                "cell_unit_because": f.unit_because, "datasets": list_datasets(f.path),
            }
            for f in files
        ],
        "energy_gev": value_range(energy),
        "visible_gev": value_range(total),
        "visible_over_incident": value_range(total / energy.astype(np.float64)),
        "hottest_cell_gev": sums.hottest,
        "occupancy": {str(threshold): sums.above / (events * voxels)},
        "checks": {
            "cells_not_finite": sums.not_finite, "cells_negative": sums.negative,
            "empty_events": int(np.count_nonzero(total == 0)), "first_bad_event": sums.first_bad,
        },
    }  # fmt: skip
    report["problems"] = list(problems(report))
    return report


class _Sums:
    """Sums over showers; voxels that are not finite count as 0."""

    def __init__(self, voxels: int, threshold: float) -> None:
        self.threshold = threshold
        self.shower = np.zeros(voxels)  # GeV
        self.visible: list[np.ndarray] = []
        self.above = self.not_finite = self.negative = self._seen = 0
        self.hottest = 0.0
        self.first_bad: int | None = None

    def add(self, cells: np.ndarray) -> None:
        """Count showers (n, voxels), GeV."""
        finite = np.where(np.isfinite(cells), cells, 0)
        bad = np.flatnonzero(~((cells >= 0) & np.isfinite(cells)).all(1))
        if self.first_bad is None and len(bad):
            self.first_bad = self._seen + int(bad[0])
        self._seen += len(cells)
        self.not_finite += int(np.count_nonzero(~np.isfinite(cells)))
        self.negative += int(np.count_nonzero(cells < 0))
        self.above += int(np.count_nonzero(finite > self.threshold))
        self.hottest = max(self.hottest, float(finite.max()))
        self.shower += finite.sum(0, dtype=np.float64)
        self.visible.append(finite.sum(1, dtype=np.float64))


def _data_set(calorimeter: Calorimeter | None) -> str:
    if calorimeter is None:
        return "of another detector"
    return DATA_SETS.get(calorimeter.name, f"of another detector, {calorimeter.name}")


def _layers(calorimeter: Calorimeter, shower: np.ndarray, total: float) -> list[dict[str, Any]]:
    """Binning of each layer and its share of the energy."""
    offsets = calorimeter.offsets
    return [
        {
            "number": layer.number, "sectors": layer.sectors, "rings": len(layer.rings) - 1,
            "edges_mm": [layer.rings[0], layer.rings[-1]],
            "share": float(shower[low:high].sum() / total) if total > 0 else 0.0,
        }
        for layer, low, high in zip(calorimeter.layers, offsets[:-1], offsets[1:], strict=True)
    ]  # fmt: skip


def problems(report: dict[str, Any]) -> Iterator[str]:
    """What is wrong with showers of any layout, a sentence each."""
    checks = report["checks"]
    if checks["first_bad_event"] is not None:
        yield (
            f"{checks['cells_not_finite']} cells are not finite and {checks['cells_negative']} are "
            f"negative, first in event {checks['first_bad_event']}: such files cannot be trained on"
        )
    if checks["empty_events"]:
        cut = "; min_sum removes them" if "sampling_fraction" in report else ""
        yield f"{checks['empty_events']} events are empty{cut}"
    if report["energy_gev"] is None:
        yield "no incident energies: such files cannot be trained on"
