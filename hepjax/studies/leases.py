"""Leases: which worker does which job, also when workers are killed and clocks differ.

A lease of a job is the file ``<job>.L<generation>``, made exclusively. Its worker writes a counter
into ``<job>.L<generation>.beat`` now and then. Whoever sees a counter stand still for ``patience``
seconds of its own monotonic clock may make the next generation, and only one succeeds. A worker
whose heartbeat was not written for half of that time, because it was stopped or its disk was away,
gives its job up before it writes anything else. No two clocks are ever compared.
"""

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepjax import InputError
from hepjax.formats import atomic
from hepjax.studies import shared_files

BEATS = 8
"""Heartbeats in the patience of the others."""


class LostError(Exception):
    """The lease may be another's by now; nothing may be written for its job."""


def here() -> dict[str, Any]:
    """This process, so that another one of this machine sees at once if it has ended."""
    return {"host": os.uname().nodename, "space": _space(), "pid": os.getpid(), "start": _start()}


def _space() -> str:
    """What processes share that see each other: a boot of the machine, and a PID namespace."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return ""


def _start(pid: int | str = "self") -> str:
    """When a process began, in ticks since the boot, so that a reused number is no mistake."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def has_ended(worker: dict[str, Any]) -> bool:
    """Whether a worker is known to have ended: one of this machine that is no process any more."""
    same = bool(worker.get("space")) and worker.get("space") == _space()
    return same and _start(worker.get("pid", 0)) != worker.get("start")


@dataclass
class Lease:
    """A job that is ours, with the thread that says so; a context manager."""

    path: Path
    patience: float

    def __post_init__(self) -> None:
        self._told = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self.lost = False

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._end.set()
        self._thread.join()
        if error is not None and not self.lost:
            with contextlib.suppress(InputError):  # on a full disk others wait for the heartbeat
                self.release()
        with contextlib.suppress(OSError):
            beat(self.path).unlink(missing_ok=True)

    def _beat(self) -> None:
        count = 0
        while not self._end.wait(self.patience / BEATS):
            count += 1
            began = time.monotonic()
            if following(self.path).exists():
                self.lost = True
            with contextlib.suppress(InputError):  # a disk that is full or away: see ``check``
                atomic.write_text(beat(self.path), str(count))
                self._told = began

    def check(self) -> None:
        """Call it before anything is written for the job.

        Raises:
          LostError: others may have seen no heartbeat for too long.
        """
        if self.lost or time.monotonic() - self._told > self.patience / 2:
            self.lost = True
            raise LostError(str(self.path))

    def release(self) -> None:
        """Leave the job to others at once."""
        shared_files.create(released(self.path), {})


def beat(lease: Path) -> Path:
    """The file with the counter of a lease."""
    return lease.with_name(f"{lease.name}.beat")


def released(lease: Path) -> Path:
    """The file that says that the worker left the job."""
    return lease.with_name(f"{lease.name}.left")


def following(lease: Path) -> Path:
    """The lease of the next generation."""
    stem, _, generation = lease.name.rpartition(".L")
    return lease.with_name(f"{stem}.L{int(generation) + 1}")


def take(
    folder: Path, job: str, generation: int, patience: float, about: dict[str, Any]
) -> Lease | None:
    """The lease of this generation, or None where another worker has it.

    Args:
      about: what else the file says.
    """
    path = folder / f"{job}.L{generation}"
    made = shared_files.create(path, here() | about)
    return Lease(path, patience) if made else None


class Watch:
    """What a worker has seen of the heartbeats of others, by its own clock."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self._seen: dict[str, tuple[str, float]] = {}

    def is_over(self, lease: Path) -> bool:
        """Whether the worker of a lease left it, has ended, or showed no heartbeat for too long."""
        if released(lease).exists() or has_ended(shared_files.read(lease) or {}):
            return True
        try:
            count = beat(lease).read_text()
        except OSError:
            count = ""
        now = time.monotonic()
        known, since = self._seen.get(lease.name, (None, now))
        if known != count:
            self._seen[lease.name] = count, now
            return False
        return now - since > self.patience
