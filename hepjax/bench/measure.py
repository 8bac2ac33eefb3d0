"""Trains as ``hepjax train`` does, in a run directory that goes afterwards, and times the epochs.

An epoch lasts from the end of the validation before it to the end of its own: updates, input,
validation and checkpoint count, as in the published benchmark. The first also has the start and
the compilation, and is dropped from the means.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.engine import records
from hepjax.engine.workload import Workload
from hepjax.run import train


def measure(
    workload: Workload[Any, Any], cfg: Any, scratch: Path, *, quiet: bool
) -> dict[str, Any]:
    """Train for ``cfg.train.epochs`` epochs, 2 or more, and time them.

    Args:
      scratch: existing folder in which the run directory lives meanwhile.
    Returns:
      ``steps_per_epoch``, ``train_start`` and ``train_stop`` (unix seconds), ``epoch_times`` (s) of
      all epochs, ``throughput_per_epoch`` (events/s), ``mean_epoch_time`` and ``mean_throughput``
      without the first epoch, ``losses`` and ``validation``: names to one number an epoch, and
      ``resources``, energy, load and memory without the first epoch (``engine/meter.py``).
    Raises:
      InputError, TrainingError: see ``engine.train.train``; or fewer than 2 epochs.
    """
    if cfg.train.epochs < 2:
        raise InputError(
            f"train.epochs: expected at least 2 (the first is dropped), found {cfg.train.epochs}"
        )
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=scratch) as run:
        start = time.time()
        train(workload, cfg, Path(run), quiet=quiet)
        stop = time.time()
        rows = records.read(Path(run) / "metrics.jsonl")
        resources = json.loads((Path(run) / "hepjax.json").read_text())["resources"]
    validated = [row for row in rows if row["event"] == "validation"]
    steps = validated[0]["step"]
    seconds = np.diff([start, *(row["time"] for row in validated)]).tolist()
    rates = [steps * cfg.train.batch_size / s for s in seconds]
    return {
        "steps_per_epoch": steps,
        "train_start": start,
        "train_stop": stop,
        "epoch_times": [round(s, 4) for s in seconds],
        "throughput_per_epoch": [round(rate, 4) for rate in rates],
        "mean_epoch_time": round(statistics.fmean(seconds[1:]), 4),
        "mean_throughput": round(statistics.fmean(rates[1:]), 4),
        "losses": _series([row for row in rows if row["event"] == "train"], "loss"),
        "validation": _series(validated),
        "resources": resources,
    }


def _series(rows: list[dict[str, Any]], ending: str = "") -> dict[str, list[float | None]]:
    """Each number of the records that is not about them, as a list over the epochs."""
    about = {"event", "time", "step", "epoch"}
    return {
        name: [row[name] for row in rows]
        for name in rows[0]
        if name not in about and name.endswith(ending)
    }
