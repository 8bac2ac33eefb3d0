"""What is in shower files: layout, units, ranges, checks, and how they compare with CLIC showers.

Goes through the files once, block by block. CaloChallenge files: inspect_cylinders.py.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.hdf5 import list_datasets, list_files
from hepjax.formats.recognise import recognise
from hepjax.formats.showers.angle import EMPTY_SHOWER_ANGLE
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.files import ShowerSource, open_shower_files
from hepjax.formats.showers.layout import Unit
from hepjax.physics.calorimeter.inspect_cylinders import inspect_cylinders, problems
from hepjax.physics.calorimeter.inspect_text import text
from hepjax.physics.calorimeter.observables import published_sampling_fraction
from hepjax.report.inspection import Progress, no_progress, save_picture, value_range

__all__ = ["inspect", "text"]

OCCUPANCY_THRESHOLDS = (0.0, 1e-6, 1e-4)
"""GeV."""
ENERGY_EDGES = (0, 2, 5, 10, 20, 30, 50, 70, 100, 150, 200, 250, 300, 350, 400, 450, 500, 1000, 1e4)
"""GeV, of the bins of the sampling fraction."""
PUBLISHED_RANGE = (2.0, 500.0)
"""GeV, incident energies of the published set, for which its sampling fraction is compared."""
PUBLISHED_OF = ("clic-25", "clic-51", "unknown")
"""Calorimeters that are compared with it; files that do not say count as CLIC."""


def inspect(
    paths: str | Path | Sequence[str | Path], plot: str | Path | None = None,
    *, progress: Progress = no_progress, unit: Unit = "auto",
    calorimeter: Calorimeter | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Everything ``hepjax inspect`` prints, as one dictionary ready for JSON.

    Args:
      paths: files or folders of one layout.
      plot: PNG file to draw the mean shower into (boxes only).
      progress: shows how far it is.
      unit: of the cells, if the files do not say it or say it wrongly.
      calorimeter: of the showers, in the same case.
    Returns:
      ``layout``, ``calorimeter``, ``events``, ``grid``, ``files`` (with their datasets), ranges in
      GeV and rad, ``occupancy`` by threshold in GeV, ``sampling_fraction`` by bin of incident
      energy, ``checks``, and ``problems``, one sentence each.
    Raises:
      InputError: unreadable files, unknown or mixed layouts.
    """
    files = list_files(paths)
    families = {recognise(file): file for file in files}
    if len(families) > 1:
        first, second = families.values()
        raise InputError(
            f"{second}: expected the layout of {first.name}, found another; inspect them separately"
        )
    if "calochallenge" in families:
        if plot is not None:
            raise InputError(
                "--plot: expected boxes of cells to draw, found the CaloChallenge file "
                f"{files[0]}; leave it out"
            )
        return inspect_cylinders(files, progress, unit, calorimeter)

    source = open_shower_files(files, unit=unit, calorimeter=calorimeter)
    totals = _Totals(source.grid)
    with progress("inspect", len(source), "showers") as advance:
        for batch in source.stream(check=False):
            totals.add(batch)
            advance(len(batch["ecal"]))
    report = _report(source, totals)
    if plot is not None:
        from hepjax.physics.calorimeter.inspect_plot import draw

        mean = totals.shower / len(source)
        save_picture(lambda: draw(report, mean, totals.energy_by_layer()), Path(plot))
    return report


class _Totals:
    """Sums over showers, and one number of each shower."""

    def __init__(self, grid: tuple[int, ...]) -> None:
        self.events = 0
        self.shower = np.zeros(grid)  # GeV, sum over showers
        self.layers = np.zeros((2, grid[2]))  # sums of layer energies and of their squares
        self.above = np.zeros(len(OCCUPANCY_THRESHOLDS))
        self.hottest = 0.0
        self.columns: dict[str, list[np.ndarray]] = {}
        self.nan = self.negative = 0
        self.first_bad: int | None = None

    def add(self, batch: dict[str, np.ndarray]) -> None:
        """Count a batch; cells that are not finite or negative count as 0."""
        cells = self._repaired(batch["ecal"])
        layers = cells.sum((1, 2))
        self.shower += cells.sum(0, dtype=np.float64)
        self.layers += np.stack([layers.sum(0), (layers.astype(np.float64) ** 2).sum(0)])
        self.above += [np.count_nonzero(cells > t) for t in OCCUPANCY_THRESHOLDS]
        self.hottest = max(self.hottest, float(cells.max()))
        self.events += len(cells)
        for key in ("energy", "theta", "mtheta"):
            if key in batch:
                self.columns.setdefault(key, []).append(batch[key])
        self.columns.setdefault("visible", []).append(layers.sum(1))

    def _repaired(self, cells: np.ndarray) -> np.ndarray:
        if cells.min() >= 0 and cells.max() < np.inf:
            return cells
        not_finite, negative = ~np.isfinite(cells), cells < 0
        self.nan += int(not_finite.sum())
        self.negative += int(negative.sum())
        bad = not_finite | negative
        if self.first_bad is None:
            self.first_bad = self.events + int(np.flatnonzero(bad.any((1, 2, 3)))[0])
        return np.where(bad, np.float32(0), cells)

    def column(self, key: str) -> np.ndarray | None:
        """One number of each shower, float64, or None if the files do not have it."""
        parts = self.columns.get(key)
        return None if parts is None else np.concatenate(parts).astype(np.float64)

    def energy_by_layer(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean energy of each layer and its statistical error, GeV."""
        mean, square = self.layers / self.events
        return mean, np.sqrt(np.maximum(square - mean**2, 0) / self.events)


def _report(source: ShowerSource, totals: _Totals) -> dict[str, Any]:
    energy, theta, mtheta = (totals.column(key) for key in ("energy", "theta", "mtheta"))
    visible = totals.column("visible")
    assert visible is not None
    cells = totals.events * int(np.prod(source.grid))
    empty = int(np.count_nonzero(visible == 0))
    filled = mtheta is not None and mtheta < EMPTY_SHOWER_ANGLE
    report: dict[str, Any] = {
        "layout": f"CLIC, {'fixed' if source.files[0].layout == 'fixed' else 'variable'} angle",
        "calorimeter": source.calorimeter.name,
        "events": len(source),
        "grid": list(source.grid),
        "files": [
            {
                "path": str(file.path), "events": file.events,
                "cell_unit": file.unit, "cell_unit_because": file.unit_because,
                "energy_key": file.energy_key, "datasets": list_datasets(file.path),
            }
            for file in source.files
        ],
        "energy_gev": value_range(energy),
        "theta_rad": value_range(theta),
        "mtheta_rad": None if mtheta is None else value_range(mtheta[filled]),
        "mtheta_minus_theta_rad": _angle_agreement(theta, mtheta),
        "visible_gev": value_range(visible),
        "hottest_cell_gev": totals.hottest,
        "occupancy": dict(zip(map(str, OCCUPANCY_THRESHOLDS), totals.above / cells, strict=True)),
        "sampling_fraction": None if energy is None else list(
            _fractions(energy, visible, source.calorimeter.name in PUBLISHED_OF)
        ),
        "checks": {
            "cells_not_finite": totals.nan, "cells_negative": totals.negative,
            "empty_events": empty, "first_bad_event": totals.first_bad,
        },
    }  # fmt: skip
    report["problems"] = [*problems(report), *_tilt(report)]
    return report


def _angle_agreement(
    theta: np.ndarray | None, mtheta: np.ndarray | None
) -> dict[str, float] | None:
    """Mean and rms of measured minus true angle, and how the two correlate."""
    if theta is None or mtheta is None:
        return None
    filled = mtheta < EMPTY_SHOWER_ANGLE
    true, measured = theta[filled], mtheta[filled]
    if len(true) < 3 or true.std() == 0:
        return None
    difference = measured - true
    spread = true.std() * measured.std()
    together = np.mean((true - true.mean()) * (measured - measured.mean()))
    return {
        "mean": float(difference.mean()),
        "rms": float(difference.std()),
        "correlation": float(together / spread) if spread > 0 else 0.0,
    }


def _fractions(energy: np.ndarray, visible: np.ndarray, clic: bool) -> Iterator[dict[str, Any]]:
    """Visible over incident energy in bins of incident energy; of CLIC beside the published one."""
    fraction = visible / energy
    low, high = PUBLISHED_RANGE
    for bottom, top in pairwise(ENERGY_EDGES):
        inside = (energy >= bottom) & (energy < top)
        n = int(inside.sum())
        if n == 0:
            continue
        published = None
        if clic and low <= energy[inside].min() and energy[inside].max() <= high:
            published = float(np.mean(published_sampling_fraction(energy[inside])))
        mean, rms = float(fraction[inside].mean()), float(fraction[inside].std())
        yield {
            "energy_gev": [bottom, top],
            "mean_energy_gev": float(energy[inside].mean()),
            "events": n,
            "mean": mean,
            "rms": rms,
            "published": published,
            "ratio": published and mean / published,
            "ratio_error": published and rms / np.sqrt(n) / published,
        }


def _tilt(report: dict[str, Any]) -> Iterator[str]:
    agreement = report["mtheta_minus_theta_rad"]
    if agreement and agreement["correlation"] < 0.5:
        yield (
            "the measured angle does not follow the true one (correlation "
            f"{agreement['correlation']:.2f}): it sees a tilt in y, these showers may tilt in x"
        )
