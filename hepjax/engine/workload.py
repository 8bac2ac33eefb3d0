"""The contract between the engine and a workload: data plus pure functions, from file to answer.

A workload is one value, ``WORKLOAD: Workload[Config, State] = Workload(...)``, that names its
functions; the type checker compares each with the type of its field here. All are pure. ``cfg`` is
a frozen dataclass, a subclass of ``RunConfig``; the engine never looks inside a state, a batch or
metrics. Functions with a default may be left out.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import jax
import numpy as np

from hepjax.engine.compilation import Options
from hepjax.engine.config import RunConfig
from hepjax.engine.inference import Batch, HostBatch, Placed
from hepjax.engine.precision import exactly
from hepjax.engine.progress import progress
from hepjax.formats.source import Source

Cfg = TypeVar("Cfg", bound=RunConfig)
S = TypeVar("S")
Metrics = dict[str, jax.Array]
Scores = dict[str, Any]
"""Plain content of ``scores.json``."""
Advance = Callable[[int], object]


class Clock(NamedTuple):
    """How far a training is, for schedules."""

    epoch: jax.Array
    """Epochs done, fractional."""
    updates: jax.Array
    """Updates done."""


class Field(NamedTuple):
    """One array of a batch, without its leading axis, the event."""

    name: str
    shape: tuple[int | None, ...]
    """None: an axis whose length differs from batch to batch."""
    dtype: str
    unit: str = "1"
    axes: tuple[str, ...] = ()
    """Names of the axes that are None, in order; those of one name have one length. Without names
    all of them count the elements of an event."""


@dataclass(frozen=True)
class Spec:
    """What the arrays of a batch are, and static facts that a compiled step needs of them."""

    fields: tuple[Field, ...] = ()
    facts: tuple[tuple[str, Any], ...] = ()
    """Names and hashable values, for example the coarsening of each channel."""

    def fact(self, name: str) -> Any:
        """The value of a static fact."""
        return dict(self.facts)[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arrays."""
        return tuple(f.name for f in self.fields)


@dataclass(frozen=True)
class Answer:
    """What a trained model gives for an event."""

    kind: Literal["table", "showers", "field"]
    """Rows of a table (``hepjax predict``), or generated events (``hepjax generate``)."""
    spec: Spec
    at_once: int = 256
    """Events in a batch at most, so that the memory of the devices is enough."""
    lengths: tuple[int, ...] = ()
    """Where events differ in length: those to which a server pads them, rising."""


class Range(NamedTuple):
    """Values of a condition that a model was trained on."""

    low: float
    high: float
    unit: str


Ranges = dict[str, Range]


@dataclass(frozen=True)
class Sources:
    """The events that a run trains on, and the events that judge it after each epoch."""

    train: Source
    validation: Source
    test: Source | None = None
    """For ``evaluate``; without it that takes the validation events."""


class About(NamedTuple):
    """What a report says of the run: configuration (text), provenance, records; and how its
    drawing is shown."""

    run_config: str
    provenance: dict[str, Any]
    history: list[dict[str, Any]]
    progress: Callable[..., AbstractContextManager[Callable[..., None]]] = functools.partial(
        progress, quiet=True
    )
    figures: bool = True
    """False: scores alone are wanted; nothing is drawn or written."""


class Detail(NamedTuple):
    """What a report holds beyond the usual, because someone asked for it."""

    gallery_workers: int = 0
    """All plots one by one, drawn by as many processes; 0 for none."""
    metrics: Literal["few", "small", "published"] = "few"
    """Slow metrics, and with which settings."""


@dataclass(frozen=True)
class Benchmark:
    """The fixed work of ``hepjax bench``."""

    config: str
    """Packaged configuration of the published model."""
    data: str
    """Which simulated events: a name in ``simulate/fixed.py`` or one of ``simulations``."""
    events: int
    """Training events by default: a few minutes on a few cores."""
    complete: int
    """Training events of the complete benchmark."""
    overrides: tuple[str, ...] = ()
    """Settings that differ from ``config``."""
    validated: tuple[str, ...] = ()
    """Further settings when validation events come from files of their own."""


class Tournament(NamedTuple):
    """What travels between members of a population, and what decides it."""

    travels: tuple[str, ...]
    """Fields of the state of a member, a dataclass."""
    metrics: tuple[str, ...]
    """Validation metrics that depend on these fields alone; lower is better."""


EvaluateInDetail = Callable[[Cfg, "Model[Cfg, S]", Source, Path, About, Detail], Scores]

Simulation = Callable[[Path, int, int, Advance], object]
"""Writes so many events of a seed into a new folder: (folder, events, seed, advance)."""


def of_one_event(cfg: Any, source: Source) -> Spec:
    """The fields of a source as its first event has them, without further facts."""
    event = source[np.arange(1)]
    return Spec(tuple(Field(k, v.shape[1:], str(v.dtype)) for k, v in event.items()))


@dataclass(frozen=True)
class Workload(Generic[Cfg, S]):
    """What the engine, the library and the command line need of a workload."""

    name: str
    Config: type[Cfg]
    score: str
    """Name of the validation metric that chooses the best epoch; lower is better."""

    # Training.
    init: Callable[[Cfg, jax.Array], S]
    """(cfg, key) -> the state before the first update."""
    prepare: Callable[[Cfg, Spec, Batch], Batch]
    """(cfg, spec, raw) -> events as the steps want them; runs inside the compiled step."""
    train_step: Callable[[Cfg, S, Batch, jax.Array, Clock], tuple[S, Metrics]]
    """(cfg, state, batch, key, clock) -> (state, metrics): one update."""
    eval_step: Callable[[Cfg, S, Batch, jax.Array], Metrics]
    """(cfg, state, batch, key) -> sums over the events whose ``mask`` is 1."""
    summarise: Callable[[Cfg, dict[str, Any]], dict[str, Any]]
    """(cfg, sums) -> the validation metrics, the score among them; numbers, or one a member."""

    # The data.
    sources: Callable[[Cfg], Sources]
    """Open the files that the configuration names."""
    open: Callable[[Cfg, list[Path]], Source]
    """Open these files, with the event cuts of the configuration."""

    # The answer.
    inputs: Callable[[Cfg], Spec]
    """What the trained model takes."""
    infer: Callable[[Cfg, S, Batch, jax.Array], Batch]
    """(cfg, state, inputs, keys) -> answers, one an event; keys are (n,), one an event."""
    outputs: Callable[[Cfg], Answer]
    """What the trained model gives."""

    # With a default.
    spec: Callable[[Cfg, Source], Spec] = of_one_event
    """Fields of raw batches and static facts of a source."""
    failure: Callable[[Cfg, int, dict[str, float]], str | None] = lambda cfg, step, metrics: None
    """Why training is beyond hope, by the mean metrics of a record; else None."""
    members: Callable[[Cfg], int] = lambda cfg: 1
    """Members of a population: the leading axis of every array of the state if more than one."""
    tournament: "Tournament | None" = None
    """Of GANs: what members of a population may exchange, with ``train.exchange=tournament``."""
    after_validation: Callable[[Cfg, S, dict[str, Any]], S] = lambda cfg, state, scores: state
    """(cfg, state, validation metrics) -> the state that goes on."""
    rows: "Callable[[Cfg, HostBatch, HostBatch, int], dict[str, np.ndarray]] | None" = None
    """(cfg, events, answers, number of the first event) -> columns of the table of ``predict``; by
    default each answer (n,) is one, beside ``index``."""
    conditions: "Callable[[Cfg, dict[str, np.ndarray]], HostBatch] | None" = None
    """What users ask generated events for (``energy=...``), checked, as ``inputs`` wants it."""
    ranges: Callable[[Cfg], Ranges] = lambda cfg: {}
    """Conditions outside of which events are generated only if a user insists."""
    evaluate: "Callable[[Cfg, Model[Cfg, S], Source, Path, About], Scores] | None" = None
    """Write the report page on the events of a source; by default the validation metrics."""
    evaluate_in_detail: "EvaluateInDetail[Cfg, S] | None" = None
    """The same with hundreds of plots or slow metrics, for workloads that have them."""
    benchmark: Benchmark | None = None
    compiler_options: dict[str, Options] = field(default_factory=dict, hash=False, compare=False)
    """By platform: what XLA is asked for beside its defaults, see ``engine.compilation``."""
    simulations: dict[str, Simulation] = field(default_factory=dict, hash=False, compare=False)
    """For workloads from outside: what ``hepjax simulate`` offers beside its own."""
    files: Any = None
    """For workloads from outside: the family of their files, see ``workloads/families.py``."""

    def answer(self, cfg: Cfg, spec: Spec) -> Callable[[S, Batch, jax.Array], Batch]:
        """The answer to raw events: ``prepare``, then ``infer`` on the inputs of the model."""
        return _answer(self, cfg, spec)


@functools.lru_cache(maxsize=32)
def _answer(
    workload: Workload[Any, Any], cfg: Any, spec: Spec
) -> Callable[[Any, Batch, jax.Array], Batch]:
    names = workload.inputs(cfg).names

    def answer(state: Any, raw: Batch, keys: jax.Array) -> Batch:
        batch = workload.prepare(cfg, spec, raw)
        return _infer(workload, cfg)(state, {name: batch[name] for name in names}, keys)

    return answer


@functools.lru_cache(maxsize=32)
def _infer(workload: Workload[Any, Any], cfg: Any) -> Callable[[Any, Batch, jax.Array], Batch]:
    return exactly(cfg, functools.partial(workload.infer, cfg))


@dataclass(frozen=True, eq=False)
class Model(Generic[Cfg, S]):
    """A trained model on the devices that are here."""

    workload: Workload[Cfg, S]
    cfg: Cfg
    placed: Placed[S]
    seed: int = 0
    quiet: bool = True

    def over(
        self, source: Source, batch_size: int, *, stop: int | None = None,
        advance: Advance = lambda n: None,
    ) -> Iterator[tuple[HostBatch, HostBatch]]:  # fmt: skip
        """Events of a source in order and the answers to them; see ``Placed.over``."""
        function = self.workload.answer(self.cfg, self.workload.spec(self.cfg, source))
        return self.placed.over(
            function, source, batch_size, seed=self.seed, stop=stop, advance=advance
        )

    def given(self, inputs: HostBatch, batch_size: int) -> Iterator[HostBatch]:
        """Answers to inputs (n, ...) as ``Workload.inputs`` lists them; see ``Placed.given``."""
        function = _infer(self.workload, self.cfg)
        return self.placed.given(function, inputs, batch_size, seed=self.seed)
