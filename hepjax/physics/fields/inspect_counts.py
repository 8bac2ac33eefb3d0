"""What is in files of CosmoFlow: cells, counts at each redshift, parameters; and a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepjax.formats.fields.cosmoflow import NAMES, TIMES, list_samples, read_samples
from hepjax.report.inspection import (
    Progress,
    head_lines,
    line,
    no_progress,
    problem_lines,
    range_header,
    range_line,
    save_picture,
    value_range,
)


def inspect(
    paths: str | Path | Sequence[str | Path], plot: str | Path | None = None,
    *, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Everything ``hepjax inspect`` prints, as one dictionary ready for JSON.

    Raises:
      InputError: see ``cosmoflow.read_samples``.
    """
    files = list_samples(paths)
    parameters, means, largest, cells, first = [], [], [], set(), None
    with progress("inspect", len(files), "files") as advance:
        for path in files:
            for sample in read_samples(path):
                first = sample.counts if first is None else first
                parameters.append(sample.parameters)
                means.append(sample.counts.mean((0, 1, 2), dtype=float))
                largest.append(sample.counts.max((0, 1, 2)))
                cells.add(len(sample.counts))
            advance(1)
    assert first is not None
    if plot is not None:
        save_picture(lambda: _picture(first), Path(plot))
    known = np.stack(parameters)
    sizes = sorted(cells)
    return {
        "layout": "CosmoFlow", "events": len(parameters),
        "files": [{"path": str(p)} for p in files],
        "cells": sizes,
        "mean_count": [value_range(column) for column in np.stack(means).T],
        "largest_count": [int(column.max()) for column in np.stack(largest).T],
        "parameters": {n: value_range(known[:, i]) for i, n in enumerate(NAMES)},
        "checks": {},
        "problems": [] if len(sizes) == 1 else [f"cubes of {len(sizes)} sizes: {sizes}"],
    }  # fmt: skip


def text(report: dict[str, Any]) -> list[str]:
    """The report for people."""
    return [
        *head_lines(report, "samples"),
        line("cells", ", ".join(f"{n}^3 x {TIMES}" for n in report["cells"])),
        line("largest counts", ", ".join(f"{n:,}" for n in report["largest_count"])),
        range_header(),
        *(range_line(f"counts {i}", values) for i, values in enumerate(report["mean_count"])),
        *(range_line(name, values) for name, values in report["parameters"].items()),
        *problem_lines(report, "cubes, counts of 0 and more, parameters from -1 to 1"),
    ]


def _picture(counts: np.ndarray) -> Any:
    from hepjax.report import maps

    rows = [[counts[..., i].mean(2) for i in range(TIMES)]]
    return maps.pictures(
        rows, ["along z"], [f"redshift {i + 1} of {TIMES}" for i in range(TIMES)],
        [("x [cells]", "y [cells]")] * TIMES, "counts", f"{counts.shape[0]}^3 cells", decades=2,
    )  # fmt: skip
