"""The log of a server: one JSON object a line on standard error."""

import json
import logging
import sys
import time
import traceback
from typing import Any


def line(event: str, **fields: Any) -> None:
    """Write what happened, with the time in UTC."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
    print(json.dumps({"time": stamp, "event": event} | fields), file=sys.stderr, flush=True)


def bug(error: Exception) -> None:
    """Write of an exception that no request explains, with its traceback."""
    trace = "".join(traceback.format_exception(error))
    line("bug", error=f"{type(error).__name__}: {error}", traceback=trace)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        line("log", source=record.name, level=record.levelname.lower(), text=text)


def attach() -> None:
    """Send the warnings of the libraries below the server through ``line``."""
    handler = _Lines(logging.WARNING)
    for name in ("uvicorn", "grpc", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.WARNING)
