"""Which showers a 3DGAN trains on and is judged on."""

from pathlib import Path

from hepjax import InputError
from hepjax.engine.workload import Sources
from hepjax.formats.showers.reader import open_showers
from hepjax.formats.source import Source, divided
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.model import GRID


def open_events(cfg: Gan3DConfig, paths: list[Path]) -> Source:
    """Showers of these files after the event cuts of the configuration.

    Raises:
      InputError: unreadable, of another grid, or without incident energies.
    """
    source = open_showers(
        paths, unit=cfg.data.unit, energy_window=cfg.data.energy_range,
        min_sum=cfg.data.min_sum, crop=cfg.data.crop, sparse=True,
    )  # fmt: skip
    if source.energy is None:
        raise InputError(f"{paths[0]}: expected incident energies, found a file without them")
    if source.grid != GRID:
        raise InputError(
            f"{paths[0]}: expected showers of {GRID} cells for gan3d, found {source.grid}"
        )
    return source


def sources(cfg: Gan3DConfig) -> Sources:
    """Training and validation showers: separate files, or the last part of the sorted files."""
    source = open_events(cfg, [Path(p) for p in cfg.data.files])
    if cfg.data.validation_files:
        return Sources(source, open_events(cfg, [Path(p) for p in cfg.data.validation_files]))
    return Sources(*divided(source, cfg.data.validation_fraction, "showers"))
