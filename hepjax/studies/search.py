"""A study from beginning to end: its definition, its workers, and what it found."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepjax import InputError, TrainingError
from hepjax.engine import rundir, signals
from hepjax.engine.config import require
from hepjax.studies import pruners, space
from hepjax.studies import study as studies
from hepjax.studies.study import Pruner, Sampler, Study, Trial
from hepjax.studies.worker import Worker, report_lines

CRASHES = 10
"""Workers that may crash before their command gives up."""
WORKER = "HEPJAX_STUDY_WORKER"
"""Environment variable with the number of a worker that another process started."""


@dataclass(frozen=True)
class Workers:
    """How a study is worked on; none of it belongs to the study."""

    count: int
    """Trials wanted."""
    processes: int = 1
    patience: float = 60.0
    quiet: bool = False


def defined(
    workload: Any, cfg: Any, folder: Path, axes: space.Space = (), *,
    points: Sequence[dict[str, Any]] = (), sampler: Sampler = "tpe", pruner: Pruner = "none",
    first: int = 1, seed: int = 0,
) -> Study:  # fmt: skip
    """The definition of a study of a configuration.

    Args:
      points: the trials, with the sampler "list".
      first: epochs of the first stage, where there are several.
    Raises:
      InputError: settings that do not go together.
    """
    if pruner in ("asha", "hyperband"):
        require(cfg.train.steps == 0, "train.steps", f"0 with --pruner {pruner}", cfg.train.steps)
    if pruner == "hyperband" and sampler == "grid":
        raise InputError("--sampler: expected tpe, random or cmaes with hyperband, found grid")
    epochs = pruners.stages(pruner, cfg.train.epochs, first)
    return Study(
        folder, workload.name, rundir.stored_settings(workload.name, cfg),
        space.to_json(axes), list(points), sampler, pruner,
        epochs if len(epochs) > 1 else (), seed, workload.score,
    )  # fmt: skip


def carried_out(study: Study, how: Workers) -> list[Trial]:
    """Work until every trial is done; the trials.

    Raises:
      InputError: the folder is another study's, or the disk refuses.
      TrainingError: no trial finished.
      KeyboardInterrupt: a signal came; what was trained is saved.
    """
    studies.open_study(study)
    if how.processes == 1:
        number = os.environ.get(WORKER)
        say = report_lines(None if number is None else int(number))
        worker = Worker(study, how.count, how.patience, how.quiet or number is not None)
        worker.say = (lambda text: None) if how.quiet and number is None else say
        if worker.work() is not None:
            raise KeyboardInterrupt
    else:
        _processes(how)
    trials = studies.trials(study)
    require_finished(study, trials)
    return trials


def require_finished(study: Study, trials: Sequence[Trial]) -> None:
    """Refuse a study without a result.

    Raises:
      TrainingError: no trial finished, with the reason of the first.
    """
    if not any(trial.score is not None for trial in trials):
        reasons = [f"trial {t.number}: {t.failed}" for t in trials if t.failed]
        raise TrainingError(
            f"{study.folder}: expected a finished trial, found none of {len(trials)}"
            + (f" ({reasons[0]})" if reasons else "")
        )


def _processes(how: Workers) -> None:
    """Run this command again in ``how.processes`` processes, each a worker; wait for them.

    A worker that crashed, or was killed, is replaced: its trial is taken over.
    """
    running: dict[int, subprocess.Popen[bytes]] = {}
    started, crashed, codes = 0, 0, list[int]()

    def start() -> None:
        nonlocal started
        own = os.environ | {WORKER: str(started)}
        argv = [sys.executable, "-m", "hepjax", *sys.argv[1:]]
        running[started] = subprocess.Popen(argv, env=own, stdout=subprocess.DEVNULL)
        started += 1

    try:
        for _ in range(how.processes):
            start()
        while running:
            time.sleep(0.1)
            for number, process in list(running.items()):
                code = process.poll()
                if code is None:
                    continue
                del running[number]
                codes.append(code)
                if code not in (0, 2, 3) and code < 128:
                    crashed += 1
                    report_lines(None)(f"worker {number} ended with code {code}")
                    if crashed <= CRASHES:
                        start()
    except KeyboardInterrupt:
        _end(list(running.values()))
        raise
    if 2 in codes:
        raise InputError("--workers: expected workers that end well, found the error above")


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    """Ask the workers to save and leave, and wait as long as they need."""
    signals.enter(signals.State.SAVING)
    for process in workers:
        with contextlib.suppress(OSError):
            process.terminate()
    for process in workers:
        process.wait()
