"""Settings of OmniFold (Andreassen et al., arXiv:1911.09107)."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from hepjax.engine.bounds import (
    Bound,
    Count,
    CountOrNone,
    FilePath,
    Rule,
    require,
)
from hepjax.engine.config import RunConfig, TrainConfig
from hepjax.engine.optimizers import OptimizerConfig

Kind = Literal["background", "reco", "gen"]


@dataclass(frozen=True)
class UnfoldingConfig:
    """Iterations, and what each of their trainings does."""

    iterations: Count = 3
    """Each trains a classifier at detector level (step 1) and one at particle level (step 2)."""
    epochs: Count = 8
    """Passes through the events in each training; sets ``train.epochs``."""
    acceptance: Literal["mean", "keep"] = "mean"
    """What events that fail the reconstruction take from step 1: the mean factor of those that pass
    at the same truth, as in iterative Bayesian unfolding with an efficiency; or none, so that they
    keep their weight. Both end at the same answer, ``keep`` later."""
    ensemble: Count = 1
    """Networks of each training, whose log ratios are averaged."""
    bootstraps: CountOrNone = 0
    """The last so many of ``train.members`` weigh each measured event by a number from a Poisson
    distribution of mean 1. The others differ in their seed alone."""
    held_out: Annotated[float, Bound(above=0, below=0.9)] = 0.1
    """Share of the events that no network learns from. Each training keeps the parameters of the
    epoch with their lowest loss (early stop)."""
    warm: bool = True
    """Begin each training with the networks of the iteration before it."""


@dataclass(frozen=True)
class ModelConfig:
    """The classifiers; those of both levels have one form."""

    hidden: tuple[Count, ...] = (64, 64)
    """Widths of the hidden layers, SiLU."""
    of_particles: tuple[Count, ...] = (64, 64)
    """With ``data.particles``: widths of the layers applied to each particle before the sum over
    all of them (Deep Sets, arXiv:1703.06114)."""


@dataclass(frozen=True)
class DataConfig:
    """Which events, and what of them the classifiers see."""

    measured: tuple[FilePath, ...] = ("data/unfolding/measured",)
    """Files or folders of npz files whose ``sim_`` arrays are the measured events."""
    simulation: tuple[FilePath, ...] = ("data/unfolding/simulation",)
    """The same with ``gen_`` arrays: particle level and detector level of simulated events."""
    background: tuple[FilePath, ...] = ()
    """Simulated ``sim_`` arrays of events that are in the measured ones and are to be taken away.
    Their ``weights`` say how many there are of them; measured events then get the positive weight
    1 - b / d of a classifier between the two."""
    observables: tuple[str, ...] = ()
    """``x`` for the arrays gen_x and sim_x, or of jets: ``m``, ``M``, ``w``, ``lnrho``, ``tau21``,
    ``zg``, ``pt``. One is UniFold, several are MultiFold."""
    particles: CountOrNone = 0
    """Above 0: OmniFold on the first so many particles of each jet."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        for name in ("measured", "simulation"):
            yield len(getattr(self, name)) > 0, name, "at least one file"
        known = bool(self.observables) != bool(self.particles)
        yield known, "observables", "names, or data.particles above 0, and not both"


@dataclass(frozen=True)
class UnfoldConfig(RunConfig):
    """Everything that defines an unfolding."""

    train: TrainConfig = field(default_factory=lambda: TrainConfig(batch_size=4096, epochs=1))
    unfold: UnfoldingConfig = field(default_factory=UnfoldingConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(learning_rate=3e-3, cosine=True)
    )
    """Its schedule begins anew with each training, whose epochs it counts."""
    data: DataConfig = field(default_factory=lambda: DataConfig(observables=("m",)))

    def __post_init__(self) -> None:
        super().__post_init__()
        train, total = self.train, len(self.trainings) * self.unfold.epochs
        require(
            train.epochs in (1, total), "train.epochs",
            f"{total} for {len(self.trainings)} trainings of unfold.epochs={self.unfold.epochs} "
            "(leave it out)", train.epochs,
        )  # fmt: skip
        require(train.accumulate == 1, "train.accumulate", "1", train.accumulate)
        require(not train.member_rates, "train.member_rates", "none", train.member_rates)
        require(
            self.mesh.program == "partitioned", "mesh.program", "partitioned", self.mesh.program
        )
        require(
            self.unfold.bootstraps <= train.members, "unfold.bootstraps",
            f"at most the {train.members} of train.members", self.unfold.bootstraps,
        )  # fmt: skip

    def resolved(self) -> "UnfoldConfig":
        """The same with the epochs that all trainings take."""
        total = len(self.trainings) * self.unfold.epochs
        return replace(self, train=replace(self.train, epochs=total))

    @property
    def trainings(self) -> tuple[Kind, ...]:
        """What is trained in turn. The last one tells the measured from the unfolded events."""
        background: tuple[Kind, ...] = ("background",) if self.data.background else ()
        pairs: tuple[Kind, ...] = ("reco", "gen") * self.unfold.iterations
        return (*background, *pairs, "reco")
