"""Settings of FastCaloGAN; the defaults are the photons above 4 GeV that were submitted to the
CaloChallenge (BoloGAN).

Sources: ATL-SOFT-PUB-2020-006, the code of BoloGAN, and CaloShowerGAN (arXiv:2309.06515).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from hepjax.engine.bounds import (
    Bound,
    Count,
    CountOrNone,
    FilePath,
    NotNegative,
    Positive,
    Rule,
    require,
)
from hepjax.engine.config import RunConfig, TrainConfig
from hepjax.engine.optimizers import Fraction, OptimizerConfig
from hepjax.formats.showers import calorimeters
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.layout import Unit

Activation = Literal["swish", "relu"]


@dataclass(frozen=True)
class ModelConfig:
    """The two networks of a member, dense ones."""

    latent: Count = 100
    """Length of the noise, drawn from a normal distribution of mean 0.5 and width 0.5."""
    condition: Annotated[int, Bound(least=1, most=2)] = 2
    """Numbers of the condition: log(E/Emin)/log(Emax/Emin), and behind it a zero where the code of
    BoloGAN has a slot for eta."""
    generator: tuple[Count, ...] = (50, 100, 200)
    """Widths of its hidden layers; the last layer has the voxels."""
    activation: Activation = "swish"
    """Of the hidden layers of the generator."""
    output: Literal["swish", "relu"] = "swish"
    """Of its last layer."""
    norm: Literal["none", "hidden", "all"] = "all"
    """Batch norm behind no layer of the generator, the hidden ones, or all; as published with fixed
    statistics, which is a learnt scale and offset."""
    critic: tuple[Count, ...] = (368, 368, 368)
    """Widths of the hidden layers of the critic, ReLU."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """The losses, and what becomes of members that fail."""

    critic_updates: Count = 5
    """Updates of the critic before each of the generator, each on its part of the batch."""
    penalty: NotNegative = 10.0
    """Weight of the gradient penalty."""
    restart_every: CountOrNone = 1000
    """Updates between two looks at which members have failed; 0: never. A member that has failed
    begins anew from the best member of its slice or a neighbour of it, or else with a new seed."""
    restart_after: CountOrNone = 100_000
    """Updates after which a member fails whose best score is above ``restart_above`` times the
    median of all."""
    restart_above: Positive = 3.0
    """See above."""
    restart_patience: Count = 200_000
    """Updates without a better score after which a member fails."""
    most_restarts: CountOrNone = 3
    """Restarts of a member at most."""
    score_showers: Count = 1000
    """Showers that each member makes at each energy for a look or a tournament; the published code
    makes 10,000."""
    tournament_every: CountOrNone = 0
    """Updates between two tournaments, in which replicas of a slice meet in pairs and take over the
    other's generator if it is better by every metric on events of their own (LTFB); 0: none."""


@dataclass(frozen=True)
class DataConfig:
    """Which calorimeter, slices and showers."""

    calorimeter: str = "atlas-photons"
    """A calorimeter with rings and sectors: a name or a file."""
    files: tuple[FilePath, ...] = ("data/showers",)
    """CaloChallenge files, one (or a folder) for each slice in ``eta``."""
    validation_files: tuple[FilePath, ...] = ()
    """Validation showers of each slice, if not the last part of ``files``."""
    eta: tuple[NotNegative, ...] = (0.2, 0.25)
    """Edges of the slices in |eta|, one more than ``files``."""
    validation_fraction: Annotated[float, Bound(above=0, below=1)] = 0.2
    """Share of the events of each slice for validation, the last ones."""
    rotate: Fraction = 0.0
    """Takes validation events so far before the end, 0 up to 1."""
    energies: tuple[Positive, ...] = tuple(0.256 * 2**k for k in range(15))
    """Incident energies at which showers were simulated, GeV, and at which the score compares."""
    unit: Unit = "auto"
    """Unit of the voxels in the files."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        rising = all(a < b for a, b in zip(self.eta, self.eta[1:], strict=False))
        yield rising and len(self.eta) > 1, "eta", "two or more rising edges"
        rising = all(a < b for a, b in zip(self.energies, self.energies[1:], strict=False))
        yield rising and len(self.energies) > 1, "energies", "two or more rising energies"


def published_optimizer() -> OptimizerConfig:
    """Adam of both networks."""
    return OptimizerConfig("adam", 1e-4, beta1=0.5, epsilon=1e-7)


@dataclass(frozen=True)
class WganConfig(RunConfig):
    """Everything that defines the GANs of a particle."""

    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(batch_size=640, steps=1_000_000, record_every=100)
    )
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=published_optimizer)
    data: DataConfig = field(default_factory=DataConfig)
    replicas: Count = 1
    """Members of each slice; the best of them answers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.train.members == 1, "train.members",
            "1, as replicas counts the members of a slice", self.train.members,
        )  # fmt: skip
        parts = self.objective.critic_updates
        require(
            self.train.batch_size % parts == 0, "train.batch_size",
            f"a multiple of the {parts} updates of the critic", self.train.batch_size,
        )  # fmt: skip
        require(
            not self.objective.tournament_every or self.replicas > 1, "replicas",
            "2 or more with objective.tournament_every", self.replicas,
        )  # fmt: skip
        require(
            not self.calorimeter.box, "data.calorimeter", "one with rings and sectors",
            self.data.calorimeter,
        )  # fmt: skip

    @property
    def calorimeter(self) -> Calorimeter:
        """The description of the calorimeter."""
        return calorimeters.calorimeter(self.data.calorimeter)

    @property
    def slices(self) -> int:
        """Number of slices in |eta|."""
        return len(self.data.eta) - 1

    @property
    def members(self) -> int:
        """Number of GANs."""
        return self.slices * self.replicas
