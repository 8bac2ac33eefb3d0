"""Settings of the waveform autoencoder."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from hepjax.engine.bounds import (
    Bound,
    Count,
    FilePath,
    NotNegative,
    Positive,
    Rule,
)
from hepjax.engine.config import InputConfig, RunConfig, TrainConfig
from hepjax.engine.optimizers import Fraction, OptimizerConfig

Share = Annotated[float, Bound(above=0, below=1)]


@dataclass(frozen=True)
class ModelConfig:
    """Encoder and decoder; the decoder gives a shape of unit area."""

    kind: Literal["dense", "conv"] = "dense"
    """Dense layers, or convolutions along time."""
    latent: Count = 6
    """Latent variables."""
    widths: tuple[Count, ...] = (512, 256, 128)
    """Dense: features of the layers of the encoder; the decoder has them in reverse."""
    channels: tuple[Count, ...] = (16, 32, 48, 64)
    """Convolutions: channels of the stages, each of stride 2; the decoder has them in reverse."""
    kernel: Count = 9
    """Convolutions: samples of a kernel."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """The likelihood of a waveform around its reconstruction, and the weight of the latents."""

    excess: Positive = 1.5
    """Variance of a sample over its mean, in photoelectrons: 1 for Poisson light, 0.14 for the
    charge of a photoelectron, the rest for electrons that stay together."""
    noise: Positive = 0.6
    """Photoelectrons, of the electronics in each sample."""
    beta: NotNegative = 1.0
    """Weight of the Kullback-Leibler divergence of the latents."""


@dataclass(frozen=True)
class DataConfig:
    """Which pulses, and how those of a single pass are streamed."""

    files: tuple[FilePath, ...] = ("data/waveforms/train",)
    """HDF5 files or folders of them, or packed sets. The last pulses are for validation; of a
    single pass those that are held out."""
    samples: Annotated[int, Bound(least=16)] = 512
    """Of a waveform; files of others are refused."""
    validation_files: tuple[FilePath, ...] = ()
    """Validation pulses, if not a part of ``files``."""
    test_files: tuple[FilePath, ...] = ()
    """Pulses to evaluate on, with their kinds; without them the validation pulses."""
    validation_fraction: Share = 0.1
    """Share of the pulses for validation; of a single pass the share that is held out, by a hash of
    the number of the pulse."""
    rotate: Fraction = 0.0
    """Takes validation pulses so far before the end, as of the other workloads."""
    single_pass: bool = False
    """Streams the shards of packed sets, each pulse once, never all of them in memory."""
    lanes: Count = 8
    """Of a single pass: shards that are read side by side. The order of pulses depends on it; the
    number of processes, which divides it, changes nothing."""
    most_lost: Fraction = 0.01
    """Of a single pass: share of the shards of a process that may be missing or damaged."""
    most_shards: Count = 4096
    """Of a single pass: largest number of shards; the state counts the pulses of each."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield len(self.files) > 0, "files", "at least one file"


@dataclass(frozen=True)
class WaveformsConfig(RunConfig):
    """Everything that defines a run."""

    train: TrainConfig = field(default_factory=lambda: TrainConfig(batch_size=256, epochs=20))
    input: InputConfig = field(default_factory=lambda: InputConfig(window=32768))
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    data: DataConfig = field(default_factory=DataConfig)

    def rules(self) -> Iterator[Rule]:
        """What a single pass asks of other groups."""
        single = self.data.single_pass
        yield not single or self.train.epochs == 1, "train.epochs", "1 with data.single_pass"
        yield (
            not single or not self.input.resident,
            "input.resident", "false with data.single_pass",
        )  # fmt: skip
        yield (
            not single or self.mesh.program == "partitioned",
            "mesh.program", "partitioned with data.single_pass",
        )  # fmt: skip
