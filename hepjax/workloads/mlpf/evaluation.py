"""From a trained MLPF and events with truth to the report page, or to a table of candidates."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepjax import InputError
from hepjax.engine.progress import progress
from hepjax.physics.particleflow import metrics
from hepjax.workloads.mlpf.validation import NAMES

if TYPE_CHECKING:
    from hepjax.physics.particleflow.report import Sample
    from hepjax.workloads.mlpf.config import MLPFConfig

BATCH = 8
"""Events at a time and at most: one may have 6,400 elements, 60 MB of activations each."""


def evaluate(
    cfg: "MLPFConfig", state: Any, source: Any, out: Path,
    *, seed: int, about: dict[str, Any], quiet: bool,
) -> dict[str, Any]:  # fmt: skip
    """Report on the candidates of the events of ``source``; return its scores. Nothing is random.

    Elements of all events are kept in memory, 112 bytes each.

    Raises:
      InputError: candidates that are not finite.
    """
    from hepjax.physics.particleflow.report import report
    from hepjax.report import document

    document.check_folder(out)
    built = report(collect(cfg, state, source, quiet=quiet), partial(progress, quiet=quiet))
    return document.write_report(built, out, **about)


def collect(cfg: "MLPFConfig", state: Any, source: Any, *, quiet: bool) -> "Sample":
    """All elements of ``source`` with what is true of them and what was found."""
    from hepjax.physics.particleflow.report import Sample

    parts: dict[str, list[np.ndarray]] = {}
    for start, batch, inside in _batches(cfg, state, source, BATCH, quiet):
        made = {
            "event": start + np.nonzero(inside)[0].astype(np.int32),
            "truth": batch["ygen"][inside], "rule_based": batch["ycand"][inside],
            "mlpf": batch["candidates"][inside], "probability": batch["probability"][inside],
        }  # fmt: skip
        for name, values in made.items():
            parts.setdefault(name, []).append(values)
    return Sample(
        events=len(source), **{name: np.concatenate(values) for name, values in parts.items()}
    )


def predict_table(
    cfg: "MLPFConfig", state: Any, source: Any, batch_size: int, *, quiet: bool
) -> Iterator[dict[str, np.ndarray]]:
    """One row per detector element, in the order of the files; at most ``BATCH`` events a piece.

    Columns: ``event`` and ``element`` (from 0 on, in the event); ``class`` (id, the most probable),
    ``charge``, ``pt`` and ``energy`` (GeV), ``eta``, ``phi`` (radians), 0 without a particle;
    ``probability_<class>``.

    Raises:
      InputError: candidates that are not finite.
    """
    for start, batch, inside in _batches(cfg, state, source, min(batch_size, BATCH), quiet):
        event, element = np.nonzero(inside)
        rows = batch["candidates"][inside]
        probability = batch["probability"][inside]
        column = {name.name.lower(): rows[:, name] for name in metrics.Particle}
        yield {
            "event": start + event, "element": element.astype(np.int32),
            "class": column["class"].astype(np.int8), "charge": column["charge"].astype(np.int8),
            "pt": column["pt"], "eta": column["eta"], "phi": metrics.phi(rows),
            "energy": column["energy"],
        } | {f"probability_{name}": probability[:, k] for k, name in enumerate(NAMES)}  # fmt: skip


def _batches(
    cfg: "MLPFConfig", state: Any, source: Any, batch_size: int, quiet: bool
) -> Iterator[tuple[int, dict[str, np.ndarray], np.ndarray]]:
    """Number of the first event, the events with candidates, and which slots are elements."""
    from hepjax.workloads.mlpf.prediction import predict

    start = 0
    with progress("predict", len(source), "events", quiet=quiet) as advance:
        for batch in predict(cfg, state, source, batch_size):
            inside = np.arange(batch["X"].shape[1]) < batch["n"][:, None]
            _require_finite(batch, inside)
            yield start, batch, inside
            start += len(inside)
            advance(len(inside))


def _require_finite(batch: dict[str, np.ndarray], inside: np.ndarray) -> None:
    for name in ("candidates", "probability"):
        bad = np.count_nonzero(~np.isfinite(batch[name][inside]).all(-1))
        if bad:
            raise InputError(
                f"{name}: expected finite numbers, found {bad} of {inside.sum()} elements with "
                "others; use another checkpoint (--step) or look for the cause in the events"
            )
