"""Settings of CosmoFlow; networks and data default to those of MLPerf HPC."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from hepjax.engine.bounds import (
    Bound,
    Count,
    FilePath,
    NotNegative,
    Positive,
    Rule,
)
from hepjax.engine.config import InputConfig, RunConfig
from hepjax.engine.optimizers import Fraction, OptimizerConfig


@dataclass(frozen=True)
class ModelConfig:
    """Convolutions of 3^3 taps, each with a maximum over 2^3 cells, then dense layers (Mathuriya et
    al., arXiv:1808.04728; MLPerf HPC)."""

    channels: tuple[Count, ...] = (32, 64, 128, 256, 512)
    """Features of each convolution."""
    dense: tuple[Count, ...] = (128, 64)
    """Of each dense layer before the last."""
    dropout: Fraction = 0.5
    """Share of the inputs of each dense layer but the first set to 0 in training."""
    periodic: bool = False
    """Wrap boxes around their faces; false pads zeros, as published, for crops of boxes."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield len(self.channels) > 0, "channels", "at least one convolution"


@dataclass(frozen=True)
class ObjectiveConfig:
    """The loss, the mean squared error of the parameters from -1 to 1."""

    decay: NotNegative = 0.0
    """Weight of half the squared weights of the dense layers in the loss (L2)."""
    scale: Positive = 1.2
    """The network answers with scale x tanh, so that the ends of the range are in reach."""


@dataclass(frozen=True)
class DataConfig:
    """Which samples."""

    files: tuple[FilePath, ...] = ("data/universes",)
    """HDF5 or TFRecord files of CosmoFlow, or folders of them. Sorted; the last samples are for
    validation."""
    validation_files: tuple[FilePath, ...] = ()
    """Validation samples, if not the last part of ``files``."""
    validation_fraction: Annotated[float, Bound(above=0, below=1)] = 0.125
    """Share of the samples for validation."""
    rotate: Fraction = 0.0
    """Takes validation samples so far before the end, as of the other workloads."""
    cells: Count = 128
    """Along an edge of a sample; a multiple of 2 to the number of convolutions."""


@dataclass(frozen=True)
class CosmoflowConfig(RunConfig):
    """Everything that defines a run."""

    input: InputConfig = field(default_factory=lambda: InputConfig(window=64))
    """A small window: a sample has megabytes."""
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=1e-3))
    data: DataConfig = field(default_factory=DataConfig)

    def rules(self) -> Iterator[Rule]:
        """What must hold between the groups."""
        divisor = 2 ** len(self.model.channels)
        yield self.data.cells % divisor == 0, "data.cells", f"a multiple of {divisor}"
