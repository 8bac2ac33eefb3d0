"""Requests a second and latencies of ``hepjax serve`` under load, batched and unbatched.

    python -m benchmarks.speed.serve RUN --clients 1 8 32 128 --seconds 5

Each client asks over gRPC for one event (MLPF: of ``--length`` elements, the others at random) and
asks again when it has the answer. Clients and server share the machine. ``cpu_ms`` is the processor
time of the server for a request, which holds on a busy machine too; ``events_a_batch`` is the mean.
``--onnx FILE``, of ``hepjax export RUN --format onnx``, adds ONNX Runtime, called for one event
after another without any server.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.speed.tagger_epoch import cpu_seconds
from hepjax.serve.messages import SERVICE, classes

DTYPES = {"FP32": np.float32, "BOOL": bool, "INT32": np.int32}
WARM_UP = 0.5
"""Seconds before the clock starts."""


@contextlib.contextmanager
def started(*arguments: object) -> Iterator[dict[str, Any]]:
    """``hepjax serve`` with free ports in a process of its own: addresses, process, log lines."""
    command = [sys.executable, "-m", "hepjax", "serve", "--http", "0", "--grpc", "0"]
    process = subprocess.Popen(
        [*command, *map(str, arguments)], stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stderr is not None
    try:
        lines = []
        for text in process.stderr:
            lines.append(text)
            if '"ready"' in text:
                break
        else:
            raise SystemExit("".join(lines))
        about = json.loads(lines[-1])
        drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        yield {
            "http": f"127.0.0.1:{about['http']}", "grpc": f"127.0.0.1:{about['grpc']}",
            "process": process,
        }  # fmt: skip
        process.terminate()
        process.wait(60)
        drain.wait()
    finally:
        process.kill()
        process.wait()


def request_for(metadata: Any, length: int, kinds: dict[str, Any], seed: int = 0) -> Any:
    """A request for one event, of numbers that every workload takes."""
    rng = np.random.default_rng(seed)
    made = kinds["ModelInferRequest"](model_name=metadata.name)
    for tensor in metadata.inputs:
        shape = [1, *(length if n == -1 else n for n in tensor.shape[1:])]
        values = {"energy": 100.0, "theta": 1.5}.get(tensor.name)
        array = rng.random(shape) if values is None else np.full(shape, values)
        if tensor.datatype == "BOOL":
            array = np.ones(shape)
        made.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
        made.raw_input_contents.append(array.astype(DTYPES[tensor.datatype]).tobytes())
    return made


async def load(
    address: str, model: str, clients: int, seconds: float, lengths: list[int]
) -> dict[str, Any]:
    """Requests a second and latencies in ms of so many clients that ask one after the other."""
    kinds = classes()
    async with contextlib.AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(address, options=[("hepjax.client", number)])
            )
            for number in range(min(clients, 16))
        ]

        async def call(channel: Any, method: str, request: bytes) -> bytes:
            return await channel.unary_unary(f"/{SERVICE}/{method}")(request)

        asked = kinds["ModelMetadataRequest"](name=model).SerializeToString()
        metadata = kinds["ModelMetadataResponse"].FromString(
            await call(channels[0], "ModelMetadata", asked)
        )
        requests = [
            request_for(metadata, length, kinds, k).SerializeToString()
            for k, length in enumerate(lengths)
        ]
        latencies: list[float] = []
        refused = 0
        counted = time.monotonic() + WARM_UP
        ends = counted + seconds

        async def client(number: int) -> None:
            nonlocal refused
            turn = number
            while (began := time.monotonic()) < ends:
                turn += 1
                try:
                    await call(
                        channels[number % len(channels)], "ModelInfer",
                        requests[turn % len(requests)],
                    )  # fmt: skip
                except grpc.aio.AioRpcError:
                    refused += 1
                    continue
                if began >= counted:
                    latencies.append(time.monotonic() - began)

        await asyncio.gather(*(client(number) for number in range(clients)))
    p50, p99 = np.percentile(latencies, [50, 99]) if latencies else (np.nan, np.nan)
    return {
        "clients": clients, "requests_per_s": round(len(latencies) / seconds, 1),
        "p50_ms": round(1e3 * p50, 2), "p99_ms": round(1e3 * p99, 2), "refused": refused,
    }  # fmt: skip


def counted(address: str) -> tuple[int, int]:
    """Events and batches that the server has answered."""
    with urllib.request.urlopen(f"http://{address}/v2/models/stats") as answer:
        (stats,) = json.load(answer)["model_stats"]
    return stats["inference_count"], stats["execution_count"]


def direct(path: Path, seconds: float, length: int) -> dict[str, Any]:
    """Events a second and latencies of ONNX Runtime on one event after another, two threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    rng, given = np.random.default_rng(0), {}
    for port in session.get_inputs():
        shape = [n if isinstance(n, int) else length for n in port.shape]
        shape[0] = 1
        if port.type == "tensor(bool)":
            given[port.name] = np.ones(shape, bool)
        else:
            value = {"energy": 100.0, "theta": 1.5}.get(port.name)
            array = rng.random(shape) if value is None else np.full(shape, value)
            given[port.name] = array.astype(np.float32)
    session.run(None, given)
    latencies, ends, cpu = [], time.monotonic() + seconds, time.process_time()
    while (began := time.monotonic()) < ends:
        session.run(None, given)
        latencies.append(time.monotonic() - began)
    cpu = time.process_time() - cpu
    p50, p99 = np.percentile(latencies, [50, 99])
    return {
        "clients": 1, "requests_per_s": round(len(latencies) / seconds, 1),
        "p50_ms": round(1e3 * p50, 2), "p99_ms": round(1e3 * p99, 2), "refused": 0,
        "cpu_ms": round(1e3 * cpu / len(latencies), 2), "events_a_batch": 1.0,
    }  # fmt: skip


def main() -> None:
    """Print one JSON object a line and row of the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--length", type=int, default=128, help="elements of an event of MLPF")
    parser.add_argument("--onnx", type=Path)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    lengths = [int(n) for n in rng.integers(args.length // 2, args.length, 15)] + [args.length]
    # A batch has no more elements than the longest event: the last length is room for eight.
    allowed = ",".join(str(n) for n in (args.length // 2, args.length, 8 * args.length))
    for size in (args.batch_size, 1):
        more = ("--lengths", allowed) if _ragged(args.run) else ()
        with started(args.run, "--batch-size", size, *more) as server:
            for clients in args.clients:
                name, pid = args.run.resolve().name, server["process"].pid
                before = (cpu_seconds([pid]), *counted(server["http"]))
                row = asyncio.run(load(server["grpc"], name, clients, args.seconds, lengths))
                after = (cpu_seconds([pid]), *counted(server["http"]))
                seconds, events, batches = (b - a for a, b in zip(before, after, strict=True))
                row |= {
                    "cpu_ms": round(1e3 * seconds / events, 2),
                    "events_a_batch": round(events / batches, 1),
                }
                print(json.dumps({"server": f"batches up to {size}"} | row), flush=True)
    if args.onnx is not None:
        row = direct(args.onnx, args.seconds, args.length)
        print(json.dumps({"server": "none: ONNX Runtime"} | row), flush=True)


def _ragged(run: Path) -> bool:
    return "workload: mlpf" in (run / "config.yaml").read_text()


if __name__ == "__main__":
    main()
