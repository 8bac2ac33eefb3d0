"""The roll of a process group: everybody is there and agrees, or everybody ends with one message.

jax itself aborts without a word for the user when a process is missing or their number differs.
"""

import json
import socket
import time

from hepjax import InputError

COORDINATOR, PROCESSES, PROCESS = "HEPJAX_COORDINATOR", "HEPJAX_PROCESSES", "HEPJAX_PROCESS"
"""Environment variables with which a launcher names the group."""
LOOPBACK = ("127.0.0.1", "localhost")


def call_roll(coordinator: str, processes: int, process: int, timeout: float) -> None:
    """Wait until each process has said who it is and of how many.

    Args:
      coordinator: host:port of process 0.
      timeout: seconds.
    Raises:
      InputError: in every process that is there, with what is wrong.
    """
    host, _, port = coordinator.rpartition(":")
    address, deadline = (host, int(port)), time.monotonic() + timeout
    if process == 0:
        verdict = _gather(address, processes, deadline)
    else:
        verdict = _report(address, [process, processes], deadline)
    if verdict:
        raise InputError(verdict)


def _gather(address: tuple[str, int], processes: int, deadline: float) -> str:
    """Process 0: hear the others, tell them the verdict (empty if all is well)."""
    verdict, heard = "", dict[int, socket.socket]()
    try:
        listener = socket.create_server((address[0] if address[0] in LOOPBACK else "", address[1]))
    except OSError as error:
        raise InputError(
            f"{COORDINATOR}: expected to listen on port {address[1]}, found: {error.strerror}"
        ) from None
    with listener:
        while not verdict and len(heard) < processes - 1:
            listener.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                peer, process, count = _hear(listener)
            except (OSError, ValueError, TypeError):
                # Nobody came, or a port scanner, or a peer that has died.
                if time.monotonic() < deadline:
                    continue
                missing = ", ".join(str(i) for i in range(1, processes) if i not in heard)
                verdict = (
                    f"{PROCESSES}: expected {processes} processes at {address[0]}:{address[1]}, "
                    f"found no sign of process {missing} in time"
                )
            else:
                if count != processes or process in heard or process == 0:
                    verdict = (
                        f"{PROCESSES}: expected {processes} different processes, found "
                        f"process {process} of {count}"
                    )
                heard[-1 if verdict else process] = peer
        for peer in heard.values():
            with peer:
                peer.sendall(verdict.encode() or b"\n")
    return verdict


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


def _report(address: tuple[str, int], who: list[int], deadline: float) -> str:
    """Another process: say who this is, hear the verdict."""
    reason = "no answer"
    while True:
        try:
            with socket.create_connection(address, timeout=5) as peer:
                peer.sendall(json.dumps(who).encode())
                peer.settimeout(max(deadline - time.monotonic(), 1) + 5)
                answer = peer.recv(1000).decode()
                if answer:
                    return answer.strip()
        except OSError as error:
            reason = error.strerror or str(error)
        if time.monotonic() > deadline:
            return (
                f"{COORDINATOR}: expected process 0 at {address[0]}:{address[1]}, found: {reason}"
            )
        time.sleep(0.2)
