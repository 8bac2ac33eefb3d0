"""Settings of MLPF; the defaults are those of the benchmark model (dense bins, concatenation)."""

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
from hepjax.engine.config import InputConfig, RunConfig
from hepjax.engine.optimizers import Fraction, OptimizerConfig


@dataclass(frozen=True)
class ModelConfig:
    """Which of the three published networks, and its sizes.

    ``concat``: the model of the GPU benchmark (2021/22). ``additive``: its successor of 2023, wider
    and with residual layers. ``sparse``: the model of the paper (EPJC 81 (2021) 381).
    """

    variant: Literal["concat", "additive", "sparse"] = "concat"
    """The network."""
    layers: Count = 3
    """Graph layers in each of the two stacks: classification and regression."""
    width: Count = 256
    """Features that a graph layer gives out."""
    head_width: Annotated[int, Bound(least=8)] = 256
    """First hidden layer of each head; concat and additive halve it from layer to layer."""
    bin_size: Count = 640
    """Elements in a bin of the hash."""
    max_bins: Annotated[int, Bound(least=2)] = 100
    """Largest number of bins that the hash can tell apart, twice its random directions."""
    distance_hidden: Count = 128
    """Hidden layer before the coordinates; sparse: hidden layers of the edge network."""
    distance_dim: Count = 128
    """Coordinates in which elements are hashed and compared."""
    distance_scale: Positive = 0.1
    """A pair of elements weighs exp(-distance_scale x distance)."""
    neighbours: Count = 16
    """Edges of each element, sparse only."""
    dropout: Fraction = 0.0
    """Share of activations set to 0, sparse only."""
    inputs: Literal["raw", "log"] = "raw"
    """Momenta and energies in GeV as published; or ``log``: they enter as log(1 + GeV), the heads
    give the logarithm of a factor on the measured pt and energy, and losses compare
    log(1 + GeV)."""
    quantise: Literal["none", "int8"] = "none"
    """``int8``, not of sparse: the dense layers compute as 8-bit integers do (fake quantisation),
    so that they learn with the rounding, and ``hepjax export`` writes integers. Of layers that see
    the columns of the elements, and of the last ones, the weights alone are in 8 bits. With
    ``train.warm_start`` a trained run goes on so."""
    published_slips: bool = False
    """Reproduce what is published to the last weight, with its slips (see mlpf/model.py)."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        sparse = self.variant == "sparse"
        yield sparse or self.dropout == 0, "dropout", f"0 with model.variant={self.variant}"
        raw = self.inputs == "raw"
        yield raw or not self.published_slips, "inputs", "raw with model.published_slips"
        yield not sparse or self.quantise == "none", "quantise", "none with model.variant=sparse"


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of the losses; masked elements count nothing."""

    regression: Literal["huber", "mse"] = "huber"
    """Loss of momenta, angles and energies."""
    delta_energy: Positive = 1.0
    """Where the Huber loss of pt and energy turns linear, GeV (or log(1 + GeV))."""
    delta_angle: Positive = 0.1
    """Where the Huber loss of eta, sin phi and cos phi turns linear."""
    weight_class: NotNegative = 1.0
    """Weight of the cross-entropy of the classes."""
    weight_charge: NotNegative = 1.0
    """Weight of the squared error of the charge."""
    weight_pt: NotNegative = 100.0
    """Weight of the loss of the transverse momentum."""
    weight_energy: NotNegative = 100.0
    """Weight of the loss of the energy."""
    weight_angle: NotNegative = 100.0
    """Weight of the losses of eta, sin phi and cos phi, each."""


@dataclass(frozen=True)
class DataConfig:
    """Which events, and the lengths to which they are padded."""

    files: tuple[FilePath, ...] = ("data/events",)
    """Event files or folders of them. Sorted; the last events are for validation."""
    validation_files: tuple[FilePath, ...] = ()
    """Validation events, if not the last part of ``files``."""
    validation_fraction: Annotated[float, Bound(above=0, below=1)] = 0.1
    """Share of the events for validation, the last ones of the sorted files."""
    rotate: Fraction = 0.0
    """Takes validation events so far before the end, 0 up to 1: with a multiple of
    ``validation_fraction`` another part (k-fold cross-validation)."""
    buckets: tuple[Count, ...] = (256, 640, 1280, 1920, 2560, 3200, 4480, 5120, 5760, 6400)
    """Lengths to which events are padded; each that occurs is compiled once."""
    too_long: Literal["error", "truncate"] = "error"
    """What to do with an event longer than the largest bucket; cut elements are counted."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield len(self.files) > 0, "files", "at least one file"
        rising = list(self.buckets) == sorted(set(self.buckets))
        yield rising and len(self.buckets) > 0, "buckets", "increasing lengths of at least 1"


def published_optimizer() -> OptimizerConfig:
    """Adam as in Keras at 1e-4, which falls by 1 % every 10,000 updates."""
    return OptimizerConfig(
        "adam", 1e-4, decay=0.99, decay_every=10_000, decay_unit="updates", epsilon=1e-7
    )


@dataclass(frozen=True)
class MLPFConfig(RunConfig):
    """Everything that defines an MLPF run."""

    input: InputConfig = field(default_factory=lambda: InputConfig(window=1024))
    """A small window: 1,024 events with 200 pile-up collisions are 0.5 GB when decoded."""
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=published_optimizer)
    data: DataConfig = field(default_factory=DataConfig)
