"""Settings of the 3DGAN; the defaults are the published ones of the fixed angle ("EnergyGAN")."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from hepjax.engine.bounds import (
    Bound,
    Count,
    FilePath,
    NotNegative,
    Positive,
    Rule,
)
from hepjax.engine.config import RunConfig
from hepjax.engine.optimizers import Fraction, OptimizerConfig
from hepjax.formats.showers import calorimeters
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.described import Described
from hepjax.formats.showers.layout import Unit
from hepjax.workloads.gan3d import layers
from hepjax.workloads.gan3d.geometry import image
from hepjax.workloads.gan3d.layers import Layer

Head = Literal["energy", "angle", "sum", "counts"]
CLIC_25 = Described(calorimeters.calorimeter("clic-25"))


@dataclass(frozen=True)
class ModelConfig:
    """The two networks, as lists of layers, and what goes in and comes out."""

    latent: Count = 200
    """Length of the vector that goes into the generator."""
    inputs: Literal["product", "energy", "energy-angle"] = "product"
    """What that vector is: noise times the incident energy / 100 GeV (published for the fixed
    angle); or noise behind the energy over the highest one of data.energy_range; or noise behind
    the energy / 100 GeV and the polar angle in rad (published for the variable angle)."""
    generator: tuple[Layer, ...] = layers.PUBLISHED_GENERATOR
    """From the latent vector to the cells; the keys of a layer are below. ``[]``: a small network
    that fits data.calorimeter."""
    discriminator: tuple[Layer, ...] = layers.PUBLISHED_DISCRIMINATOR
    """From the cells to the features of its dense heads. ``[]``: as above."""
    heads: tuple[Head, ...] = ("energy", "sum")
    """What the discriminator says beside real or fake: the incident energy, learnt; and from the
    cells, without weights, the measured polar angle, the visible energy, numbers of cells by their
    energy."""
    energy_power: NotNegative = 0.0
    """Cells of the generator are multiplied by the energy of that vector to this power, so that it
    learns shapes rather than scales; 0, they are not, is published. With the value of data.power
    the visible energy is proportional to the incident one to begin with."""
    norm_epsilon: Positive = 1e-3
    """Added to the variance in batch norm; 1e-6 is published for the variable angle."""
    dropout: Fraction = 0.2
    """Share of activations set to 0 after each layer of the discriminator."""
    quantise: Literal["none", "int8"] = "none"
    """``int8``: the generator computes as 8-bit integers do (fake quantisation), so that it learns
    with the rounding, and ``hepjax export`` writes integers. Of its first and last layer the
    weights alone are in 8 bits. With ``train.warm_start`` a trained run goes on so."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """Losses, labels and the conditions under which fakes are made."""

    weight_generation: NotNegative = 2.0
    """Weight of the binary cross-entropy real against fake."""
    weight_energy: NotNegative = 0.1
    """Weight of the MAPE of the regressed incident energy."""
    weight_sum: NotNegative = 0.1
    """Weight of the MAPE of the visible energy."""
    weight_angle: NotNegative = 25.0
    """Weight of the mean absolute error of the measured angle, rad; only with its head."""
    weight_counts: NotNegative = 0.1
    """Weight of the MAPE of the numbers of cells by their energy; only with their head."""
    label_flip: Annotated[float, Bound(least=0, below=0.5)] = 0.05
    """Probability that the discriminator is told the wrong label."""
    conditions: Literal["uniform", "batch"] = "uniform"
    """Energies of the fakes: flat in data.energy_range, with the visible energy of the published
    fit to the CLIC calorimeter; or energies, angles and visible energies of the real batch, as the
    variable-angle model has."""
    penalty_real: NotNegative = 0.0
    """R1: the discriminator's loss has half of this times the squared gradient of its logit in real
    showers, as the networks see them; 0, none, is published."""
    penalty_fake: NotNegative = 0.0
    """R2: the same in generated showers (both: arXiv:2501.05441)."""
    weight_response: NotNegative = 0.0
    """Weight, for the generator, of the energy distance in percent between the visible over the
    incident energies of generated and of real showers of a batch: mean, spread and tails, where the
    MAPE of the visible energy asks for the median alone; 0, none, is published."""
    discriminator_rate: Positive = 1.0
    """Learning rate of the discriminator over that of the generator, which is that of the
    optimizer (two time-scale rule, Heusel et al., 2017); 1 is published."""


@dataclass(frozen=True)
class DataConfig:
    """Which calorimeter and showers, and the published event and cell cuts."""

    calorimeter: Described = CLIC_25
    """Cells of the showers after the crop: a name or a file, see
    [calorimeters.md](calorimeters.md)."""
    files: tuple[FilePath, ...] = ("data/showers",)
    """HDF5 files, folders of them, or packed sets. Sorted; the last events are for validation."""
    validation_files: tuple[FilePath, ...] = ()
    """Validation showers, if not the last part of ``files``."""
    validation_fraction: Annotated[float, Bound(above=0, below=1)] = 0.1
    """Share of the events for validation, the last ones of the sorted files."""
    rotate: Fraction = 0.0
    """Takes validation events so far before the end, 0 up to 1: with a multiple of
    ``validation_fraction`` another part (k-fold cross-validation)."""
    energy_range: tuple[float, float] | None = None
    """Incident energies kept, GeV, inclusive; showers are generated inside it. null: those of the
    calorimeter, 10 to 500 for clic-25."""
    angle_range: tuple[float, float] | None = None
    """Polar angles kept where the angle is an input, degrees, inclusive, 90 is normal; showers are
    generated inside it. null: those of the calorimeter."""
    angle: Literal["theta", "mtheta"] = "theta"
    """The angle that is an input: the true polar angle, or the one measured from the cells, which
    is published."""
    tilt: Literal["x", "y"] = "y"
    """Axis along which inclined showers in the files lean; the published ones along y. With x both
    axes change places when showers are read."""
    min_sum: NotNegative = 0.0
    """Smallest visible energy kept, GeV."""
    threshold: NotNegative | None = None
    """Cells below are set to 0, GeV. null: that of the calorimeter, 1e-6 for clic-25."""
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
        if self.energy_range is not None:
            low, high = self.energy_range
            yield 0 < low < high, "energy_range", "0 < low < high"
        if self.angle_range is not None:
            low, high = self.angle_range
            yield 0 < low <= high < 180, "angle_range", "0 < low < high < 180 degrees"
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.generator:
            layers.require_shower(self.model.generator, self.model.latent, self.calorimeter)
        cells = image(self.calorimeter)
        first = (*cells, 1) if len(cells) == 3 else cells
        layers.shapes(self.model.discriminator, first, "model.discriminator")

    def resolved(self) -> "Gan3DConfig":
        """The same with what the calorimeter decides, which a later choice then leaves alone."""
        return dataclasses.replace(
            self,
            model=dataclasses.replace(self.model, **self._chosen_networks()),
            data=dataclasses.replace(self.data, **self._chosen_cuts()),
        )

    def _chosen_networks(self) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
        if not self.model.generator:
            chosen["generator"] = layers.small_generator(self.calorimeter)
        if not self.model.discriminator:
            chosen["discriminator"] = layers.small_discriminator(self.calorimeter)
        return chosen

    def _chosen_cuts(self) -> dict[str, Any]:
        own = {
            "energy_range": self.calorimeter.energy, "angle_range": self.calorimeter.angle,
            "threshold": self.calorimeter.threshold,
        }  # fmt: skip
        return {name: value for name, value in own.items() if getattr(self.data, name) is None}

    @property
    def energies(self) -> tuple[float, float]:
        """Incident energies of the training, GeV."""
        return self.data.energy_range or self.calorimeter.energy

    @property
    def threshold(self) -> float:
        """Cells below count as empty, GeV."""
        own = self.calorimeter.threshold
        return own if self.data.threshold is None else self.data.threshold

    @property
    def angles(self) -> tuple[float, float]:
        """Polar angles of the training, rad."""
        low, high = self.data.angle_range or self.calorimeter.angle
        return math.radians(low), math.radians(high)

    @property
    def calorimeter(self) -> Calorimeter:
        """What the showers are measured with."""
        return self.data.calorimeter.calorimeter

    @property
    def with_angle(self) -> bool:
        """Whether the polar angle is an input."""
        return self.model.inputs == "energy-angle"

    def rules(self) -> Iterator[Rule]:
        """What must hold between the groups."""
        uniform = self.objective.conditions == "uniform"
        yield (
            not uniform or (self.calorimeter.name == "clic-25" and not self.with_angle),
            "objective.conditions",
            f"batch with {'an angle' if self.with_angle else self.calorimeter.name}, as the "
            "published fit knows normal incidence on clic-25 only",
        )  # fmt: skip
        yield (
            not self.with_angle or self.calorimeter.box,
            "model.inputs", f"no angle, as {self.calorimeter.name} is no box of cells",
        )  # fmt: skip
        yield (
            self.model.energy_power == 0 or self.model.inputs != "product",
            "model.energy_power", "0 with model.inputs=product, whose noise has the energy in it",
        )  # fmt: skip
        yield (
            "angle" not in self.model.heads or self.calorimeter.box,
            "model.heads", f"no angle, as {self.calorimeter.name} is no box of cells",
        )  # fmt: skip
        low, high = self.angles
        yield (
            not self.with_angle or low < high, "data.angle_range",
            f"low < high, as {self.calorimeter.name} knows one angle only",
        )  # fmt: skip
        needed = 3 if self.with_angle else 2
        yield self.model.latent >= needed, "model.latent", f"at least {needed}"
