"""Settings of the map from dark matter to gas; the defaults are those of the published U-Net."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from hepjax.engine.bounds import (
    Bound,
    Count,
    CountOrNone,
    FilePath,
    NotNegative,
    Positive,
    Rule,
    Seed,
)
from hepjax.engine.config import InputConfig, RunConfig
from hepjax.engine.optimizers import Fraction, OptimizerConfig
from hepjax.ops.boxes import Setting


@dataclass(frozen=True)
class ModelConfig:
    """The U-Net (Harrington et al., arXiv:2106.12662), with periodic padding and without norms."""

    channels: tuple[Count, ...] = (64, 128, 256, 512, 512, 512)
    """Features after each convolution of stride 2, downwards; the way up mirrors them."""
    full: CountOrNone = 0
    """Features of convolutions at full resolution, before the way down and after the way up; 0:
    none, as published."""
    depth: Count = 1
    """Convolutions at full resolution before the way down; one less follow the way up."""
    residual: bool = False
    """Whether the network corrects the fluctuating Gunn-Peterson approximation of its input, or
    makes the fields of gas from nothing, as published."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield len(self.channels) > 0, "channels", "at least one level"

    @property
    def divisor(self) -> int:
        """What the cells along an edge are a multiple of."""
        return 2 ** len(self.channels)


@dataclass(frozen=True)
class ObjectiveConfig:
    """The loss: L1 of scaled fields, and what is added to it."""

    density: NotNegative = 0.0
    """Weight of the L1 of the densities themselves beside that of their logarithms."""
    spectrum: NotNegative = 0.0
    """Weight of the power of what the density is off, relative to the true power: the mean over
    shells of wave numbers up to half the Nyquist frequency, so that each scale counts alike."""
    symmetries: bool = True
    """Turn and reflect the boxes of each update by one of the 48 symmetries of the cube, their
    velocities too."""


@dataclass(frozen=True)
class DataConfig:
    """Which boxes: from files, or made by the devices that train."""

    files: tuple[FilePath, ...] = ("data/boxes",)
    """HDF5 files with a box each, or folders of them, see docs/reference/layouts.md. Sorted; the
    last crops are for validation."""
    validation_files: tuple[FilePath, ...] = ()
    """Validation boxes, if not the last part of ``files``."""
    validation_fraction: Annotated[float, Bound(above=0, below=1)] = 0.125
    """Share of the crops for validation."""
    rotate: Fraction = 0.0
    """Takes validation crops so far before the end, as of the other workloads."""
    crop: CountOrNone = 0
    """Cells along an edge of the crops that boxes are cut into; 0: whole boxes."""
    margin: CountOrNone = 0
    """Cells around a crop that are read too, so that what the network sees is not wrapped around
    the crop; they do not count in the loss."""
    made: CountOrNone = 0
    """Boxes an epoch that the devices make themselves, new ones in each update; ``files`` are not
    read then. A quarter as many, 8 at least, are for validation, always the same. 0: none."""
    cells: Count = 32
    """Along an edge, of boxes that are made."""
    length: Positive = 25.0
    """Mpc/h, edge of boxes that are made."""
    redshift: NotNegative = 3.0
    """Of boxes that are made."""
    steps: Count = 12
    """Of their simulation."""
    seed: Seed = 1
    """Of boxes that are made."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield len(self.files) > 0 or self.made > 0, "files", "at least one file, or data.made"
        yield self.margin == 0 or self.crop > 0, "margin", "0 with whole boxes (data.crop=0)"
        yield self.made == 0 or self.crop == 0, "crop", "0 with boxes that are made (data.made)"
        yield self.cells % 2 == 0, "cells", "an even number"

    @property
    def setting(self) -> Setting:
        """Of boxes that are made."""
        return Setting(self.cells, self.length, self.redshift, self.steps)


@dataclass(frozen=True)
class FieldsConfig(RunConfig):
    """Everything that defines a run."""

    input: InputConfig = field(default_factory=lambda: InputConfig(window=64))
    """A small window: a box has megabytes."""
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=2e-4))
    data: DataConfig = field(default_factory=DataConfig)
