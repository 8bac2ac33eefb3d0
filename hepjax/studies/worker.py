"""A worker of a study of trainings: trains a stage of a trial, and says how it ended."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax

from hepjax import run
from hepjax.engine import input as batches
from hepjax.engine import records, signals
from hepjax.engine.checkpoint import complete_steps
from hepjax.studies import leases, pruners, samplers
from hepjax.studies.jobs import Job, Jobs
from hepjax.studies.space import varied
from hepjax.studies.study import Study, Trial
from hepjax.workloads import table

CLEAR_EVERY = 8
"""Stages after which compiled programs are dropped from memory."""
LOOK_SECONDS = 0.2
"""At least, between two looks at the records of a training for the median rule."""


class PrunedError(Exception):
    """The trial stops early."""


@dataclass
class Worker(Jobs):
    """A worker that trains."""

    study: Study

    def __post_init__(self) -> None:
        super().__post_init__()
        limit = samplers.limit(self.study)
        self.count = self.count if limit is None else min(self.count, limit)
        self._stages = max(len(self.study.epochs), 1)
        self._finished = 0
        self._began = time.time()

    def proposed(self, trials: Sequence[Trial], number: int) -> dict[str, Any]:
        """The settings of a new trial."""
        return {"params": samplers.propose(self.study, trials, number)}

    def promoted(self, trials: Sequence[Trial]) -> Job | None:
        """The next stage of a trial that deserves it."""
        found = pruners.promoted(self.study.pruner, trials, self._stages)
        return None if found is None else Job(*found, 0)

    def first_stage(self, number: int) -> int:
        """That of the bracket of the trial."""
        return pruners.first_stage(self.study.pruner, number, self._stages)

    def progress(self, job: Job) -> int:
        """Updates that are saved."""
        return max(complete_steps(self.study.run_of(job.number) / "checkpoints"), default=0)

    def concluded(self, job: Job, ended: dict[str, Any]) -> dict[str, Any]:
        """With the score after each epoch, and the best."""
        curve = _curve(self.study, self.study.run_of(job.number))
        self._finished += 1
        if self._finished % CLEAR_EVERY == 0:
            jax.clear_caches()  # programs of trials, which fit no other
        if ended["status"] != "failed":
            finite = [x for x in curve if math.isfinite(x)]
            ended = ended | ({"score": min(finite)} if finite else _without_score(self.study))
        return ended | {"curve": curve}

    def in_words(self, ended: dict[str, Any]) -> str:
        """The score."""
        waits = "" if ended["status"] == "complete" else ", waits or stops here"
        return f"{self.study.metric} {ended['score']:.6g}{waits}"

    def perform(
        self, lease: leases.Lease, job: Job, trial: Trial, trials: Sequence[Trial]
    ) -> dict[str, Any] | int:
        """Train to the end of the stage; how that went, or the signal that ended it."""
        study, directory = self.study, self.study.run_of(job.number)
        workload, cfg = table.configure(varied(study.settings, trial.params or {}))
        per_epoch = batches.per_epoch(workload.sources(cfg).train, cfg.train.batch_size)
        stages = study.epochs or (0,)
        last = job.stage == len(stages) - 1
        if not last:
            # Not train.epochs, on which schedules depend.
            cfg = replace(cfg, train=replace(cfg.train, steps=stages[job.stage] * per_epoch))
        others = [t.curve for t in trials if t.last.get("status") == "complete"]
        looked = [0.0]

        def watch(step: int) -> None:
            lease.check()
            now = time.monotonic()
            if study.pruner == "median" and now - looked[0] > LOOK_SECONDS:
                looked[0] = now
                curve = _curve(study, directory)
                if curve and pruners.below_median(curve, others):
                    raise PrunedError

        try:
            outcome = run.train(
                workload, cfg, directory, quiet=self.quiet, received=signals.received, watch=watch
            )
        except PrunedError:
            return {"status": "stopped"}
        if outcome.signal is not None:
            return outcome.signal
        return {"status": "complete" if last else "stopped"}


def _curve(study: Study, directory: Path) -> list[float]:
    """The score after each epoch so far; the mean over the members of a population."""
    rows = records.read(directory / "metrics.jsonl")
    scores = [row.get(study.metric) for row in rows if row.get("event") == "validation"]
    return [_number(score) for score in scores]


def _number(score: Any) -> float:
    if isinstance(score, list):
        known = [x for x in score if x is not None]
        return sum(known) / len(known) if known else math.inf
    return math.inf if score is None else float(score)


def _without_score(study: Study) -> dict[str, str]:
    return {
        "status": "failed",
        "reason": f"no epoch has a finite {study.metric}: the training went wrong, or the score "
        "needs more validation events",
    }
