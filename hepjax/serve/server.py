"""The server: both protocols, the models behind them, from the first port to the last answer."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import uvicorn

from hepjax import InputError
from hepjax.serve import grpc_calls, http_app, log
from hepjax.serve.listeners import Certificate, Patient, bind, bind_grpc
from hepjax.serve.memory import Memory
from hepjax.serve.queue import Queue
from hepjax.serve.served import opened
from hepjax.serve.service import Service
from hepjax.serve.watch import SECONDS, watch

DRAIN_SECONDS = 20
"""In which the requests that are there are answered at the end; Kubernetes kills after 30."""
CONNECTIONS = 1024
"""HTTP connections at once, and calls of gRPC at once."""


@dataclass(frozen=True)
class Options:
    """What is served, and where."""

    runs: Sequence[tuple[str, Path]]
    """Names and run directories."""
    host: str = "127.0.0.1"
    http: int = 8000
    grpc: int = 8001
    """Ports; 0 is a free one."""
    batch: int | None = None
    """Events of a batch; None: the default of the kind of model."""
    lengths: tuple[int, ...] = ()
    """To which events are padded; (): those of the workload."""
    queue: int = 1024
    """Events that may wait."""
    largest: int = 64 * 2**20
    """Bytes of a request."""
    token: str | None = None
    certificate: Certificate | None = None
    watch_seconds: float = SECONDS


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # hepjax.engine.signals has them


async def serve(
    options: Options, received: list[int], told: Callable[..., object] = log.line
) -> None:
    """Serve until a signal is received, then answer what is there.

    Args:
      received: signals of the process.
      told: of what happens: (event, **fields).
    Raises:
      InputError: a port is taken, or a run cannot be served.
    """
    log.attach()
    calls = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", options.largest),
            ("grpc.max_send_message_length", -1),
        ],
        maximum_concurrent_rpcs=CONNECTIONS,
    )
    bound, ports = _bound(options, calls)
    device = ThreadPoolExecutor(1, "devices")
    queue = Queue(options.queue, device, log.bug)
    service = Service(queue, Memory(options.largest), options.token)
    calls.add_generic_rpc_handlers((grpc_calls.handler(service, log.bug),))
    http = _Server(_http(options, http_app.app(service, log.bug)))
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(device.shutdown, wait=False, cancel_futures=True)
        listening = asyncio.create_task(http.serve([bound]))
        await calls.start()
        told("listening", host=options.host, http=ports[0], grpc=ports[1])
        if options.token is None and not _loopback(bound):
            told("warning", text=f"anybody who reaches {options.host} may ask; --token-file")
        ended = asyncio.create_task(_signalled(received))
        try:
            if await _loaded(options, service, device, ended, told):
                service.ready = True
                told("ready", models=list(service.models), http=ports[0], grpc=ports[1])
                watching = asyncio.create_task(
                    watch(service.models.values, told, options.watch_seconds)
                )
                await asyncio.wait((ended, listening), return_when=asyncio.FIRST_COMPLETED)
                watching.cancel()
        finally:
            service.ready = False
            ended.cancel()
            told("ending", waiting=queue.rows)
            http.should_exit = True
            await asyncio.gather(calls.stop(DRAIN_SECONDS), listening, return_exceptions=True)
            await queue.close()
            told("ended", answered=_outcomes(service))


def _bound(options: Options, calls: grpc.aio.Server) -> tuple[socket.socket, tuple[int, int]]:
    """The socket of HTTP, and both ports.

    Raises:
      InputError: one or both are taken.
    """
    if options.http == options.grpc != 0:
        raise InputError(
            f"--grpc: expected another port than --http, found {options.grpc} for both"
        )
    http = bind(options.host, options.http)
    second = bind_grpc(calls, options.host, options.grpc, options.certificate)
    taken = [
        f"{option} {port}"
        for option, port, got in (("--http", options.http, http), ("--grpc", options.grpc, second))
        if got is None
    ]
    if http is None or second is None:
        if http is not None:
            http.close()
        raise InputError(
            f"{' and '.join(taken)}: expected free ports of {options.host}, found others that use "
            "them; give other ports, or 0 for any"
        )
    return http, (http.getsockname()[1], second)


def _http(options: Options, app: Any) -> uvicorn.Config:
    files = options.certificate
    return uvicorn.Config(
        app, http=Patient, loop="asyncio", ws="none", lifespan="off", log_config=None,
        access_log=False, server_header=False, proxy_headers=False, timeout_keep_alive=60,
        limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=DRAIN_SECONDS,
        ssl_certfile=files.certificate if files else None, ssl_keyfile=files.key if files else None,
    )  # fmt: skip


def _loopback(bound: socket.socket) -> bool:
    address = str(bound.getsockname()[0])
    return address.startswith("127.") or address == "::1"


async def _loaded(
    options: Options, service: Service, device: ThreadPoolExecutor, ended: "asyncio.Task[None]",
    told: Callable[..., object],
) -> bool:  # fmt: skip
    """Load and compile all models, in the thread of the devices; False if a signal came first."""
    loop = asyncio.get_running_loop()
    for name, directory in options.runs:
        loading = loop.run_in_executor(
            device, opened, name, directory, options.batch, options.lengths,
            lambda text, name=name: told("compiling", model=name, batch=text),
        )  # fmt: skip
        done, _ = await asyncio.wait((loading, ended), return_when=asyncio.FIRST_COMPLETED)
        if loading not in done:
            return False
        service.models[name] = served = loading.result()
        told("loaded", model=name, version=served.version.number, run=str(directory))
    return True


async def _signalled(received: list[int]) -> None:
    """Return soon after a signal."""
    while not received:
        await asyncio.sleep(0.1)


def _outcomes(service: Service) -> dict[str, int]:
    totals: dict[str, int] = {}
    for (_, outcome), count in service.answered.items():
        totals[outcome] = totals.get(outcome, 0) + count
    return totals
