"""Settings of MLPF; the defaults are those of the benchmark model (dense bins, concatenation)."""

from dataclasses import dataclass, field
from typing import Literal

from hepjax.engine.config import CheckpointConfig, InputConfig, MeshConfig, TrainConfig, require


@dataclass(frozen=True)
class ModelConfig:
    """Which of the three published networks, and its sizes.

    ``concat``: the model of the GPU benchmark (2021/22). ``additive``: its successor of 2023, wider
    and with residual layers. ``sparse``: the model of the paper (EPJC 81 (2021) 381).
    """

    variant: Literal["concat", "additive", "sparse"] = "concat"
    layers: int = 3
    """Graph layers in each of the two stacks: classification and regression."""
    width: int = 256
    """Features that a graph layer gives out."""
    head_width: int = 256
    """First hidden layer of each head; concat and additive halve it from layer to layer."""
    bin_size: int = 640
    """Elements in a bin of the hash."""
    max_bins: int = 100
    """Bins that the random directions can tell apart, twice their number."""
    distance_hidden: int = 128
    """Hidden layer before the coordinates; sparse: hidden layers of the edge network."""
    distance_dim: int = 128
    """Coordinates in which elements are hashed and compared."""
    distance_scale: float = 0.1
    """A pair of elements weighs exp(-distance_scale x distance)."""
    neighbours: int = 16
    """Edges of each element, sparse only."""
    dropout: float = 0.0
    """Share of activations dropped, sparse only."""
    inputs: Literal["raw", "log"] = "raw"
    """Momenta and energies in GeV as published; or ``log``: they enter as log(1 + GeV), the heads
    give the logarithm of the factor on the measured pt and energy, and losses compare
    log(1 + GeV)."""
    published_slips: bool = False
    """Reproduce what is published to the last weight, with its slips (see mlpf/model.py)."""

    def __post_init__(self) -> None:
        sizes = ("layers", "width", "bin_size", "distance_hidden", "distance_dim", "neighbours")
        for key in sizes:
            require(getattr(self, key) >= 1, f"model.{key}", "at least 1", getattr(self, key))
        require(self.head_width >= 8, "model.head_width", "at least 8", self.head_width)
        require(self.max_bins >= 2, "model.max_bins", "at least 2", self.max_bins)
        require(
            self.distance_scale > 0, "model.distance_scale", "above 0", self.distance_scale
        )  # fmt: skip
        require(0 <= self.dropout < 1, "model.dropout", "0 up to 1", self.dropout)
        require(
            self.dropout == 0 or self.variant == "sparse",
            "model.dropout", f"0 with model.variant={self.variant}", self.dropout,
        )  # fmt: skip
        require(
            self.inputs == "raw" or not self.published_slips,
            "model.inputs", "raw with model.published_slips", self.inputs,
        )  # fmt: skip


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of the losses; masked elements count nothing."""

    regression: Literal["huber", "mse"] = "huber"
    delta_energy: float = 1.0
    """Where the Huber loss of pt and energy turns linear, GeV (or log(1 + GeV))."""
    delta_angle: float = 0.1
    """Where that of eta, sin phi and cos phi does."""
    weight_class: float = 1.0
    weight_charge: float = 1.0
    weight_pt: float = 100.0
    weight_energy: float = 100.0
    weight_angle: float = 100.0
    """Of each of eta, sin phi and cos phi."""

    def __post_init__(self) -> None:
        for key in ("delta_energy", "delta_angle"):
            require(getattr(self, key) > 0, f"objective.{key}", "above 0", getattr(self, key))
        for name in ("class", "charge", "pt", "energy", "angle"):
            value = getattr(self, f"weight_{name}")
            require(value >= 0, f"objective.weight_{name}", "0 or more", value)


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam as Keras has it, with a rate that falls in steps."""

    learning_rate: float = 1e-4
    per_event: bool = False
    """``learning_rate`` is that of one event in the batch: the rule of the paper, 1e-6 x batch."""
    decay_rate: float = 0.99
    decay_steps: int = 10_000
    """After each so many updates the rate is multiplied by ``decay_rate``."""
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        require(self.learning_rate > 0, "optimizer.learning_rate", "above 0", self.learning_rate)
        require(
            0 < self.decay_rate <= 1, "optimizer.decay_rate", "above 0, at most 1", self.decay_rate
        )
        require(self.decay_steps >= 1, "optimizer.decay_steps", "at least 1", self.decay_steps)
        for key in ("beta1", "beta2"):
            require(
                0 <= getattr(self, key) < 1, f"optimizer.{key}", "0 up to 1", getattr(self, key)
            )


@dataclass(frozen=True)
class DataConfig:
    """Which events, and the lengths to which they are padded."""

    files: tuple[str, ...] = ("data/events",)
    """Event files or folders of them; sorted, the last events are for validation."""
    validation_files: tuple[str, ...] = ()
    """Validation events, if not the last part of ``files``."""
    validation_fraction: float = 0.1
    buckets: tuple[int, ...] = (256, 640, 1280, 1920, 2560, 3200, 4480, 5120, 5760, 6400)
    """Lengths to which events are padded; each that occurs is compiled once."""
    too_long: Literal["error", "truncate"] = "error"
    """What to do with an event longer than the largest bucket; cut elements are counted."""

    def __post_init__(self) -> None:
        require(len(self.files) > 0, "data.files", "at least one file", self.files)
        require(
            0 < self.validation_fraction < 1,
            "data.validation_fraction", "between 0 and 1", self.validation_fraction,
        )  # fmt: skip
        require(
            len(self.buckets) > 0
            and min(self.buckets) >= 1
            and list(self.buckets) == sorted(set(self.buckets)),
            "data.buckets", "increasing lengths of at least 1", self.buckets,
        )  # fmt: skip


@dataclass(frozen=True)
class MLPFConfig:
    """Everything that defines an MLPF run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    input: InputConfig = field(default_factory=lambda: InputConfig(window=1024))
    """A small window: 1,024 events with 200 pile-up collisions are 0.5 GB when decoded."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
