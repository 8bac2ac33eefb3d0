"""A worker of a study: takes a stage of a trial, trains it, writes how it ended, takes the next.

Workers meet in the folder only. There may be any number of them, on any machines that share it.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax

from hepjax import HepjaxError, InputError, TrainingError, run
from hepjax.engine import input as batches
from hepjax.engine import records, signals
from hepjax.engine.checkpoint import REFUSALS, complete_steps
from hepjax.engine.rundir import InUseError
from hepjax.studies import leases, pruners, samplers, shared_files
from hepjax.studies import study as studies
from hepjax.studies.space import varied
from hepjax.studies.study import Study, Trial
from hepjax.workloads import table

POLL_SECONDS = 1.0
"""Between two looks at what others do, when there is nothing to do."""
CLEAR_EVERY = 8
"""Stages after which compiled programs are dropped from memory."""
LOOK_SECONDS = 0.2
"""At least, between two looks at the records of a training for the median rule."""


class PrunedError(Exception):
    """The trial stops early."""


class Job(NamedTuple):
    """A stage of a trial that nobody works on."""

    number: int
    stage: int
    generation: int
    """Of the next lease."""


@dataclass
class Worker:
    """What a worker keeps between two jobs."""

    study: Study
    count: int
    """Trials wanted."""
    patience: float
    """Seconds without a heartbeat after which a job of another worker is taken over."""
    quiet: bool = False
    say: Callable[[str], object] = lambda text: None

    def __post_init__(self) -> None:
        self.watch = leases.Watch(self.patience)
        self._finished = 0
        self._began = time.time()

    def work(self) -> int | None:
        """Work until all is done, or a signal; the signal.

        Raises:
          InputError: the disk refuses records or checkpoints.
        """
        while True:
            trials = studies.trials(self.study)
            job = self._next(trials)
            if job is None:
                if not self._busy(trials):
                    return None
                time.sleep(min(POLL_SECONDS, self.patience / leases.BEATS))
                continue
            name = studies.job(job.number, job.stage)
            about = {"step": max(complete_steps(self._checkpoints(job)), default=0)}
            lease = leases.take(self.study.records, name, job.generation, self.patience, about)
            if lease is None:
                continue
            with lease:
                signal = self._run(lease, job, trials)
            if signal is not None:
                return signal

    def _next(self, trials: Sequence[Trial]) -> Job | None:
        """The next job: one that was left, a promotion, or a new trial."""
        stages = max(len(self.study.epochs), 1)
        for trial in trials:
            if job := self._left(trial, stages):
                return job
        found = pruners.promoted(self.study.pruner, trials, stages)
        if found is not None:
            return Job(*found, 0)
        limit = samplers.limit(self.study)
        wanted = self.count if limit is None else min(self.count, limit)
        taken = {trial.number for trial in trials}
        for number in range(wanted):
            if number not in taken:
                params = samplers.propose(self.study, trials, number)
                path = self.study.records / f"{number:04d}.json"
                if shared_files.create(path, {"number": number, "params": params}):
                    return Job(number, pruners.first_stage(self.study.pruner, number, stages), 0)
                return self._next(studies.trials(self.study))
        return None

    def _left(self, trial: Trial, stages: int) -> Job | None:
        """The stage of a trial whose worker is gone, or that nobody has begun."""
        if trial.params is None:
            return None
        first = pruners.first_stage(self.study.pruner, trial.number, stages)
        stage = max(len(trial.stages) - 1, first)
        state = trial.stages[stage] if stage < len(trial.stages) else studies.Stage(None, 0, 0)
        if state.result is not None:
            return None
        if state.leases == 0 and stage == first:
            # Its worker took a moment, or died, between the record and the lease.
            return Job(trial.number, stage, 0)
        newest = studies.newest_lease(self.study, trial.number, stage, state.leases)
        return Job(trial.number, stage, state.leases) if self.watch.is_over(newest) else None

    def _busy(self, trials: Sequence[Trial]) -> bool:
        """Whether another worker has a job that may come back, or lead to others."""
        return any(
            trial.params is not None and bool(trial.stages) and trial.stages[-1].result is None
            for trial in trials
        )

    def _run(self, lease: leases.Lease, job: Job, trials: Sequence[Trial]) -> int | None:
        """Train a stage and write how it ended; the signal that interrupted it."""
        study, name = self.study, studies.job(job.number, job.stage)
        trial = next((t for t in studies.trials(study) if t.number == job.number), None)
        if trial is None or trial.params is None:
            return None
        state = trial.stages[job.stage] if job.stage < len(trial.stages) else None
        if state is not None and state.result is not None:
            return None  # finished between our look and our lease
        began = time.monotonic()
        try:
            self._require_progress(job)
            ended = self._train(lease, job, trial.params, trials)
        except leases.LostError:
            self.say(f"{name}: given up: no heartbeat of it was written for too long")
            return None
        except InUseError:
            lease.release()
            time.sleep(POLL_SECONDS)  # its former worker lives, and will notice
            return None
        except Exception as error:
            _require_disk(error)
            ended = {"status": "failed", "reason": _reason(error)}
        if isinstance(ended, int):
            lease.release()
            return ended
        signals.enter(signals.State.WORKING)
        seconds = time.monotonic() - began
        spent = {"seconds": seconds, "devices": len(jax.devices()), "time": time.time()}
        curve = _curve(study, study.run_of(job.number))
        self._finished += 1
        if self._finished % CLEAR_EVERY == 0:
            jax.clear_caches()  # programs of trials, which fit no other
        if ended["status"] != "failed":
            finite = [x for x in curve if math.isfinite(x)]
            ended |= {"score": min(finite)} if finite else _without_score(study)
        with _unless_lost():
            if studies.finish(
                study, lease, job.number, job.stage, ended | spent | {"curve": curve}
            ):
                done = far(studies.trials(study), self.count, self._began, time.time())
                self.say(f"{name}: {_in_words(study, ended)}; {done}")
        return None

    def _checkpoints(self, job: Job) -> Path:
        return self.study.run_of(job.number) / "checkpoints"

    def _require_progress(self, job: Job) -> None:
        """Refuse a stage with which one worker after the other was lost where it began.

        Raises:
          TrainingError: the trial counts as failed.
        """
        known = range(job.generation, job.generation - studies.ATTEMPTS - 1, -1)
        if known[-1] < 0:
            return
        paths = [self.study.records / f"{studies.job(job.number, job.stage)}.L{g}" for g in known]
        steps = {(shared_files.read(path) or {}).get("step") for path in paths}
        if len(steps) == 1 and not any(leases.released(path).exists() for path in paths):
            raise TrainingError(
                f"trial {job.number}: expected a worker that ends, found that {studies.ATTEMPTS} "
                "workers in a row were lost with it (out of memory?)"
            )

    def _train(
        self, lease: leases.Lease, job: Job, params: dict[str, Any], trials: Sequence[Trial]
    ) -> dict[str, Any] | int:
        """Train to the end of the stage; how that went, or the signal that ended it."""
        study, directory = self.study, self.study.run_of(job.number)
        workload, cfg = table.configure(varied(study.settings, params))
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


@contextmanager
def _unless_lost() -> Iterator[None]:
    try:
        yield
    except leases.LostError:
        return


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
    return {"status": "failed", "reason": f"no epoch has a finite {study.metric}"}


def _in_words(study: Study, ended: dict[str, Any]) -> str:
    if ended["status"] == "failed":
        return f"failed: {ended['reason']}"
    return f"{study.metric} {ended['score']:.6g}" + (
        "" if ended["status"] == "complete" else ", waits or stops here"
    )


def far(trials: Sequence[Trial], wanted: int, began: float, now: float) -> str:
    """How far a study is, and how long the rest takes at the pace since ``began``, in words.

    Args:
      began, now: seconds since 1970.
    """
    ended = [t.results[-1].get("time", 0.0) for t in trials if t.results]
    text, recent = f"{len(ended)} of {wanted} trials", sum(time >= began for time in ended)
    if recent and len(ended) < wanted:
        text += f", about {(now - began) / recent * (wanted - len(ended)):.0f} s left"
    return text


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:400]
    return text if isinstance(error, HepjaxError) else f"{type(error).__name__}: {text}"


def _require_disk(error: Exception) -> None:
    """Raise again what is no fault of the trial: a disk that is full or may not be written."""
    refused = any(word in str(error).lower() for word in REFUSALS)
    if isinstance(error, OSError) or (isinstance(error, InputError) and refused):
        raise error


def report_lines(worker_number: int | None) -> Callable[[str], object]:
    """Prints a line of a worker on standard error."""
    prefix = "hepjax: " if worker_number is None else f"hepjax: worker {worker_number}: "
    return lambda text: print(prefix + text, file=sys.stderr, flush=True)
