"""From a trained tagger and labelled events to the report page, or to a table of scores."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepjax import InputError
from hepjax.engine.progress import progress
from hepjax.formats.images import Grid
from hepjax.physics.jets import baselines

if TYPE_CHECKING:
    from hepjax.workloads.tagger.config import TaggerConfig

BATCH = 256
IMAGE_FIELDS = ("cell", "value")


def evaluate(
    cfg: "TaggerConfig", state: Any, source: Any, out: Path,
    *, seed: int, about: dict[str, Any], quiet: bool,
) -> dict[str, Any]:  # fmt: skip
    """Report on the scores of the events of ``source``; return them. Nothing in it is random.

    Raises:
      InputError: no labels, a class without events, or scores that are not finite.
    """
    from hepjax.physics.jets.report import Sample, report
    from hepjax.report import document
    from hepjax.workloads.tagger.prediction import mean_saliency, predict

    document.check_folder(out)
    score = predict(cfg, state, source, BATCH, quiet=quiet)
    columns, values, images = read(source, quiet)
    label = columns["label"]
    sample = Sample(
        score=score, label=label, classes=cfg.data.labels,
        baselines=baselines.from_columns(columns) | values,
        pt=columns.get("pt"), grid=source.grid, images=images,
        saliency=mean_saliency(cfg, state, source, quiet=quiet),
    )  # fmt: skip
    return document.write_report(report(sample), out, **about)


def read(
    source: Any, quiet: bool
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list[list[np.ndarray]]]:
    """The columns (n,) of all events, the baselines from their cells, and mean images by class.

    Returns:
      columns; name to (n,); for each of the classes 0 and 1 and each channel the mean absolute
      value (cells of that channel).
    """
    grid = source.grid
    columns: list[dict[str, np.ndarray]] = []
    values: list[dict[str, np.ndarray]] = []
    sums, count = np.zeros((2, grid.size)), np.zeros(2)
    with progress("read", len(source), "events", quiet=quiet) as advance:
        for start in range(0, len(source), BATCH):
            batch = source[np.arange(start, min(start + BATCH, len(source)))]
            columns.append({k: v for k, v in batch.items() if k not in IMAGE_FIELDS})
            values.append(baselines.from_cells(grid, batch["cell"], batch["value"]))
            if "label" not in batch or not np.isin(batch["label"], (0, 1)).all():
                raise InputError(
                    "data: expected events with labels 0 (background) and 1 (signal), found others"
                )
            sums += absolute_sums(grid, batch["cell"], batch["value"], batch["label"], 2)
            count += np.bincount(batch["label"], minlength=2)
            advance(len(batch["label"]))
    means = sums / np.maximum(count, 1)[:, None]
    return _joined(columns), _joined(values), [planes(grid, mean) for mean in means]


def absolute_sums(
    grid: Grid, cell: np.ndarray, value: np.ndarray, label: np.ndarray, classes: int
) -> np.ndarray:
    """Sum of |value| in each cell of each class.

    Args:
      cell, value: (n, K) padded sparse images; label: (n,) in 0 ... classes - 1.
    Returns:
      (classes, grid.size) float64.
    """
    size = grid.size + 1  # the last one takes the padding
    index = cell.astype(np.int64) + size * label.astype(np.int64)[:, None]
    sums = np.bincount(index.ravel(), np.abs(value).ravel(), classes * size)
    return sums.reshape(classes, size)[:, :-1]


def planes(grid: Grid, flat: np.ndarray) -> list[np.ndarray]:
    """All cells of an event, (grid.size,), as one picture a channel at its own granularity."""
    starts = grid.starts
    return [flat[starts[k] : starts[k + 1]].reshape(p) for k, p in enumerate(grid.planes)]


def predict_table(
    cfg: "TaggerConfig", state: Any, source: Any, batch_size: int, *, quiet: bool
) -> Iterator[dict[str, np.ndarray]]:
    """One row per event in the order of the files: ``score``, ``index``, and its columns.

    Raises:
      InputError: scores that are not finite.
    """
    from hepjax.workloads.tagger.prediction import predict

    score = predict(cfg, state, source, batch_size, quiet=quiet)
    bad = np.count_nonzero(~np.isfinite(score))
    if bad:
        raise InputError(
            f"score: expected finite numbers, found {bad} of {len(score)} that are not; "
            "use another checkpoint (--step) or look for the cause in the events"
        )
    made = {"score": score, "index": np.arange(len(score))}
    yield made | {name: source.column(name) for name in source.columns if name not in made}


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
