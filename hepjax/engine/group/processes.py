"""The process group: how this process finds the others, joins them, and ends together with them.

A group comes from explicit settings, from SLURM, from MPI, or on a Cloud TPU from jax itself. jax
aborts without a message when somebody is missing, so the processes call a roll first.
"""

import os
import re
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import jax
import numpy as np

from hepjax import HepjaxError, InputError, MissingExtraError
from hepjax.engine import signals
from hepjax.engine.group import slurm
from hepjax.engine.group.rollcall import COORDINATOR, PROCESS, PROCESSES, Origin, call_roll
from hepjax.formats import access

JOIN_SECONDS, HEARTBEAT_SECONDS = "HEPJAX_JOIN_SECONDS", "HEPJAX_HEARTBEAT_SECONDS"
"""Environment variables: how long to wait for the others at the start, by default 300; and without
a sign of life from one of them before all abort with code 134, by default 60."""
LOST_CODE = 134
"""Exit code of a process that has lost another one, that of an abort (128 + SIGABRT)."""
SIGNS_OF_LOSS = re.compile(
    r"Gloo|NCCL|coordination ?service|barrier|heartbeat|by peer|UNAVAILABLE|DEADLINE_EXCEEDED",
    re.IGNORECASE,
)
"""What collectives, the coordination service of jax, and Orbax say when a process does not answer;
they raise it as several kinds of exception."""
CLUSTERS = ("auto", "none", "slurm", "mpi", "tpu")


SLURM_WAY = "; start the command with srun, or --cluster none for a process alone"
SLURM = Origin(
    "SLURM_STEP_NODELIST", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "tasks of a SLURM step",
    "start the command with srun, once for all tasks, or say --cluster none for a process alone",
)  # fmt: skip
MPI_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
"""Variables in which Open MPI and MPICH name the number of processes."""
ALONE = "--cluster none trains in a process alone"


@dataclass(frozen=True)
class Group:
    """Where the processes of a group meet, and which of them this one is."""

    coordinator: str
    """host:port of process 0."""
    processes: int
    process: int
    all_local_devices: bool = True
    """Whether this process uses all accelerators of its node, or the one of its local number."""
    origin: Origin = field(default=Origin(), compare=False)
    """What named the group, for messages."""

    def __post_init__(self) -> None:
        host, colon, port = self.coordinator.rpartition(":")
        if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
            raise InputError(
                f"{self.origin.coordinator}: expected host:port, found {self.coordinator!r}"
            )
        if self.processes < 1 or not 0 <= self.process < self.processes:
            raise InputError(
                f"{self.origin.process}: expected 0 to {self.origin.processes} - 1, found process "
                f"{self.process} of {self.processes}; {self.origin.way_out}"
            )


def find_group(cluster: str, environment: Mapping[str, str]) -> Group | None:
    """The group that the surroundings describe; None for a process alone (or a TPU's own way).

    Args:
      cluster: one of ``CLUSTERS``; ``auto`` takes explicit variables, then a SLURM step of
        several tasks.
    Raises:
      InputError: the variables of the cluster are absent or contradict each other.
    """
    if cluster not in CLUSTERS:
        raise InputError(f"--cluster: expected one of {', '.join(CLUSTERS)}, found {cluster!r}")
    explicit = [environment.get(name) for name in (COORDINATOR, PROCESSES, PROCESS)]
    if cluster == "auto" and any(explicit):
        if not all(explicit):
            found = ", ".join(n for n in (COORDINATOR, PROCESSES, PROCESS) if environment.get(n))
            raise InputError(
                f"{COORDINATOR}, {PROCESSES}, {PROCESS}: expected all three or none, found {found} "
                f"alone; hepjax launch local sets them, {ALONE}"
            )
        processes, process = (_number(environment, name) for name in (PROCESSES, PROCESS))
        return Group(str(explicit[0]), processes, process)
    if cluster == "slurm":
        return _slurm(environment)
    if cluster == "auto" and slurm.step_tasks(environment) > 1:
        return _slurm(environment)
    return _mpi() if cluster == "mpi" else None


def _slurm(environment: Mapping[str, str]) -> Group:
    """The tasks of this step of a SLURM job.

    Raises:
      InputError: there is no step, or its variables are not whole.
    """
    tasks = slurm.step_tasks(environment)
    allocated = slurm.allocated_tasks(environment)
    if tasks == 1 and not slurm.in_step(environment) and allocated > 1:
        raise InputError(
            f"--cluster slurm: expected a step of several tasks, found a job of {allocated} tasks "
            f"and no step; start the command with srun, or {ALONE}"
        )
    port = 61440 + _number(environment, "SLURM_JOB_ID", SLURM_WAY) % 4096  # the same in each task
    return Group(
        f"{slurm.first_node(environment)}:{port}", tasks,
        _number(environment, "SLURM_PROCID", SLURM_WAY),
        all_local_devices=not slurm.shares_a_node(environment), origin=SLURM,
    )  # fmt: skip


def remark(cluster: str, environment: Mapping[str, str]) -> str:
    """What a user should know of surroundings that are taken for a process alone; else empty."""
    if cluster != "auto" or find_group(cluster, environment) is not None:
        return ""
    tasks = slurm.allocated_tasks(environment)
    if tasks > 1:
        return (
            f"hepjax: this SLURM job has {tasks} tasks, but this is no step of several: one "
            "process works alone; start them with srun, or say --cluster none"
        )
    ranks = [environment.get(name, "") for name in MPI_SIZES]
    started = max((int(n) for n in ranks if n.isdecimal()), default=1)
    if started > 1:
        return (
            f"hepjax: MPI started {started} processes, but each works alone; "
            "say --cluster mpi to train together, or --cluster none"
        )
    return ""


def _mpi() -> Group:
    try:
        from mpi4py import MPI
    except ImportError:
        raise MissingExtraError("--cluster mpi", "mpi") from None
    world = MPI.COMM_WORLD
    with socket.socket() as free:
        free.bind(("", 0))
        address = f"{socket.gethostname()}:{free.getsockname()[1]}"
    on_node = world.Split_type(MPI.COMM_TYPE_SHARED).Get_size()
    return Group(
        world.bcast(address), world.Get_size(), world.Get_rank(), all_local_devices=on_node == 1
    )


def _number(environment: Mapping[str, str], name: str, way_out: str = "") -> int:
    try:
        return int(environment[name])
    except (KeyError, ValueError):
        found = environment.get(name, "nothing")
        raise InputError(f"{name}: expected a whole number, found {found!r}{way_out}") from None


def join(cluster: str = "auto") -> int:
    """Become part of the group, if there is one; before jax is used for anything else.

    SIGTERM is then a notice that ``interruption`` reports, no longer the end of the process.

    Returns:
      the number of processes as far as it is known before jax starts (1 on a TPU).
    Raises:
      InputError: the coordinator or a process is not there in time, or they disagree on their
        number.
    """
    environment = {JOIN_SECONDS: "300", HEARTBEAT_SECONDS: "60"} | dict(os.environ)
    timeout, heartbeat = (_number(environment, n) for n in (JOIN_SECONDS, HEARTBEAT_SECONDS))
    group = find_group(cluster, environment)
    if group is None:
        if told := remark(cluster, environment):
            print(told, file=sys.stderr, flush=True)
        if cluster == "tpu":
            jax.distributed.initialize(heartbeat_timeout_seconds=heartbeat)
        return 1
    call_roll(group.coordinator, group.processes, group.process, timeout, group.origin)
    jax.distributed.initialize(
        group.coordinator, group.processes, group.process,
        local_device_ids=None if group.all_local_devices else [_local_number()],
        initialization_timeout=timeout, heartbeat_timeout_seconds=heartbeat,
    )  # fmt: skip
    return group.processes


def _local_number() -> int:
    for name in ("SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"):
        if name in os.environ:
            return int(os.environ[name])
    return 0


@contextmanager
def together() -> Iterator[None]:
    """Run a block whose error in one process is an error in all, so that none waits for ever."""
    error: HepjaxError | None = None
    try:
        yield
    except HepjaxError as found:
        error = found
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        failed = np.flatnonzero(multihost_utils.process_allgather(np.int32(error is not None)))
        if len(failed) and error is None:
            raise InputError(f"process {failed[0]}: ended with an error; see its message")
    if error is not None:
        raise error


def meet(place: str) -> None:
    """Wait for all processes."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(place)


def interruption(received: list[int]) -> Callable[[int], int | None]:
    """A function of the step that tells every process at the same step that it must end.

    It gives the signal that a process heard. Of a group that is SIGTERM, the notice to all, or the
    SIGINT or SIGHUP of the first process that heard one and passed it on as the notice.

    Args:
      received: signals of this process so far; SIGTERM is left out in a group, where jax hears it.
    """
    if jax.process_count() == 1:

        def noted(step: int) -> int | None:
            if received is signals.received:
                signals.enter(signals.State.SAVING)  # asked after an update: there is one to save
            return received[0] if received else None

        return noted
    from jax.experimental import multihost_utils

    def asked(step: int) -> int | None:
        if not multihost_utils.reached_preemption_sync_point(step):
            return None
        heard = multihost_utils.process_allgather(np.int32(received[0] if received else 0))
        return next((int(number) for number in heard if number), signal.SIGTERM)

    return asked


def lost_another(error: BaseException | None) -> str:
    """The line of ``error`` or of its causes that says another process is gone; else empty."""
    while error is not None:
        for line in str(error).splitlines():
            if SIGNS_OF_LOSS.search(line):
                return line
        error = error.__cause__ or error.__context__
    return ""


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """End this process of a group at its first error: the others notice and nobody waits.

    Otherwise jax would wait minutes at exit for processes that wait in a collective. The code is
    that of the error, or 134 when it only says that another process is gone, which is as jax
    itself ends a process whose group is broken.
    """
    try:
        yield
    except Exception as error:
        if not jax.distributed.is_initialized():
            raise
        lost = lost_another(error)
        if isinstance(error, OSError) and not lost:
            error = InputError(access.refusal(error))
        code = error.exit_code if isinstance(error, HepjaxError) else 1
        if lost:
            code = LOST_CODE
        elif code == 1:
            traceback.print_exc()
        text = " ".join(str(error).split())
        if lost:
            text = f"another process is gone ({lost}); the same command resumes"
        print(f"hepjax: error: process {jax.process_index()}: {text}", file=sys.stderr, flush=True)
        os._exit(code)
