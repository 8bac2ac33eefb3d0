"""Several processes of one group on this machine: started, listened to, and ended together."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

from hepjax.engine.group.rollcall import COORDINATOR, PROCESS, PROCESSES

GRACE_SECONDS = 30.0
"""From SIGTERM to SIGKILL when all are asked to end, or one was: time for a checkpoint."""
FAILURE_SECONDS = 3.0
"""The same when one has failed: the others can only wait for it."""
POLL_SECONDS = 0.1
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAVED = tuple(128 + number for number in ENDING)
"""Exit codes of a process that was asked to end, by its launcher or another's, and has saved."""
RESTART_AFTER = (134, 137, -signal.SIGABRT, -signal.SIGKILL)
"""Exit codes of processes that died of a fault, theirs or another's; jax aborts survivors."""


def run_group(command: list[str], processes: int, environment: Mapping[str, str]) -> int:
    """Run ``command`` as a group of processes on this machine until all have ended.

    Their lines appear with the number of the process in front. When one fails the others are ended;
    SIGINT, SIGTERM and SIGHUP to this process end all, with time to save.

    Returns:
      0, or the exit code of the process that failed first.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {COORDINATOR: f"127.0.0.1:{port}", PROCESSES: str(processes)}
    children, threads = list[subprocess.Popen[bytes]](), list[threading.Thread]()
    asked: list[int] = []
    nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    heard = [n for n in ENDING if not (nohup and n == signal.SIGHUP)]
    before = {n: signal.signal(n, lambda n, _: asked.append(n)) for n in heard}
    try:
        for process in range(processes):
            child = subprocess.Popen(
                command, env={**environment, **group, PROCESS: str(process)},
                start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            children.append(child)
            for pipe, out in ((child.stdout, sys.stdout), (child.stderr, sys.stderr)):
                threads.append(threading.Thread(target=_echo, args=(pipe, out, process)))
                threads[-1].start()
        code = _watch(children, asked)
    finally:
        for child in children:
            _kill(child, signal.SIGKILL)
        for thread in threads:
            thread.join()
        for number, handler in before.items():
            signal.signal(number, handler)
    return code


def _watch(children: list[subprocess.Popen[bytes]], asked: list[int]) -> int:
    """Wait for the end of all; of those that are left after a failure or a signal, make an end."""
    code, deadline = 0, float("inf")
    while None in (codes := [child.poll() for child in children]):
        code = code or _cause(codes)
        if (code or asked) and deadline == float("inf"):
            failed = code not in (0, *SAVED)
            deadline = time.monotonic() + (FAILURE_SECONDS if failed else GRACE_SECONDS)
            for child in children:
                _kill(child, signal.SIGTERM)
        if time.monotonic() > deadline:
            for child in children:
                _kill(child, signal.SIGKILL)
        time.sleep(POLL_SECONDS)
    code = code or _cause(codes)
    if code in SAVED and asked:
        return 128 + asked[0]  # the others were told by SIGTERM, whichever it was here
    return 128 - code if code < 0 else code


def _cause(codes: Sequence[int | None]) -> int:
    """Of processes that ended at once the code of the one to blame, 0 if none failed.

    That is one that was killed, else one with an error of its own, else one that jax aborted for
    want of another.
    """

    def innocence(code: int) -> tuple[bool, bool]:
        aborted = code in (-signal.SIGABRT, 128 + signal.SIGABRT)
        return aborted or code > 0, aborted

    return min((code for code in codes if code), key=innocence, default=0)


def _kill(child: subprocess.Popen[bytes], number: int) -> None:
    """Signal a process and what it started; it leads a session of its own."""
    if child.poll() is None:
        os.killpg(child.pid, number)


def _echo(pipe: IO[bytes] | None, out: IO[str], process: int) -> None:
    assert pipe is not None
    with pipe:
        for line in iter(pipe.readline, b""):
            text = line.decode(errors="replace").rstrip("\n")
            print(f"[{process}] {text}", file=out, flush=True)
