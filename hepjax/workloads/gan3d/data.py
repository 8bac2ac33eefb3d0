"""Which showers a 3DGAN trains on and is judged on."""

from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.engine.workload import Sources
from hepjax.formats.showers.angle import EMPTY_SHOWER_ANGLE, measured_angle
from hepjax.formats.showers.geometry import guessed
from hepjax.formats.showers.reader import open_showers, with_cells
from hepjax.formats.source import Batch, Source, divided
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.layers import in_words

LOOKED_AT = 128
"""First showers whose lean is compared with their angles."""
CLEAR = 0.7
"""Correlation from which on the lean of showers follows their angles beyond doubt."""


def open_events(cfg: Gan3DConfig, paths: list[Path]) -> Source:
    """Showers of these files after the event cuts of the configuration.

    Raises:
      InputError: unreadable, of another calorimeter, or without what the model is given.
    """
    known = cfg.calorimeter
    source = open_showers(
        paths, unit=cfg.data.unit, calorimeter=None if known.box else known,
        energy_window=cfg.energies, min_sum=cfg.data.min_sum, crop=cfg.data.crop, sparse=True,
    )  # fmt: skip
    if source.energy is None:
        raise InputError(f"{paths[0]}: expected incident energies, found a file without them")
    if source.grid != known.shape:
        raise InputError(
            f"{paths[0]}: expected showers of {in_words(known.shape)} cells ({known.name}), "
            f"found {in_words(source.grid)}{_way_out(source.grid, known.shape)}"
        )
    # A file that does not say whose showers it holds is taken for any calorimeter of its shape.
    names = {known.name, getattr(guessed(known.shape), "name", None)}
    if cfg.data.crop is None and source.calorimeter.name not in names:
        raise InputError(
            f"{paths[0]}: expected showers of {known.name}, found those of "
            f"{source.calorimeter.name}; name it: data.calorimeter"
        )
    if cfg.data.tilt == "x":
        _require_square(known.shape, paths[0])
    leaning: Source = source if cfg.data.tilt == "y" else Swapped(source, known.shape)
    if not cfg.with_angle or cfg.data.angle == "mtheta":
        return leaning
    if source.theta is None:
        raise InputError(
            f"{paths[0]}: expected true polar angles (theta), found a file without them; give it "
            "them in rad, or train with data.angle=mtheta"
        )
    low, high = cfg.angles
    kept = np.flatnonzero((source.theta >= low) & (source.theta <= high))
    if not len(kept):
        found = np.degrees([source.theta.min(), source.theta.max()])
        raise InputError(
            f"{paths[0]}: expected polar angles of {np.degrees(low):g} to {np.degrees(high):g} "
            f"degrees (data.angle_range), found {found[0]:.4g} to {found[1]:.4g}"
        )
    _require_tilt(leaning, source.theta, known.shape, cfg.data.tilt, paths[0])
    return leaning if len(kept) == len(source) else Chosen(leaning, kept)


def _require_square(shape: tuple[int, ...], path: Path) -> None:
    if len(shape) != 3 or shape[0] != shape[1]:
        raise InputError(
            f"data.tilt: expected y for showers of {in_words(shape)} cells ({path}), whose x and y "
            "cannot change places, found x"
        )


def _require_tilt(
    source: Source, theta: np.ndarray, shape: tuple[int, ...], tilt: str, path: Path
) -> None:
    """Refuse showers whose measured angle does not follow the true one, as far as that is clear.

    A generator would learn from them that the angle means nothing, or the opposite.
    """
    rows = np.arange(min(len(source), LOOKED_AT))
    true = theta[rows]
    if len(rows) < 16 or np.ptp(true) < 0.1:
        return
    cells = with_cells(source[rows], shape)["ecal"]
    along, across = (_follows(c, true) for c in (cells, np.swapaxes(cells, 1, 2)))
    other = "y" if tilt == "x" else "x"
    if along < -CLEAR:
        raise InputError(
            f"{path}: expected polar angles that shrink as showers lean towards higher {tilt} with "
            "depth, found them growing; write pi - theta in their place"
        )
    if abs(across) > CLEAR > along:
        raise InputError(
            f"{path}: expected showers that lean along {tilt} as data.tilt says, found them "
            f"leaning along {other}; give data.tilt={other}"
        )


def _follows(cells: np.ndarray, theta: np.ndarray) -> float:
    """Correlation of the angle that is measured from the cells with the true one."""
    measured = measured_angle(cells)
    some = measured < EMPTY_SHOWER_ANGLE
    if some.sum() < 2 or np.ptp(measured[some]) == 0:
        return 0.0
    return float(np.corrcoef(measured[some], theta[some])[0, 1])


def _way_out(found: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """How showers of another size may be used after all."""
    if len(found) != 3 or len(wanted) != 3 or found[2] != wanted[2] or found[0] < wanted[0]:
        return "; data.calorimeter names another one"
    low = (found[0] - wanted[0]) // 2
    return f"; data.crop=[{low},{low + wanted[0]}] takes the middle, or name data.calorimeter"


def sources(cfg: Gan3DConfig) -> Sources:
    """Training and validation showers: separate files, or the last part of the sorted files."""
    source = open_events(cfg, [Path(p) for p in cfg.data.files])
    if cfg.data.validation_files:
        return Sources(source, open_events(cfg, [Path(p) for p in cfg.data.validation_files]))
    return Sources(*divided(source, cfg.data.validation_fraction, "showers", cfg.data.rotate))


class Swapped:
    """The events of another source with x and y of their cells in each other's place, dense."""

    def __init__(self, source: Source, shape: tuple[int, ...]) -> None:
        self.source, self.shape = source, shape
        self.blocks = source.blocks

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        batch = dict(with_cells(self.source[indices], self.shape))
        batch.pop("mtheta", None)  # of the other axis
        return batch | {"ecal": np.ascontiguousarray(np.swapaxes(batch["ecal"], 1, 2))}


class Chosen:
    """The events ``rows`` (rising) of another source, as a source."""

    def __init__(self, source: Source, rows: np.ndarray) -> None:
        self.source, self.rows = source, rows
        self.blocks = np.unique(np.searchsorted(rows, source.blocks))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return self.source[self.rows[np.asarray(indices)]]
