"""Settings of neural simulation-based inference with density ratios (arXiv:2412.01600)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from hepjax.engine.bounds import (
    Bound,
    Count,
    CountOrNone,
    FilePath,
    NotNegative,
    Rule,
    require,
)
from hepjax.engine.config import RunConfig, TrainConfig
from hepjax.engine.optimizers import OptimizerConfig


@dataclass(frozen=True)
class ModelConfig:
    """The classifiers, all of one form."""

    hidden: tuple[Count, ...] = (64, 64)
    """Widths of the hidden layers, SiLU."""


@dataclass(frozen=True)
class DataConfig:
    """Which samples there are, and what of their events the classifiers see."""

    reference: tuple[FilePath, ...] = ("data/mixture/reference.npz",)
    """npz files of the reference sample, whose density is nowhere much smaller than that of a
    process; a mixture of them is good."""
    processes: tuple[str, ...] = ("signal", "background")
    """Names of the processes."""
    files: tuple[FilePath, ...] = ("data/mixture/signal.npz", "data/mixture/background.npz")
    """A file or folder for each; its ``weights`` add up to the expected events."""
    coefficients: tuple[tuple[float, float, float], ...] = ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    """Of each process: factors of 1, sqrt(mu) and mu in its rate; an interference of signal and
    background has (0, 1, 0)."""
    signed: tuple[str, ...] = ()
    """Processes with negative weights. Events of either sign are a part of their own, whose
    ratio is trained with positive weights."""
    systematics: tuple[str, ...] = ()
    """Names of systematic variations, each with a nuisance parameter."""
    varied: tuple[str, ...] = ()
    """The process that each of them changes."""
    up: tuple[FilePath, ...] = ()
    """Its events at +1 standard deviation."""
    down: tuple[FilePath, ...] = ()
    """Its events at -1 standard deviation."""
    observables: tuple[str, ...] = ("x0", "x1")
    """``x`` for the array sim_x, or observables of jets."""
    parameters: tuple[str, ...] = ()
    """``t`` for the array par_t: an input of parametrised classifiers."""
    parametrised: tuple[str, ...] = ()
    """Processes whose files have these arrays. Events of the reference get the values of events of
    the process; other ratios do not see the parameters."""
    held_out: Annotated[float, Bound(above=0, below=0.9)] = 0.2
    """Share of the events that no network learns from; they judge the run."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        names = self.processes
        yield len(set(names)) == len(names) > 0, "processes", "different names, at least one"
        yield len(self.observables) > 0, "observables", "at least one name"
        yield len(self.files) == len(names), "files", f"one for each of {', '.join(names)}"
        same = len(self.coefficients) == len(names)
        yield same, "coefficients", f"three numbers for each of {', '.join(names)}"
        yield set(self.signed) <= set(names), "signed", f"some of {', '.join(names)}"
        fits = set(self.parametrised) <= set(names if self.parameters else ())
        said = f"some of {', '.join(names)}" if self.parameters else "none without data.parameters"
        yield fits, "parametrised", said
        for key in ("varied", "up", "down"):
            fits = len(getattr(self, key)) == len(self.systematics)
            yield fits, key, f"one for each of the {len(self.systematics)} data.systematics"
        plain = set(names) - set(self.signed)
        fits = set(self.varied) <= plain
        yield fits, "varied", f"some of {', '.join(sorted(plain))}, without negative weights"


@dataclass(frozen=True)
class InferenceConfig:
    """What the report infers of the signal strength mu."""

    strengths: tuple[NotNegative, NotNegative] = (0.0, 2.5)
    """Range of mu."""
    points: Annotated[int, Bound(least=5)] = 51
    """Of the grid over this range."""
    truth: NotNegative = 1.0
    """At which expected curves and toys are made."""
    toys: CountOrNone = 600
    """Pseudo-experiments for coverage and for each point of the Neyman construction."""
    at: tuple[float, ...] = ()
    """Values of ``data.parameters``."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        low, high = self.strengths
        yield low < high, "strengths", "low < high"
        yield low <= self.truth <= high, "truth", f"{low:g} to {high:g} (inference.strengths)"


@dataclass(frozen=True)
class NsbiConfig(RunConfig):
    """Everything that defines the ratios of an inference."""

    train: TrainConfig = field(default_factory=lambda: TrainConfig(batch_size=1024, epochs=20))
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(learning_rate=3e-3, cosine=True)
    )
    data: DataConfig = field(default_factory=DataConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    bootstraps: CountOrNone = 0
    """The last so many of ``train.members`` learn from a Poisson bootstrap of all samples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        train = self.train
        require(train.accumulate == 1, "train.accumulate", "1", train.accumulate)
        require(not train.member_rates, "train.member_rates", "none", train.member_rates)
        require(
            self.mesh.program == "partitioned", "mesh.program", "partitioned", self.mesh.program
        )
        require(
            self.bootstraps <= train.members, "bootstraps",
            f"at most the {train.members} of train.members", self.bootstraps,
        )  # fmt: skip
        require(
            len(self.inference.at) == len(self.data.parameters), "inference.at",
            f"a value for each of the {len(self.data.parameters)} data.parameters",
            self.inference.at,
        )  # fmt: skip

    @property
    def parts(self) -> "tuple[Part, ...]":
        """The positive densities that the mixture is made of, two of a process with both signs."""
        return tuple(
            Part(name, sign)
            for name in self.data.processes
            for sign in ((1, -1) if name in self.data.signed else (1,))
        )

    @property
    def tasks(self) -> "tuple[Task, ...]":
        """The ratios: of each part to the reference, then of each variation up and down to its
        process."""
        of_parts = [Task(part.label, part, Part("reference", 1)) for part in self.parts]
        varied = [
            Task(f"{name}_{way}", Part(f"{name}_{way}", 1), Part(process, 1))
            for name, process in zip(self.data.systematics, self.data.varied, strict=True)
            for way in ("up", "down")
        ]
        return (*of_parts, *varied)


class Part(NamedTuple):
    """Events of one sign of a sample."""

    sample: str
    sign: int

    @property
    def label(self) -> str:
        """A name for tables."""
        return self.sample + ("" if self.sign > 0 else "_negative")


class Task(NamedTuple):
    """One density ratio."""

    label: str
    one: Part
    zero: Part
