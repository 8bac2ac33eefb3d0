"""Which showers are kept and which cells of them: the published event cuts, for every reader."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.formats.showers.calorimeter import Calorimeter


@dataclass(frozen=True)
class Cuts:
    """Cuts of ``open_showers``; see there."""

    energy_window: tuple[float, float] | None = None
    min_sum: float = 0.0
    crop: tuple[int, int] | None = None

    def kept(
        self, events: int, energy: np.ndarray | None, visible: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """Numbers of the events that pass.

        Args:
          energy: (events,) incident energies, GeV, if they are known.
          visible: gives the sum of the cells of each event, GeV; may read all of them.
        """
        keep = np.ones(events, bool)
        if self.energy_window is not None and energy is not None:
            keep &= (energy >= self.energy_window[0]) & (energy <= self.energy_window[1])
        if self.min_sum > 0:
            keep &= visible() > self.min_sum
        return np.flatnonzero(keep)

    def none_left(self, of: object) -> str:
        """What to say if no event passes."""
        return (
            f"expected showers after the cuts, found none of {of} (data.energy_range "
            f"{self.energy_window} GeV, visible energy above data.min_sum {self.min_sum} GeV)"
        )

    def require_crop(self, path: Path, grid: tuple[int, ...]) -> None:
        """Refuse a crop that reaches outside the cells."""
        crop = self.crop
        if crop is not None and len(grid) != 3:
            raise InputError(
                f"{path}: expected no crop of {grid[0]} voxels, found {crop}; leave data.crop out"
            )
        if crop is not None and not 0 <= crop[0] < crop[1] <= min(grid[:2]):
            raise InputError(
                f"{path}: expected a crop (data.crop) inside the {grid[0]} x {grid[1]} cells, "
                f"found {crop}"
            )


NO_CUTS = Cuts()


def cropped(grid: tuple[int, ...], crop: tuple[int, int] | None) -> tuple[int, ...]:
    """The cells along x, y and z that a crop leaves; voxels of a cylinder as they are."""
    return grid if crop is None else (crop[1] - crop[0], crop[1] - crop[0], grid[2])


def window(calorimeter: Calorimeter, crop: tuple[int, int] | None) -> Calorimeter:
    """The calorimeter with the cells that a crop leaves."""
    if crop is None:
        return calorimeter
    return replace(calorimeter, cells=(crop[1] - crop[0], crop[1] - crop[0]))
