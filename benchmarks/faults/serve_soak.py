"""Hours in minutes for ``hepjax serve``: right clients beside killed, silent and slow ones.

    python -m benchmarks.faults.serve_soak RUN --minutes 10

Threads ask rightly over HTTP and compare each answer with the first one. Beside them: processes
that ask and are killed, connections that send half a head or half a body and stay or go, clients
that hardly read the answer. Memory and open files of the server are shown after the first tenth and
at the end; after SIGTERM it has to end with 143.
"""

import argparse
import collections
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.faults.serve_requests import ask, event
from benchmarks.speed.serve import started

PATH = "/v2/models/mlpf/infer"
KILLED = """
import sys
from benchmarks.faults.serve_requests import ask, event
print(1, flush=True)
while True:
    ask(sys.argv[1], "/v2/models/mlpf/infer", event(5))
"""


def used(pid: int) -> tuple[float, int]:
    """Resident memory in MiB, and open files, of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(os.listdir(f"/proc/{pid}/fd"))


Answers = dict[int, np.ndarray]


def right(address: str, seed: int, counts: collections.Counter[str], first: Answers) -> None:
    """One right request, whose answer is always the same, to the rounding of another batch size."""
    status, _, body = ask(address, PATH, event(1 + seed % 12, seed))
    if status != 200:
        counts[f"refused {status}"] += 1
        return
    probability = np.array(json.loads(body)["outputs"][1]["data"])
    same = np.allclose(probability, first.setdefault(seed, probability), atol=1e-4)
    counts["answered" if same else "different"] += 1


def killed(address: str, rng: random.Random) -> None:
    """A client that is killed while it asks."""
    client = subprocess.Popen([sys.executable, "-c", KILLED, address], stdout=subprocess.PIPE)
    assert client.stdout is not None
    client.stdout.readline()
    time.sleep(rng.uniform(0.0, 0.3))
    client.kill()
    client.wait()
    client.stdout.close()


def half_sent(address: str, rng: random.Random) -> None:
    """A request that is cut anywhere; the connection is closed, reset or left for a while."""
    body = json.dumps(event(5)).encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    whole = head + body
    host, port = address.split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(whole[: rng.randrange(1, len(whole))])
        if rng.random() < 0.3:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        time.sleep(rng.choice([0.0, 0.1, 2.0]))


def slow(address: str, rng: random.Random) -> None:
    """A client that asks for much and reads a little of it."""
    body = json.dumps(event(12, events=64)).encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    host, port = address.split(":")
    with socket.create_connection((host, int(port))) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(head + body)
        for _ in range(rng.randrange(5)):
            client.recv(100)
            time.sleep(0.2)


def main() -> None:
    """Print counts and memory; end with an error if something was lost or leaked."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    first: Answers = {}
    options = ("--lengths", "8,16", "--batch-size", "8")
    with started(f"mlpf={args.run}", *options) as server:
        address, pid = server["http"], server["process"].pid
        ends = time.monotonic() + 60 * args.minutes

        def repeat(kind: str, number: int, act: Callable[[str, random.Random], None]) -> None:
            rng = random.Random(args.seed * 1000 + number)
            while time.monotonic() < ends:
                try:
                    act(address, rng)
                except OSError as error:
                    counts[f"{kind}: {type(error).__name__}"] += 1
                counts[kind] += 1
                time.sleep(rng.uniform(0.02, 0.2))

        def asking(number: int) -> Callable[[str, random.Random], None]:
            return lambda address, rng: right(
                address, number * 10 + rng.randrange(10), counts, first
            )

        acts = [("right", asking(number)) for number in range(4)]
        acts += [("killed", killed), ("half sent", half_sent), ("slow", slow), ("slow", slow)]
        threads = [
            threading.Thread(target=repeat, args=(kind, number, act))
            for number, (kind, act) in enumerate(acts)
        ]
        for thread in threads:
            thread.start()
        time.sleep(6 * args.minutes)
        early = used(pid)
        for thread in threads:
            thread.join()
        time.sleep(1)
        late = used(pid)
        server["process"].send_signal(signal.SIGTERM)
        code = server["process"].wait(60)
    result = dict(sorted(counts.items())) | {
        "MiB early and late": [round(early[0], 1), round(late[0], 1)],
        "files early and late": [early[1], late[1]], "exit code": code,
    }  # fmt: skip
    print(json.dumps(result))
    lost = counts["different"] or any(k.startswith(("refused", "right:")) for k in counts)
    if lost or code != 143:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
