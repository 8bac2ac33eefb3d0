"""Settings of trigger networks; the defaults are those of the 16-feature jets of hls4ml."""

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
    require,
)
from hepjax.engine.config import RunConfig, TrainConfig
from hepjax.engine.optimizers import Fraction, OptimizerConfig
from hepjax.formats.trigger.tasks import TASKS, Task


@dataclass(frozen=True)
class ModelConfig:
    """The network in fixed point: dense layers with ReLU."""

    hidden: tuple[Count, ...] = (64, 32, 32)
    """Features of the hidden layers."""
    weight_bits: Positive = 6.0
    """Fraction bits of each weight in the beginning; training changes them."""
    activation_bits: Positive = 6.0
    """Fraction bits of the inputs and of each layer's activations in the beginning."""
    integer: Annotated[int, Bound(least=0, most=8)] = 3
    """Standardised inputs saturate at +- 2^integer."""
    latent: Count = 3
    """Latent features of the anomaly task, of which the encoder gives means and spreads."""
    decoder: tuple[Count, ...] = (16, 32)
    """Features of the hidden layers of its decoder, which stays in float32 and is not exported."""
    kl: NotNegative = 0.5
    """Weight of the Kullback-Leibler divergence beside the squared error of its inputs."""


@dataclass(frozen=True)
class CurveConfig:
    """One network for each point of the curve of size against performance; all train at once."""

    costs: tuple[NotNegative, ...] = (1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5)
    """Weight of the effective bit operations (EBOPs) in the loss of each network."""
    pruned: tuple[Fraction, ...] = ()
    """Share of the weights of each hidden layer that is pruned by magnitude in each network, as
    many as ``costs``; by default none but those whose bits are learned away."""
    ramp_epochs: NotNegative = 10.0
    """Epochs over which the weight of the cost climbs from 0."""
    prune_from: Fraction = 0.2
    """Share of the training after which pruning begins, by a cubic schedule (Zhu and Gupta,
    arXiv:1710.01878)."""
    prune_until: Positive = 0.7
    """Share of the training after which all is pruned."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield len(self.costs) > 0, "costs", "at least one"
        yield (
            len(self.pruned) in (0, len(self.costs)),
            "pruned", f"none, or one for each of the {len(self.costs)} costs",
        )  # fmt: skip
        yield (
            self.prune_from < self.prune_until <= 1, "prune_until",
            f"above prune_from ({self.prune_from:g}), at most 1",
        )  # fmt: skip


@dataclass(frozen=True)
class DataConfig:
    """Which task, and its events."""

    task: Literal["toy", "linear", "jets", "anomaly", "pixels"] = "jets"
    """Toys with a known best accuracy; 16 observables of jets; 57 inputs of the anomaly trigger;
    clusters of smart pixels."""
    files: tuple[FilePath, ...] = ("data/trigger",)
    """Parquet tables or folders of them; of pixels folders of recon2D_d* and labels_d*. The last
    events are for validation."""
    validation_files: tuple[FilePath, ...] = ()
    """Validation events, if not the last part of ``files``."""
    validation_fraction: Annotated[float, Bound(above=0, below=1)] = 0.2
    """Share of the events for validation."""
    rotate: Fraction = 0.0
    """Takes validation events so far before the end, as of the other workloads."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield len(self.files) > 0, "files", "at least one file"


@dataclass(frozen=True)
class TriggerConfig(RunConfig):
    """Everything that defines a curve of trigger networks."""

    train: TrainConfig = field(default_factory=lambda: TrainConfig(batch_size=1024, epochs=100))
    model: ModelConfig = field(default_factory=ModelConfig)
    curve: CurveConfig = field(default_factory=CurveConfig)
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(learning_rate=3e-3, cosine=True)
    )
    data: DataConfig = field(default_factory=DataConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.train.members == 1, "train.members",
            "1, as the networks of curve.costs are the members", self.train.members,
        )  # fmt: skip

    @property
    def members(self) -> int:
        """Networks that train at once."""
        return len(self.curve.costs)

    @property
    def task(self) -> Task:
        """Inputs and classes."""
        return TASKS[self.data.task]

    @property
    def outputs(self) -> int:
        """Sums that the network gives: one a class, or mean and spread of each latent feature."""
        return 2 * self.model.latent if self.task.anomaly else len(self.task.classes)
