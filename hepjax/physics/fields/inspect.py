"""What is in files of boxes: cells, facts, ranges, checks; and a picture of the first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.fields.box import DARK, GAS
from hepjax.formats.fields.boxes import list_boxes, read_box
from hepjax.report.inspection import (
    Progress,
    head_lines,
    line,
    no_progress,
    number,
    problem_lines,
    range_header,
    range_line,
    save_picture,
    value_range,
)

LAYOUTS = {"crops": "crops (Nbody, Hydro)", "nyx": "Nyx (native_fields)"}
MEAN = 0.01
"""Largest deviation of the mean density from 1 that is not worth a note."""


def inspect(
    paths: str | Path | Sequence[str | Path], plot: str | Path | None = None,
    *, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Everything ``hepjax inspect`` prints, as one dictionary ready for JSON.

    Raises:
      InputError: see ``boxes.open_box``.
    """
    files = list_boxes(paths)
    names = [f"dark {n}" for n in DARK] + [f"gas {n}" for n in GAS]
    ranges: dict[str, list[dict[str, float]]] = {}
    broken: list[str] = []
    first = None
    with progress("inspect", len(files), "boxes") as advance:
        for file in files:
            try:
                dark, gas = read_box(file)
            except InputError as error:
                broken.append(str(error))
                advance(1)
                continue
            first = (dark, gas) if first is None else first
            every = [*dark, *(gas if gas is not None else ())]
            for name, field in zip(names, every, strict=False):
                known = value_range(field.reshape(-1))
                assert known is not None
                ranges.setdefault(name, []).append(known)
            advance(1)
    if plot is not None and first is not None:
        save_picture(lambda: _picture(*first), Path(plot))
    joined = {n: _joined(found) for n, found in ranges.items()}
    return {
        "layout": LAYOUTS[files[0].layout], "events": len(files),
        "files": [{"path": str(f.path)} for f in files],
        "cells": sorted({f.cells for f in files}),
        **{k: getattr(files[0].facts, k) for k in files[0].facts._fields},
        "boxes_with_gas": sum(f.targets for f in files), "fields": joined,
        "checks": {"broken_rows": len(broken)},
        "problems": [*broken[:5], *_notes(files, joined)],
    }  # fmt: skip


def _joined(found: list[dict[str, float]]) -> dict[str, float]:
    return {
        "min": min(f["min"] for f in found),
        "mean": float(np.mean([f["mean"] for f in found])),
        "max": max(f["max"] for f in found),
    }


def _notes(files: list[Any], ranges: dict[str, dict[str, float]]) -> list[str]:
    notes = []
    without = sum(not f.targets for f in files)
    if without:
        notes.append(f"{without} of {len(files)} boxes have no gas; they do not train")
    for name in ("dark density", "gas density"):
        mean = ranges.get(name, {}).get("mean", 1.0)
        if name == "dark density" and abs(mean - 1) > MEAN:
            notes.append(f"the mean of {name} is {mean:.4g}, not 1")
    if files[0].facts.cell is None:
        notes.append("the size of a cell is not stated, so no absorption and no oracle")
    return notes


def text(report: dict[str, Any]) -> list[str]:
    """The report for people."""
    cells = ", ".join(f"{n}^3" for n in report["cells"])
    return [
        *head_lines(report, "boxes"), line("cells", cells),
        line("cell, Mpc/h", number(report["cell"])), line("redshift", number(report["redshift"])),
        line("boxes with gas", f"{report['boxes_with_gas']:,}"),
        range_header(),
        *(range_line(name, values) for name, values in report["fields"].items()),
        *problem_lines(report, "cubes, finite, densities and temperatures of 0 and more"),
    ]  # fmt: skip


def _picture(dark: np.ndarray, gas: np.ndarray | None) -> Any:
    from hepjax.report import maps

    shown = [("dark matter", dark[0])] + ([("gas", gas[0])] if gas is not None else [])
    return maps.pictures(
        [[field.mean(axis) for axis in range(3)] for _, field in shown], [n for n, _ in shown],
        ["along x", "along y", "along z"],
        [("y [cells]", "z [cells]"), ("x [cells]", "z [cells]"), ("x [cells]", "y [cells]")],
        "density", f"mean density of {dark.shape[-1]}^3 cells", decades=2,
    )  # fmt: skip
