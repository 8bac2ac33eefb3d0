"""Which showers a two-stage generator trains on and is judged on."""

from pathlib import Path

from hepjax import InputError
from hepjax.engine.workload import Sources
from hepjax.formats.showers.geometry import guessed
from hepjax.formats.showers.reader import open_showers
from hepjax.formats.source import Source, divided
from hepjax.workloads.calo.config import CaloConfig


def open_events(cfg: CaloConfig, paths: list[Path]) -> Source:
    """Showers of these files inside the range of energies.

    Raises:
      InputError: unreadable, of another calorimeter, or without incident energies.
    """
    known = cfg.calorimeter
    source = open_showers(
        paths, unit=cfg.data.unit, calorimeter=None if known.box else known,
        energy_window=cfg.energies, sparse=True,
    )  # fmt: skip
    if source.energy is None:
        raise InputError(f"{paths[0]}: expected incident energies, found a file without them")
    if source.grid != known.shape:
        raise InputError(
            f"{paths[0]}: expected showers of {_words(known.shape)} cells ({known.name}), "
            f"found {_words(source.grid)}; data.calorimeter names another one"
        )
    # A file that does not say whose showers it holds is taken for any calorimeter of its shape.
    if source.calorimeter.name not in (known.name, getattr(guessed(known.shape), "name", None)):
        raise InputError(
            f"{paths[0]}: expected showers of {known.name}, found those of "
            f"{source.calorimeter.name}; name it: data.calorimeter"
        )
    return source


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def sources(cfg: CaloConfig) -> Sources:
    """Training and validation showers: separate files, or the last part of the sorted files."""
    source = open_events(cfg, [Path(p) for p in cfg.data.files])
    if cfg.data.validation_files:
        return Sources(source, open_events(cfg, [Path(p) for p in cfg.data.validation_files]))
    return Sources(*divided(source, cfg.data.validation_fraction, "showers"))
