"""Settings of the fixed-angle 3DGAN; the defaults are the published ones (3DGAN, "EnergyGAN")."""

from dataclasses import dataclass, field
from typing import Literal

from hepjax.engine.config import CheckpointConfig, InputConfig, MeshConfig, TrainConfig, require


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the two networks; the kernels of the generator are always the published ones."""

    latent: int = 200
    seed_channels: int = 8
    """Channels of the 7 x 7 x 8 block that the dense layer makes."""
    generator_filters: tuple[int, int, int] = (64, 6, 6)
    discriminator_filters: tuple[int, int, int, int] = (32, 8, 8, 8)
    discriminator_kernel: Literal[3, 5] = 5
    discriminator_pool: Literal[1, 2] = 1
    """Average pooling after the first convolution; 1, none, is published. 2 saves a CPU most of the
    work, as the other convolutions then see an eighth of the cells."""
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for key in ("generator_filters", "discriminator_filters"):
            require(min(getattr(self, key)) >= 1, f"model.{key}", "at least 1", getattr(self, key))
        require(self.latent >= 1, "model.latent", "at least 1", self.latent)
        require(self.seed_channels >= 1, "model.seed_channels", "at least 1", self.seed_channels)
        require(0 <= self.dropout < 1, "model.dropout", "0 up to 1", self.dropout)


@dataclass(frozen=True)
class ObjectiveConfig:
    """Losses, labels and the conditions under which fakes are made."""

    weight_generation: float = 2.0
    """Weight of the binary cross-entropy real against fake."""
    weight_energy: float = 0.1
    """Weight of the MAPE of the regressed incident energy."""
    weight_sum: float = 0.1
    """Weight of the MAPE of the visible energy."""
    label_flip: float = 0.05
    """Probability that the discriminator is told the wrong label."""
    conditions: Literal["uniform", "batch"] = "uniform"
    """Fakes at energies flat in data.energy_range with the visible energy of the published fit, or
    at the energies and visible energies of the real batch (as the variable-angle model does)."""

    def __post_init__(self) -> None:
        require(0 <= self.label_flip < 0.5, "objective.label_flip", "0 up to 0.5", self.label_flip)
        for key in ("weight_generation", "weight_energy", "weight_sum"):
            require(getattr(self, key) >= 0, f"objective.{key}", "0 or more", getattr(self, key))


@dataclass(frozen=True)
class OptimizerConfig:
    """The published RMSprop, or LAMB or LARS for large batches; linear scaling, and a warm-up."""

    name: Literal["rmsprop", "lamb", "lars"] = "rmsprop"
    """RMSprop as Keras has it; LAMB and LARS as in ops/layerwise.py, with rates of their own."""
    learning_rate: float = 1e-3
    """At ``reference_batch`` events an update; larger batches scale it linearly."""
    reference_batch: int = 128
    warmup_epochs: float = 5.0
    """Epochs over which the rate climbs from ``learning_rate`` to its scaled value."""
    drops: tuple[tuple[float, float], ...] = ()
    """From this epoch on the rate is multiplied by this factor, ``[[65, 0.1], [140, 0.03]]``; the
    last one reached counts. None in the fixed-angle runs, published for the variable angle."""
    decay: float = 0.9
    """RMSprop: of the average of squared gradients."""
    epsilon: float = 1e-7
    """RMSprop: added to its root."""

    def __post_init__(self) -> None:
        require(self.learning_rate > 0, "optimizer.learning_rate", "above 0", self.learning_rate)
        require(
            self.reference_batch >= 1,
            "optimizer.reference_batch",
            "at least 1",
            self.reference_batch,
        )
        require(self.warmup_epochs >= 0, "optimizer.warmup_epochs", "0 or more", self.warmup_epochs)
        for drop in self.drops:
            require(
                min(drop) >= 0, "optimizer.drops", "epochs and factors of 0 or more", self.drops
            )


@dataclass(frozen=True)
class DataConfig:
    """Which showers, and the published event and cell cuts."""

    files: tuple[str, ...] = ("data/showers",)
    """HDF5 files or folders of them; sorted, the last ones (or events) are for validation."""
    validation_files: tuple[str, ...] = ()
    """Validation showers, if not the last part of ``files``."""
    validation_fraction: float = 0.1
    energy_range: tuple[float, float] = (10.0, 500.0)
    """Incident energies kept, GeV, inclusive."""
    min_sum: float = 0.0
    """Smallest visible energy kept, GeV."""
    threshold: float = 1e-6
    """Cells below are set to 0, GeV."""
    scale: float = 100.0
    """The networks see cell energies in units of GeV / scale."""
    power: float = 1.0
    """... raised to this power, which lifts small cells; 0.85 is published for the variable angle.
    Visible energies are those before it."""
    crop: tuple[int, int] | None = None
    """Cells kept in x and y, first and one past the last; [13, 38] cuts 51x51x25 to 25x25x25."""
    unit: Literal["auto", "GeV", "0.02 GeV"] = "auto"
    """Unit of the cells in the files: "0.02 GeV" is that of the variable-angle files (GeV x 50)."""

    def __post_init__(self) -> None:
        low, high = self.energy_range
        require(0 < low < high, "data.energy_range", "0 < low < high", self.energy_range)
        require(len(self.files) > 0, "data.files", "at least one file", self.files)
        require(
            0 < self.validation_fraction < 1,
            "data.validation_fraction", "between 0 and 1", self.validation_fraction,
        )  # fmt: skip
        require(self.scale > 0, "data.scale", "above 0", self.scale)
        require(0 < self.power <= 1, "data.power", "above 0, at most 1", self.power)
        require(self.threshold >= 0, "data.threshold", "0 or more", self.threshold)


@dataclass(frozen=True)
class Gan3DConfig:
    """Everything that defines a 3DGAN run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    input: InputConfig = field(default_factory=InputConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
