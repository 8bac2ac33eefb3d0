"""``hepjax serve``: trained models as a service, over HTTP and gRPC."""

import argparse
import re
from pathlib import Path

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
"""Names of models: they are part of paths."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``serve``."""
    parser.add_argument(
        "runs", metavar="RUN", nargs="+",
        help="run directories; each is a model of its name, or NAME=RUN",
    )  # fmt: skip
    parser.add_argument("--http", type=int, default=8000, metavar="PORT", help="default: 8000")
    parser.add_argument(
        "--grpc", type=int, default=8001, metavar="PORT", help="default: 8001; 0 is a free port"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS",
        help="of this machine, to listen on; default: 127.0.0.1, for its own processes only",
    )  # fmt: skip
    parser.add_argument(
        "--batch-size", type=int, metavar="N",
        help="events of a batch at most; default: 64, or 8 for events that differ in length",
    )  # fmt: skip
    parser.add_argument(
        "--lengths", metavar="N,N", help="to which events are padded; default: as the model has it"
    )
    parser.add_argument(
        "--queue", type=int, default=1024, metavar="N", help="events that may wait; default: 1024"
    )
    parser.add_argument(
        "--max-request", type=int, default=64, metavar="MIB", help="of a request; default: 64"
    )
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="whose token clients have to send"
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate (PEM), for TLS")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its key (PEM)")
    parser.add_argument("--devices", type=int, default=0, metavar="N", help="default: all")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal, which is then the exit code."""
    import asyncio

    from hepjax import InputError, MissingExtraError
    from hepjax.engine import signals
    from hepjax.engine.mesh import request_devices

    for name, low, high in (
        ("http", 0, 65535), ("grpc", 0, 65535), ("batch_size", 1, 2**16), ("queue", 1, 2**24),
        ("max_request", 1, 2047),
    ):  # fmt: skip
        value = getattr(args, name)
        if value is not None and not low <= value <= high:
            raise InputError(f"--{name.replace('_', '-')}: expected {low} to {high}, found {value}")
    if (args.tls_cert is None) != (args.tls_key is None):
        raise InputError("--tls-cert: expected --tls-key with it, found one of them")
    runs, lengths = _named(args.runs), _lengths(args.lengths)
    try:
        from hepjax.serve.listeners import Certificate, read_token
        from hepjax.serve.server import Options, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("starlette", "uvicorn", "grpc", "h11",
                                                    "prometheus_client", "google"):  # fmt: skip
            raise MissingExtraError("serve", "serve") from None
        raise
    certificate = None
    if args.tls_cert is not None:
        certificate = Certificate(args.tls_cert, args.tls_key)
        certificate.require()
    token = None if args.token_file is None else read_token(args.token_file)
    request_devices(args.devices)
    options = Options(
        runs, args.host, args.http, args.grpc, args.batch_size, lengths, args.queue,
        args.max_request * 2**20, token, certificate,
    )  # fmt: skip
    signals.enter(signals.State.SERVING)
    asyncio.run(serve(options, signals.received))
    return 0


def _named(texts: list[str]) -> list[tuple[str, Path]]:
    """Names and run directories.

    Raises:
      InputError: names that a path cannot hold, or one name twice.
    """
    from hepjax import InputError
    from hepjax.engine.paths import expand_one
    from hepjax.engine.rundir import read_settings

    named: dict[str, Path] = {}
    for text in texts:
        given = re.fullmatch(rf"({NAME})=(.+)", text)
        path = Path(expand_one(given[2] if given else text, "RUN"))
        name = given[1] if given else path.resolve().name
        if not re.fullmatch(NAME, name):
            raise InputError(
                f"{text}: expected a name of letters, digits, '.', '_' and '-', found {name!r}; "
                "give NAME=RUN"
            )
        if name in named:
            raise InputError(
                f"{text}: expected another name than {name} of {named[name]}, found the same; "
                "give NAME=RUN"
            )
        read_settings(path)  # before anything is loaded
        named[name] = path
    return list(named.items())


def _lengths(text: str | None) -> tuple[int, ...]:
    """Numbers between commas.

    Raises:
      InputError: others, or not rising.
    """
    from hepjax import InputError

    if text is None:
        return ()
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text):
        raise InputError(f"--lengths: expected numbers between commas, found {text}")
    lengths = tuple(map(int, text.split(",")))
    if lengths[0] < 1 or list(lengths) != sorted(set(lengths)):
        raise InputError(f"--lengths: expected rising numbers of at least 1, found {text}")
    return lengths
