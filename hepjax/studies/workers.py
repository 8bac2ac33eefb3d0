"""The workers of a study that one command starts: itself, or several processes."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from hepjax import InputError
from hepjax.engine import signals
from hepjax.studies.jobs import Jobs

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


def carry_out(worker: Jobs, how: Workers) -> None:
    """Work until every trial is done, here or in processes that run the same command.

    Raises:
      InputError: the disk refuses.
      KeyboardInterrupt: a signal came; what was finished is saved.
    """
    if how.processes > 1:
        _processes(how)
        return
    number = os.environ.get(WORKER)
    worker.quiet = how.quiet or number is not None
    if number is not None or not how.quiet:
        worker.say = report_lines(None if number is None else int(number))
    if worker.work() is not None:
        raise KeyboardInterrupt


def report_lines(worker_number: int | None) -> Callable[[str], object]:
    """Prints a line of a worker on standard error."""
    prefix = "hepjax: " if worker_number is None else f"hepjax: worker {worker_number}: "
    return lambda text: print(prefix + text, file=sys.stderr, flush=True)


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
