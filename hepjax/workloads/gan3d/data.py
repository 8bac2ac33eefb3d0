"""Which showers a 3DGAN trains on and is judged on."""

from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.engine.workload import Sources
from hepjax.formats.showers.geometry import guessed
from hepjax.formats.showers.reader import open_showers
from hepjax.formats.source import Batch, Source, divided
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.layers import in_words


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
    if not cfg.with_angle or cfg.data.angle == "mtheta":
        return source
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
    return source if len(kept) == len(source) else Chosen(source, kept)


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
    return Sources(*divided(source, cfg.data.validation_fraction, "showers"))


class Chosen:
    """The events ``rows`` (rising) of another source, as a source."""

    def __init__(self, source: Source, rows: np.ndarray) -> None:
        self.source, self.rows = source, rows
        self.blocks = np.unique(np.searchsorted(rows, source.blocks))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return self.source[self.rows[np.asarray(indices)]]
