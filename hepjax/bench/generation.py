"""How long a trained generator takes for a shower, alone and in batches; and against Geant4."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from hepjax.formats.showers.clock import Clock, processor_name
from hepjax.run import Run

BATCHES = (1, 100, 10_000)
"""Showers at a time (those of the CaloChallenge)."""
ENOUGH = 10
"""Batches that are timed, unless they take longer than ``LIMIT``."""
LIMIT = 20.0
"""Seconds after which no further batch begins."""


def timed(
    run: Run, conditions: dict[str, np.ndarray], clock: Clock | None = None,
    batches: Sequence[int] = BATCHES, advance: Callable[[int], object] = lambda n: None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Time of a shower by batch size, compilation left out.

    Args:
      conditions: of showers like those to be made, for example ``energy`` (n,) GeV; repeated as
        often as a batch needs.
      clock: of a full simulation, with which the same showers are compared.
      advance: called with 1 after each batch size.
    Returns:
      for each batch size ``batch``, ``batches`` that were timed, and the mean ``ms`` and
      ``cpu_ms`` (processor time of all cores) of a shower, and the ``device``; with a clock
      ``speed_up``, how many times less time than one core there (processor time on a CPU, time on
      an accelerator), and ``same_processor``, without which it means little.
    Raises:
      InputError: a run that does not simulate showers.
    """
    found, device = [], jax.default_backend()
    for batch in batches:
        asked = {name: np.resize(values, batch) for name, values in conditions.items()}
        _make(run, asked, batch)  # compiles
        began, cpu, count = time.monotonic(), time.process_time(), 0
        while count < ENOUGH and (count == 0 or time.monotonic() - began < LIMIT):
            _make(run, asked, batch)
            count += 1
        wall, cpu = time.monotonic() - began, time.process_time() - cpu
        made = count * batch
        row: dict[str, Any] = {
            "batch": batch, "batches": count, "ms": 1e3 * wall / made, "cpu_ms": 1e3 * cpu / made,
            "device": device,
        }  # fmt: skip
        if clock is not None:
            row["speed_up"] = clock.speed_up(
                np.tile(asked["energy"], count), cpu if device == "cpu" else wall
            )
            row["same_processor"] = clock.processor == processor_name()
        found.append(row)
        advance(1)
    return found


def _make(run: Run, asked: dict[str, np.ndarray], batch: int) -> None:
    for _ in run.generated_batches(asked, 0, batch):
        pass


def text(rows: Sequence[dict[str, Any]], engine: str = "the full simulation") -> list[str]:
    """The rows as lines."""
    lines = []
    for row in rows:
        line = (
            f"batch {row['batch']:>6,}: {row['ms']:.3g} ms a shower, {row['cpu_ms']:.3g} ms of "
            "processor time"
        )
        if "speed_up" in row:
            line += f", {row['speed_up']:,.3g} times less than {engine}"
            line += "" if row["same_processor"] else " on another processor"
        lines.append(line)
    return lines
