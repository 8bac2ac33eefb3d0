"""The toy workload with its events in files, for what a run directory says of data."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from helpers import toy
from hepjax import InputError
from hepjax.engine.bounds import FilePath
from hepjax.engine.config import MeshConfig, RunConfig, TrainConfig
from hepjax.engine.workload import Sources, Workload
from hepjax.formats.source import Part


@dataclass(frozen=True)
class DataConfig:
    files: tuple[FilePath, ...] = ("lines",)


@dataclass(frozen=True)
class LinesConfig(RunConfig):
    train: TrainConfig = field(default_factory=lambda: TrainConfig(batch_size=8, epochs=1))
    mesh: MeshConfig = field(default_factory=lambda: MeshConfig(devices=1))
    data: DataConfig = field(default_factory=DataConfig)
    noise: float = 0.01


def write(folder: Path, events: int = 64, seed: int = 7) -> Path:
    """A folder with one file of events."""
    folder.mkdir(parents=True)
    x = np.random.default_rng(seed).normal(size=(events, 32)).astype(np.float32)
    np.save(folder / "x.npy", x)
    return folder


def open_files(cfg: LinesConfig, files) -> toy.Line:
    line = toy.Line()
    for folder in map(Path, files):
        if not (folder / "x.npy").is_file():
            raise InputError(f"{folder}: expected a file or folder, found none of this name")
    line.x = np.concatenate([np.load(Path(f) / "x.npy") for f in files])
    line.y = 3 * line.x.mean(1)
    return line


def sources(cfg: LinesConfig) -> Sources:
    line = open_files(cfg, cfg.data.files)
    return Sources(Part(line, 0, len(line) - 12), Part(line, len(line) - 12, len(line)))


LINES: Workload = dataclasses.replace(
    toy.TOY, name="lines", Config=LinesConfig, sources=sources, open=open_files
)
