"""What is in files of trigger events: task, classes, ranges of inputs; and their distributions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.files import as_paths
from hepjax.formats.trigger.tables import list_tables, read_events, task_of
from hepjax.formats.trigger.tasks import TASKS
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

MOST = 20
"""Inputs that are listed and drawn."""


def inspect(
    paths: str | Path | Sequence[str | Path], plot: str | Path | None = None,
    *, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Everything ``hepjax inspect`` prints, as one dictionary ready for JSON.

    Raises:
      InputError: see ``tables.read_events``; or files of several tasks.
    """
    files = list_tables(as_paths(paths))
    names = {task_of(path) for path in files}
    name = names.pop()
    if names or name is None:
        raise InputError(f"{files[0]}: expected files of one trigger task, found several kinds")
    task = TASKS[name]
    with progress("inspect", len(files), "files") as advance:
        events = read_events(files, task)
        advance(len(files))
    counts = None
    if events.label is not None:
        number = np.bincount(events.label, minlength=len(task.classes))
        counts = dict(zip(task.classes, number.tolist(), strict=True))
    if plot is not None:
        save_picture(lambda: _picture(name, events.inputs, events.label), Path(plot))
    return {
        "layout": f"trigger, {name}", "events": len(events.inputs),
        "files": [{"path": str(p)} for p in files], "task": name,
        "classes": counts,
        "inputs": {
            n: value_range(events.inputs[:, k]) for k, n in enumerate(task.inputs)
        },
        "units": {n: task.unit(n) for n in task.inputs}, "checks": {},
        "problems": [] if counts is not None else ["the events have no column class"],
    }  # fmt: skip


def text(report: dict[str, Any]) -> list[str]:
    """The report for people."""
    lines = list(head_lines(report, "events"))
    if report["classes"] is not None:
        lines.append(line("classes", ", ".join(f"{n} {k:,}" for n, k in report["classes"].items())))
    lines.append(range_header())
    for name, values in list(report["inputs"].items())[:MOST]:
        unit = report["units"][name]
        lines.append(range_line(name if unit == "1" else f"{name}, {unit}", values))
    if len(report["inputs"]) > MOST:
        lines.append(line("and", f"{len(report['inputs']) - MOST} more inputs"))
    return [*lines, *problem_lines(report, "finite numbers, known classes")]


def _picture(name: str, inputs: np.ndarray, label: np.ndarray | None) -> Any:
    from hepjax.report import layout

    task = TASKS[name]
    shown = min(len(task.inputs), MOST)
    figure, grid = layout.panel_grid(shown, 4, [1.8])
    for k, (axis,) in enumerate(grid):
        values = inputs[:, k]
        low, high = np.quantile(values, [0.002, 0.998])
        edges = np.linspace(low, max(high, low + 1e-6), 41)
        kinds = [("", np.ones(len(values), bool))] if label is None else [
            (c, label == number) for number, c in enumerate(task.classes)
        ]  # fmt: skip
        for title, which in kinds:
            if which.any():
                axis.hist(
                    values[which],
                    edges.tolist(),
                    histtype="step",
                    density=True,
                    label=title,
                    lw=1.3,
                )
        unit = task.unit(task.inputs[k])
        axis.set_xlabel(task.inputs[k] if unit == "1" else f"{task.inputs[k]} [{unit}]")
        axis.set_yticks([])
    if label is not None:
        grid[0][0].legend(frameon=False, fontsize=9)
    layout.head(figure, f"{len(inputs):,} events")
    return figure
