"""Settings of the fixed-angle 3DGAN; the defaults are the published ones (3DGAN, "EnergyGAN")."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from hepjax.engine.config import Bound, Count, FilePath, NotNegative, Positive, Rule, RunConfig
from hepjax.engine.optimizers import Fraction, OptimizerConfig
from hepjax.formats.showers.layout import Unit


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the two networks. The kernels of the generator are always the published ones."""

    latent: Count = 200
    """Length of the noise vector."""
    seed_channels: Count = 8
    """Channels of the 7 x 7 x 8 block that the dense layer makes."""
    generator_filters: tuple[Count, Count, Count] = (64, 6, 6)
    """Features of its first three convolutions."""
    discriminator_filters: tuple[Count, Count, Count, Count] = (32, 8, 8, 8)
    """Features of its four convolutions."""
    discriminator_kernel: Literal[3, 5] = 5
    """Cells along each side of its kernels."""
    discriminator_pool: Literal[1, 2] = 1
    """Average pooling after the first convolution. 1, none, is published; with 2 the other
    convolutions see an eighth of the cells, which saves a CPU most of the work."""
    dropout: Fraction = 0.2
    """Share of activations of the discriminator set to 0."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """Losses, labels and the conditions under which fakes are made."""

    weight_generation: NotNegative = 2.0
    """Weight of the binary cross-entropy real against fake."""
    weight_energy: NotNegative = 0.1
    """Weight of the MAPE of the regressed incident energy."""
    weight_sum: NotNegative = 0.1
    """Weight of the MAPE of the visible energy."""
    label_flip: Annotated[float, Bound(least=0, below=0.5)] = 0.05
    """Probability that the discriminator is told the wrong label."""
    conditions: Literal["uniform", "batch"] = "uniform"
    """Energies of the fakes: flat in data.energy_range, with the visible energy of the published
    fit; or the energies and visible energies of the real batch, as the variable-angle model has."""


@dataclass(frozen=True)
class DataConfig:
    """Which showers, and the published event and cell cuts."""

    files: tuple[FilePath, ...] = ("data/showers",)
    """HDF5 files, folders of them, or packed sets. Sorted; the last events are for validation."""
    validation_files: tuple[FilePath, ...] = ()
    """Validation showers, if not the last part of ``files``."""
    validation_fraction: Annotated[float, Bound(above=0, below=1)] = 0.1
    """Share of the events for validation."""
    energy_range: tuple[float, float] = (10.0, 500.0)
    """Incident energies kept, GeV, inclusive."""
    min_sum: NotNegative = 0.0
    """Smallest visible energy kept, GeV."""
    threshold: NotNegative = 1e-6
    """Cells below are set to 0, GeV."""
    scale: Positive = 100.0
    """The networks see cell energies in units of GeV / scale ..."""
    power: Annotated[float, Bound(above=0, most=1)] = 1.0
    """... raised to this power, which lifts small cells; 0.85 is published for the variable angle.
    Visible energies are sums before it."""
    crop: tuple[int, int] | None = None
    """Cells kept in x and y, first and one past the last; [13, 38] cuts 51x51x25 to 25x25x25."""
    unit: Unit = "auto"
    """Unit of the cells in the files. Variable-angle files have 0.02 GeV (GeV x 50)."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        low, high = self.energy_range
        yield 0 < low < high, "energy_range", "0 < low < high"
        yield len(self.files) > 0, "files", "at least one file"


def published_optimizer() -> OptimizerConfig:
    """RMSprop as in Keras, linear scaling from 128 events, warm-up over five epochs."""
    return OptimizerConfig(
        "rmsprop", 1e-3, reference_batch=128, warmup_epochs=5.0, beta2=0.9, epsilon=1e-7
    )


@dataclass(frozen=True)
class Gan3DConfig(RunConfig):
    """Everything that defines a 3DGAN run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=published_optimizer)
    data: DataConfig = field(default_factory=DataConfig)
