"""The contract between the engine and a workload: data plus pure functions.

Every function is pure; ``cfg`` is a frozen dataclass with the groups ``train``, ``mesh``, ``input``
and ``checkpoint`` of engine/config.py beside the workload's own. The engine never looks inside a
state, a batch or the metrics.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from hepjax.formats.source import Source

State = Any
Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]


@dataclass(frozen=True)
class Sources:
    """The events a run trains on and those it is judged on after each epoch."""

    train: Source
    validation: Source
    test: Source | None = None
    """For ``evaluate`` alone; without it that takes the validation events."""


class Workload(Protocol):
    """What the engine, the library and the command line need of a workload."""

    name: str
    Config: type
    score: str
    """Name of the validation metric that chooses the best epoch; lower is better."""

    def init(self, cfg: Any, key: jax.Array) -> State:
        """The state before the first update."""
        ...

    def prepare(self, cfg: Any, raw: Batch) -> Batch:
        """Raw events of a Source as the network wants them; runs inside the compiled step."""
        ...

    def train_step(
        self, cfg: Any, state: State, batch: Batch, key: jax.Array, epoch: jax.Array
    ) -> tuple[State, Metrics]:
        """One update. ``epoch`` is the fractional number of epochs done, for schedules."""
        ...

    def eval_step(self, cfg: Any, state: State, batch: Batch, key: jax.Array) -> Metrics:
        """Sums over the events whose ``mask`` is 1, so that means are exact over uneven batches."""
        ...

    def summarise(self, cfg: Any, sums: dict[str, Any]) -> dict[str, float]:
        """The validation metrics of all events from the sums over them; has ``score``."""
        ...

    def failure(self, cfg: Any, step: int, metrics: dict[str, float]) -> str | None:
        """Why training is beyond hope, by the mean metrics of the record of ``step``; else None."""
        ...

    def sources(self, cfg: Any) -> Sources:
        """Open the files that the configuration names."""
        ...

    def open(self, cfg: Any, paths: list[Path]) -> Source:
        """The events of these files after the event cuts of the configuration."""
        ...

    def evaluate(
        self, cfg: Any, state: State, source: Source, out: Path,
        *, seed: int, about: dict[str, Any], quiet: bool,
    ) -> dict[str, Any]:  # fmt: skip
        """Write the report page on the events of ``source``; return its scores.

        ``about`` has ``run_config`` (text), ``provenance`` and ``history`` (the records).
        """
        ...


@runtime_checkable
class Generative(Protocol):
    """What a workload that simulates events has besides."""

    def generate(
        self, cfg: Any, state: State, energy: np.ndarray, seed: int, batch_size: int
    ) -> Iterator[np.ndarray]:
        """Generated events at incident energies (n,) GeV, batch by batch."""
        ...

    def compare(
        self, reference: list[Path], generated: list[Path], out: Path, *, quiet: bool
    ) -> dict[str, Any]:
        """Write the report page on the events of some files against others; return its scores."""
        ...


@runtime_checkable
class Predictive(Protocol):
    """What a workload that judges events has besides."""

    def predict_table(
        self, cfg: Any, state: State, source: Source, batch_size: int, *, quiet: bool
    ) -> Iterator[dict[str, np.ndarray]]:
        """Rows of a table, one an event or one a part of it, in the order of the events.

        Some events at a time; every piece has the same columns, one number a row.
        """
        ...
