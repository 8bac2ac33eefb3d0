"""Who does what in a study: takes the next job, does it, writes how it ended, takes the next.

Workers meet in the folder only. There may be any number of them, on any machines that share it.
What a job is and where the next trial lies is said by those who inherit.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from hepjax import HepjaxError, InputError, TrainingError
from hepjax.engine import signals
from hepjax.engine.checkpoint import REFUSALS
from hepjax.engine.rundir import InUseError
from hepjax.studies import leases, shared_files
from hepjax.studies import study as studies
from hepjax.studies.study import StudyFolder, Trial

POLL_SECONDS = 1.0
"""Between two looks at what others do, when there is nothing to do."""


class Job(NamedTuple):
    """A stage of a trial that nobody works on."""

    number: int
    stage: int
    generation: int
    """Of the next lease."""


@dataclass
class Jobs(ABC):
    """What a worker keeps between two jobs."""

    study: StudyFolder
    count: int
    """Trials wanted."""
    patience: float
    """Seconds without a heartbeat after which a job of another worker is taken over."""
    quiet: bool = False
    say: Callable[[str], object] = lambda text: None

    def __post_init__(self) -> None:
        self.watch = leases.Watch(self.patience)
        self._began = time.time()

    @abstractmethod
    def proposed(self, trials: Sequence[Trial], number: int) -> dict[str, Any]:
        """Content of the record of a new trial: ``params``, and what else is worth keeping."""

    @abstractmethod
    def perform(
        self, lease: leases.Lease, job: Job, trial: Trial, trials: Sequence[Trial]
    ) -> dict[str, Any] | int:
        """Do a job; how it ended (``status`` is complete, stopped or failed), or the signal."""

    @abstractmethod
    def in_words(self, ended: dict[str, Any]) -> str:
        """How a job ended that did not fail."""

    def promoted(self, trials: Sequence[Trial]) -> Job | None:
        """A job that goes on with a finished one."""
        return None

    def first_stage(self, number: int) -> int:
        """The stage with which a trial begins."""
        return 0

    def progress(self, job: Job) -> int:
        """How far the job is, so that workers lost without any progress are noticed."""
        return 0

    def concluded(self, job: Job, ended: dict[str, Any]) -> dict[str, Any]:
        """How a job ended, with what else is known of it, also of a failed one."""
        return ended

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
            about = {"step": self.progress(job)}
            lease = leases.take(self.study.records, name, job.generation, self.patience, about)
            if lease is None:
                continue
            with lease:
                signal = self._run(lease, job)
            if signal is not None:
                return signal

    def _next(self, trials: Sequence[Trial]) -> Job | None:
        """The next job: one that was left, a promotion, or a new trial."""
        for trial in trials:
            if job := self._left(trial):
                return job
        if found := self.promoted(trials):
            return found
        taken = {trial.number for trial in trials}
        for number in range(self.count):
            if number not in taken:
                record = {"number": number} | self.proposed(trials, number)
                path = self.study.records / f"{number:04d}.json"
                if shared_files.create(path, record):
                    return Job(number, self.first_stage(number), 0)
                return self._next(studies.trials(self.study))
        return None

    def _left(self, trial: Trial) -> Job | None:
        """The stage of a trial whose worker is gone, or that nobody has begun."""
        if trial.params is None:
            return None
        first = self.first_stage(trial.number)
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

    def _run(self, lease: leases.Lease, job: Job) -> int | None:
        """Do a job and write how it ended; the signal that interrupted it."""
        study, name = self.study, studies.job(job.number, job.stage)
        trials = studies.trials(study)
        trial = next((t for t in trials if t.number == job.number), None)
        if trial is None or trial.params is None:
            return None
        state = trial.stages[job.stage] if job.stage < len(trial.stages) else None
        if state is not None and state.result is not None:
            return None  # finished between our look and our lease
        began = time.monotonic()
        try:
            self._require_progress(job)
            ended = self.perform(lease, job, trial, trials)
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
        ended = self.concluded(job, ended)
        ended |= {"seconds": seconds, "devices": len(jax.devices()), "time": time.time()}
        with _unless_lost():
            if studies.finish(study, lease, job.number, job.stage, ended):
                failed = ended["status"] == "failed"
                words = f"failed: {ended['reason']}" if failed else self.in_words(ended)
                done = far(studies.trials(study), self.count, self._began, time.time())
                self.say(f"{name}: {words}; {done}")
        return None

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


@contextmanager
def _unless_lost() -> Iterator[None]:
    try:
        yield
    except leases.LostError:
        return


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:400]
    return text if isinstance(error, HepjaxError) else f"{type(error).__name__}: {text}"


def _require_disk(error: Exception) -> None:
    """Raise again what is no fault of the trial: a disk that is full or may not be written."""
    refused = any(word in str(error).lower() for word in REFUSALS)
    if isinstance(error, OSError) or (isinstance(error, InputError) and refused):
        raise error


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
