"""Where faults happen: a folder with data, trainings that are started, watched and compared.

What benchmarks/faults/campaign.py and the tests of faults share; the faults are in rounds.py.
"""

import contextlib
import io
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
import yaml

from benchmarks import setting
from benchmarks.faults import line
from hepjax.engine import records
from hepjax.engine.checkpoint import complete_steps, restore
from hepjax.engine.group.rollcall import COORDINATOR, PROCESS, PROCESSES
from hepjax.engine.settings import to_settings
from hepjax.engine.step import init_state

HEPJAX = (sys.executable, "-m", "benchmarks.faults.line")
"""The command ``hepjax`` that knows the workload of these trainings."""
TOTAL = 60
"""Updates of every training here."""
HEARTBEAT = 10
"""Seconds without a sign of life after which a process is dead to the others."""
SLACK = 15
"""Seconds that a busy machine may add to that."""
PATIENCE = 600
"""Seconds after which a process hangs."""


Wrap = Callable[[int, list[str]], list[str]]


class FailedError(Exception):
    """The training did not do what it should after this fault."""


class SkipError(Exception):
    """This fault cannot be made on this machine."""


def require(condition: bool, text: str) -> None:
    """Raise ``FailedError`` unless the training did as it should."""
    if not condition:
        raise FailedError(text)


@dataclass(frozen=True)
class Round:
    """One fault and what came of it."""

    equal: bool
    """Final state as of the undisturbed training, bit for bit."""
    fell_back: bool = False
    """A damaged checkpoint was refused, and training went on from an earlier one."""
    notice: float | None = None
    """Seconds from the fault to the end of the last process, where processes are to notice it."""
    goodput: float | None = None
    """Time of the updates that led to the final state over time of all sessions."""


class Job:
    """The processes of one training on this machine."""

    def __init__(self, commands: Sequence[list[str]], environments: Sequence[dict], log: Path):
        self.log = log
        with log.open("ab") as out:
            self.processes = [
                subprocess.Popen(command, env=environment, stdout=out, stderr=out)
                for command, environment in zip(commands, environments, strict=True)
            ]

    def send(self, process: int, number: int) -> float:
        """Signal one process; the moment of it."""
        self.processes[process].send_signal(number)
        return time.monotonic()

    def codes(self, seconds: float = PATIENCE) -> list[int]:
        """Exit codes of all, as a shell has them; those that do not end in time are killed."""
        deadline = time.monotonic() + seconds
        with contextlib.suppress(subprocess.TimeoutExpired):
            for process in self.processes:
                process.wait(max(deadline - time.monotonic(), 0))
        late = [i for i, process in enumerate(self.processes) if process.poll() is None]
        self.stop()
        require(not late, f"process {late} was still there after {seconds} s")
        return [c if c >= 0 else 128 - c for c in (p.returncode for p in self.processes)]

    def stop(self) -> None:
        """Kill what is left."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def text(self) -> str:
        """What all have said."""
        return self.log.read_text(errors="replace")


@dataclass
class Ground:
    """A folder with the data, and the undisturbed trainings to compare with."""

    folder: Path
    random: random.Random
    references: dict[int, list[np.ndarray]] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    rounds: int = 0

    def __post_init__(self) -> None:
        line.write_data(self.folder / "data")
        self.config = self.folder / "line.yaml"
        data = line.DataConfig((str(self.folder / "data"),))
        settings = to_settings(line.LineConfig(data=data))
        self.config.write_text(yaml.safe_dump({"workload": "line"} | settings))

    def new_run(self) -> Path:
        """An empty run directory."""
        self.rounds += 1
        run = self.folder / f"run{self.rounds}"
        run.mkdir()
        return run

    def words(self, run: Path, processes: int = 1, steps: int = TOTAL) -> list[str]:
        """The arguments of ``hepjax`` that train in ``run``."""
        settings = [f"train.steps={steps}", f"mesh.devices={processes}"]
        return ["train", str(self.config), "--run", str(run), "--quiet", *settings]

    def start(
        self, run: Path, processes: int = 1, *, steps: int = TOTAL, host: str = "127.0.0.1",
        wrap: Wrap = lambda process, command: command,
    ) -> Job:  # fmt: skip
        """Start the processes of a training; ``wrap`` puts words before the command of each."""
        command = [*HEPJAX, *self.words(run, processes, steps)]
        commands = [wrap(process, command) for process in range(processes)]
        environments = [environment() for _ in commands]
        if processes > 1:
            with socket.socket() as free:
                free.bind(("", 0))
                address = f"{host}:{free.getsockname()[1]}"
            for process, variables in enumerate(environments):
                variables |= {
                    COORDINATOR: address, PROCESSES: str(processes), PROCESS: str(process)
                }  # fmt: skip
        return self._job(run, commands, environments)

    def launch(self, run: Path, processes: int, restarts: int) -> Job:
        """The same with ``hepjax launch local``, the one process of this job."""
        words = ["launch", "local", "-n", str(processes), "--restarts", str(restarts), "--"]
        command = [*HEPJAX, *words, *self.words(run, processes)]
        return self._job(run, [command], [environment()])

    def _job(self, run: Path, commands: list[list[str]], environments: list[dict]) -> Job:
        self.jobs.append(Job(commands, environments, run.with_name(run.name + ".log")))
        return self.jobs[-1]

    def clean(self) -> None:
        """After a round: end what still runs, remove the run directories."""
        while self.jobs:
            self.jobs.pop().stop()
        for path in self.folder.glob("run*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def reach(self, job: Job, run: Path, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds while the training runs."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            ended = any(process.poll() is not None for process in job.processes)
            if ended or time.monotonic() > deadline:
                job.stop()
                codes = [process.returncode for process in job.processes]
                raise FailedError(f"ended too early, codes {codes}: {job.text()[-900:]}")
            time.sleep(0.001)

    def reach_step(self, job: Job, run: Path, low: int = 2, high: int = TOTAL - 8) -> None:
        """Wait for a random update, and a random moment after it."""
        step = self.random.randrange(low, high)
        self.reach(job, run, lambda: steps_done(run) >= step)
        time.sleep(self.random.uniform(0, 0.05))

    def reference(self, processes: int) -> list[np.ndarray]:
        """The final state of the undisturbed training."""
        if processes not in self.references:
            run = self.new_run()
            job = self.start(run, processes)
            require(job.codes() == [0] * processes, f"undisturbed: {job.text()[-300:]}")
            self.references[processes] = final_state(run)
        return self.references[processes]

    def equals(self, run: Path, processes: int = 1) -> bool:
        """Whether a finished training has the bits of the undisturbed one."""
        pairs = zip(final_state(run), self.reference(processes), strict=True)
        return all(np.array_equal(x, y) for x, y in pairs)

    def resumed(
        self, run: Path, processes: int, began: float, notice: float | None = None, **how: Any
    ) -> Round:
        """Start a disturbed training again, as ``start`` does, and judge its end."""
        job = self.start(run, processes, **how)
        codes = job.codes()
        require(codes == [0] * processes, f"resumed: codes {codes}: {job.text()[-300:]}")
        return self.judge(run, processes, began, notice)

    def judge(self, run: Path, processes: int, began: float, notice: float | None) -> Round:
        """A finished training: its final state, what it left, its goodput.

        Args:
          began: when its first session started.
        """
        seconds = time.monotonic() - began
        left = [p.name for p in (run / "checkpoints").iterdir() if "tmp" in p.name]
        require(not left, f"{left} left behind")
        equal = self.equals(run, processes)
        return Round(equal, notice=notice, goodput=productive(run) / seconds)

    def resumed_here(self, run: Path) -> tuple[int, str]:
        """Resume in this process, which is faster: exit code and lines on standard error."""
        before = [(n, signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM)]
        out = io.StringIO()
        with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(out):
            code = line.main(self.words(run))
        for number, handler in before:
            signal.signal(number, handler)
        return code, err.getvalue()


def environment() -> dict[str, str]:
    """Variables of a process that trains: one CPU device, nothing of a cluster around us."""
    foreign = ("XLA_FLAGS", "JAX_NUM_CPU", "SLURM_", "HEPJAX_")
    own = {k: v for k, v in setting.environment().items() if not k.startswith(foreign)}
    return own | {
        "JAX_PLATFORMS": "cpu", "HEPJAX_HEARTBEAT_SECONDS": str(HEARTBEAT),
        "HEPJAX_JOIN_SECONDS": str(PATIENCE), "TF_CPP_MIN_LOG_LEVEL": "2",
    }  # fmt: skip


def steps_done(run: Path) -> int:
    """The last update on record."""
    done = [r["step"] for r in records.read(run / "metrics.jsonl") if r["event"] == "train"]
    return done[-1] if done else 0


def saved(run: Path) -> list[int]:
    """The steps of the complete checkpoints."""
    return complete_steps(run / "checkpoints")


def productive(run: Path) -> float:
    """Seconds of updates that led to a checkpoint."""
    return json.loads((run / "hepjax.json").read_text())["goodput"]["productive_seconds"]


def final_state(run: Path, step: int = TOTAL) -> list[np.ndarray]:
    """The arrays of a checkpoint, verified."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = jax.eval_shape(lambda: init_state(line.WORKLOAD, line.LineConfig()))
    abstract = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here), shapes)
    return jax.tree.leaves(jax.device_get(restore(run / "checkpoints", step, abstract)))
