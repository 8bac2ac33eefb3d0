"""New checkpoints of the runs that are served take the place of the old ones."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from hepjax import InputError
from hepjax.serve.served import Served, newer, renewed

SECONDS = 10.0
"""Between two looks at a run directory."""
RETRY_SECONDS = 600.0
"""Until a checkpoint that could not be used is tried again."""


async def watch(
    models: Callable[[], Iterable[Served]], told: Callable[..., Any], seconds: float = SECONDS
) -> None:
    """Look at the run directories for ever.

    A request is answered by the checkpoint that was there when it came. What cannot be used is
    told, and the present checkpoint stays.

    Args:
      told: of what happened: (event, **fields).
    """
    refused: dict[str, tuple[int, float]] = {}
    while True:
        await asyncio.sleep(seconds)
        for served in list(models()):
            await _renew(served, refused, told)


async def _renew(
    served: Served, refused: dict[str, tuple[int, float]], told: Callable[..., Any]
) -> None:
    step: int | None = None
    try:
        step = await asyncio.to_thread(newer, served)
        tried, when = refused.get(served.name, (-1, 0.0))
        if step is None or (step == tried and time.monotonic() - when < RETRY_SECONDS):
            return
        began = time.monotonic()
        version = await asyncio.to_thread(renewed, served, step)
    except (InputError, OSError) as error:
        refused[served.name] = step or -1, time.monotonic()
        told("reload refused", model=served.name, version=step, error=str(error))
        return
    told(
        "reloaded", model=served.name, version=version.number, before=served.version.number,
        seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip
    served.version = version
