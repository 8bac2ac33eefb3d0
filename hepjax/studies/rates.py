"""Learning-rate finder: short trainings at many rates side by side, and which of them went best.

All rates train in one program, a population (``train.member_rates``), on the same events and for
the same number of updates. Unlike a ramp through the rates in one training, each begins at the same
initial weights' distribution, so that the losses can be compared.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError, run
from hepjax.engine import records

RECORDS = 20
"""Records of each training."""
LAST = 0.2
"""Share of the records at the end whose mean loss is compared."""


def grid(low: float, high: float, count: int) -> list[float]:
    """Rates from ``low`` to ``high`` in equal steps of their logarithm.

    Raises:
      InputError: fewer than two, or no range above 0.
    """
    if not 0 < low < high < math.inf:
        raise InputError(f"--range: expected LOW:HIGH with 0 < LOW < HIGH, found {low:g}:{high:g}")
    if count < 2:
        raise InputError(f"--rates: expected at least 2, found {count}")
    return [float(f"{rate:.3g}") for rate in np.geomspace(low, high, count)]


def settings(rates: list[float], steps: int) -> dict[str, Any]:
    """What differs from the configuration of the training.

    Raises:
      InputError: fewer than one update.
    """
    if steps < 1:
        raise InputError(f"--steps: expected at least 1, found {steps}")
    return {
        "train.members": len(rates), "train.member_rates": rates, "train.steps": steps,
        "train.record_every": max(1, steps // RECORDS), "train.on_nonfinite": "skip",
        "train.max_skipped": steps, "train.stop_after": 0,
    }  # fmt: skip


def tried(
    config: str, overrides: list[str], rates: list[float], steps: int, out: Path, quiet: bool
) -> list[dict[str, Any]]:
    """Train at each rate in the run directory ``out``; see ``judged``.

    Raises:
      InputError: a configuration, data or workload that does not allow it.
      TrainingError: all rates went wrong.
    """
    given = settings(rates, steps)
    texts = [f"{key}={_yaml(value)}" for key, value in given.items()]
    workload, cfg = run.configured(config, [*overrides, *texts])
    run.train(workload, cfg, out, quiet=quiet)
    return judged(records.read(out / "metrics.jsonl"), workload.score, rates)


def _yaml(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)


def judged(history: list[dict[str, Any]], metric: str, rates: list[float]) -> list[dict[str, Any]]:
    """For each rate its ``score`` (validation, lower is better), ``loss`` at the end, ``skipped``
    updates that were not finite, and whether it is the best.

    Returns:
      rows in the order of the rates; numbers are None where they are not finite.
    """
    train = [r for r in history if r.get("event") == "train"]
    validation = [r for r in history if r.get("event") == "validation"]
    last = train[-max(1, int(LAST * len(train))) :]
    loss = next((name for name in ("loss", "generator_loss") if last and name in last[0]), None)
    rows: list[dict[str, Any]] = []
    for k, rate in enumerate(rates):
        score = _member(validation[-1].get(metric), k) if validation else None
        losses = [_member(r.get(loss), k) for r in last] if loss else []
        known = [x for x in losses if x is not None]
        skipped = sum(_member(r.get("skipped"), k) or 0 for r in train)
        rows.append(
            {
                "rate": rate, "score": score, "skipped": skipped, "best": False,
                "loss": sum(known) / len(known) if known and len(known) == len(losses) else None,
            }
        )  # fmt: skip
    sound = [r for r in rows if r["score"] is not None and r["skipped"] == 0]
    if sound:
        min(sound, key=lambda r: r["score"])["best"] = True
    return rows


def _member(value: Any, k: int) -> float | None:
    number = value[k] if isinstance(value, list) else value
    return float(number) if isinstance(number, int | float) and math.isfinite(number) else None
