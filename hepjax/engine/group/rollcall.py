"""The roll of a process group: everybody is there and agrees, or everybody ends with one message.

jax itself aborts without a word for the user when a process is missing or their number differs.
"""

import json
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from hepjax import InputError

COORDINATOR, PROCESSES, PROCESS = "HEPJAX_COORDINATOR", "HEPJAX_PROCESSES", "HEPJAX_PROCESS"
"""Environment variables with which a launcher names the group."""
LOOPBACK = ("127.0.0.1", "localhost")
MOST_NAMED = 8
SILENT_SECONDS, TOLD_EVERY_SECONDS = 1.0, 30.0
"""Processes that start together find each other in less than the first; a longer wait is told at
once and again after each of the second."""


@dataclass(frozen=True)
class Origin:
    """What named a group: its variables for messages, what its members are, and the way out."""

    coordinator: str = COORDINATOR
    processes: str = PROCESSES
    process: str = PROCESS
    members: str = "processes"
    way_out: str = (
        "start all of them (hepjax launch local does), or say --cluster none for a process alone"
    )


class _Wait:
    """A wait with an end that is told on standard error."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.began = seconds, time.monotonic()
        self.deadline, self.next = self.began + seconds, self.began + SILENT_SECONDS

    @property
    def left(self) -> float:
        """Seconds to the end."""
        return self.deadline - time.monotonic()

    def tell(self, text: str) -> None:
        """Say for whom this waits, if it is time."""
        now = time.monotonic()
        if now < self.next or self.left < SILENT_SECONDS / 2:
            return
        self.next += TOLD_EVERY_SECONDS
        print(
            f"hepjax: {text} ({now - self.began:.0f} of at most {self.seconds:.0f} s)",
            file=sys.stderr, flush=True,
        )  # fmt: skip


def call_roll(
    coordinator: str, processes: int, process: int, timeout: float, origin: Origin = Origin()
) -> None:
    """Wait until each process has said who it is and of how many.

    Args:
      coordinator: host:port of process 0.
      timeout: seconds.
      origin: what named the group, for messages.
    Raises:
      InputError: in every process that is there, with what is wrong.
    """
    host, _, port = coordinator.rpartition(":")
    address, wait = (host, int(port)), _Wait(timeout)
    if process == 0:
        verdict = _gather(address, processes, wait, origin)
    else:
        verdict = _report(address, [process, processes], wait, origin)
    if verdict:
        raise InputError(verdict)


def _gather(address: tuple[str, int], processes: int, wait: _Wait, origin: Origin) -> str:
    """Process 0: hear the others, tell them the verdict (empty if all is well)."""
    verdict, heard = "", dict[int, socket.socket]()
    place = f"{address[0]}:{address[1]}"
    try:
        listener = socket.create_server((address[0] if address[0] in LOOPBACK else "", address[1]))
    except OSError as error:
        raise InputError(
            f"{origin.coordinator}: expected to listen on port {address[1]}, "
            f"found: {error.strerror}; {origin.way_out}"
        ) from None
    with listener:
        while not verdict and len(heard) < processes - 1:
            listener.settimeout(min(max(wait.left, 0.01), SILENT_SECONDS))
            try:
                peer, process, count = _hear(listener)
            except (OSError, ValueError, TypeError):
                # Nobody came, or a port scanner, or a peer that has died.
                missing = _listed(i for i in range(1, processes) if i not in heard)
                if wait.left > 0:
                    wait.tell(
                        f"process 0 waits for process {missing} of {processes} {origin.members} "
                        f"at {place}"
                    )
                    continue
                verdict = (
                    f"{origin.processes}: expected {processes} {origin.members} at {place}, found "
                    f"no sign of process {missing} in time ({wait.seconds:g} s); {origin.way_out}"
                )
            else:
                if count != processes or process in heard or process == 0:
                    verdict = (
                        f"{origin.processes}: expected {processes} different processes, found "
                        f"process {process} of {count}"
                    )
                heard[-1 if verdict else process] = peer
        for peer in heard.values():
            with peer:
                peer.sendall(verdict.encode() or b"\n")
    return verdict


def _listed(numbers: Iterable[int]) -> str:
    """The first numbers, and how many more there are."""
    every = list(numbers)
    more = f" and {len(every) - MOST_NAMED} more" if len(every) > MOST_NAMED else ""
    return ", ".join(map(str, every[:MOST_NAMED])) + more


def _hear(listener: socket.socket) -> tuple[socket.socket, int, int]:
    """The next peer, and what it says: which process it is, of how many."""
    peer, _ = listener.accept()
    try:
        peer.settimeout(5)
        process, count = json.loads(peer.recv(64))
    except BaseException:
        peer.close()
        raise
    return peer, process, count


def _report(address: tuple[str, int], who: list[int], wait: _Wait, origin: Origin) -> str:
    """Another process: say who this is, hear the verdict."""
    reason, place = "no answer", f"{address[0]}:{address[1]}"
    told = f"process {who[0]} of {who[1]} {origin.members} waits for process 0 at {place}"
    while True:
        try:
            with socket.create_connection(address, timeout=5) as peer:
                peer.sendall(json.dumps(who).encode())
                answer = _answer(peer, wait, told + " and the others")
                if answer:
                    return answer.strip()
        except OSError as error:
            reason = error.strerror or str(error)
        if wait.left < 0:
            return (
                f"{origin.coordinator}: expected process 0 at {place}, found: {reason}; "
                f"{origin.way_out}"
            )
        wait.tell(told)
        time.sleep(0.2)


def _answer(peer: socket.socket, wait: _Wait, told: str) -> str:
    """The verdict of process 0; empty when it has gone."""
    while True:
        late = wait.left + 5  # process 0 has begun to wait a little later
        peer.settimeout(min(max(late, 0.01), SILENT_SECONDS))
        try:
            return peer.recv(1000).decode()
        except TimeoutError:
            if late < 0:
                raise
            wait.tell(told)
