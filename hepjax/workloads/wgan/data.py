"""Showers of all slices side by side: event i has one shower of each slice."""

from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.engine.workload import Field, Sources, Spec
from hepjax.formats.showers.reader import open_showers, with_cells
from hepjax.formats.source import Batch, Source, divided
from hepjax.workloads.wgan import reference
from hepjax.workloads.wgan.config import WganConfig


class Slices:
    """Several sources as one: as many events as the largest has; the others repeat theirs."""

    def __init__(self, parts: list[Source], shape: tuple[int, ...]) -> None:
        self.parts, self.shape = parts, shape
        self.blocks = max(parts, key=len).blocks

    def __len__(self) -> int:
        return max(map(len, self.parts))

    def __getitem__(self, indices: np.ndarray) -> Batch:
        """``voxels`` (n, slices, voxels) GeV and ``energy`` (n, slices) GeV."""
        taken = [with_cells(p[np.asarray(indices) % len(p)], self.shape) for p in self.parts]
        return {
            "voxels": np.stack([t["ecal"].reshape(len(indices), -1) for t in taken], axis=1),
            "energy": np.stack([t["energy"] for t in taken], axis=1),
        }


def sources(cfg: WganConfig) -> Sources:
    """Training and validation events of all slices.

    Raises:
      InputError: files that cannot be used, or a slice without events for one of the two.
    """
    training = _each(cfg, "files", cfg.data.files)
    shape = cfg.calorimeter.shape
    if cfg.data.validation_files:
        validation = _each(cfg, "validation_files", cfg.data.validation_files)
        return Sources(Slices(training, shape), Slices(validation, shape))
    share, turn = cfg.data.validation_fraction, cfg.data.rotate
    pairs = [divided(source, share, "showers", turn) for source in training]
    parts = (Slices([pair[k] for pair in pairs], shape) for k in (0, 1))
    return Sources(*parts)


def _each(cfg: WganConfig, key: str, files: tuple[str, ...]) -> list[Source]:
    """The showers of each slice.

    Raises:
      InputError: another number of files than slices, or files that cannot be used.
    """
    if len(files) != cfg.slices:
        raise InputError(
            f"data.{key}: expected a file or folder for each of the {cfg.slices} slices of "
            f"data.eta, found {len(files)}"
        )
    return [_opened(cfg, [Path(path)]) for path in files]


def open_events(cfg: WganConfig, paths: list[Path]) -> Source:
    """Showers of these files, one for each slice.

    Raises:
      InputError: another number of files, or files that cannot be used.
    """
    if len(paths) != cfg.slices:
        raise InputError(
            f"--data: expected a file or folder for each of the {cfg.slices} slices, found "
            f"{len(paths)}"
        )
    return Slices([_opened(cfg, [path]) for path in paths], cfg.calorimeter.shape)


def _opened(cfg: WganConfig, paths: list[Path]) -> Source:
    known = cfg.calorimeter
    source = open_showers(paths, unit=cfg.data.unit, calorimeter=known)
    if source.energy is None or source.grid != known.shape:
        raise InputError(
            f"{paths[0]}: expected showers of {known.voxels} voxels ({known.name}) with incident "
            f"energies, found {source.grid}"
        )
    low, high = cfg.data.energies[0], cfg.data.energies[-1]
    outside = (source.energy < 0.99 * low) | (source.energy > 1.01 * high)
    if outside.any():
        raise InputError(
            f"{paths[0]}: expected incident energies of {low:g} to {high:g} GeV (data.energies), "
            f"found {source.energy.min():g} to {source.energy.max():g}"
        )
    return source


def spec(cfg: WganConfig, source: Source) -> Spec:
    """Fields of a batch, and what scores and tournaments compare with (reference.py)."""
    shape = (cfg.slices, cfg.calorimeter.voxels)
    fields = (
        Field("voxels", shape, "float32", "GeV"), Field("energy", shape[:1], "float32", "GeV")
    )  # fmt: skip
    return Spec(fields, reference.facts(cfg, source))
