"""Runs side by side: what became of each, the settings that differ, and their curves."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.engine import provenance, records, rundir
from hepjax.engine.settings import flatten
from hepjax.formats.files import inside
from hepjax.workloads import table

DEEPEST = 4
"""Folders inside folders in which runs are looked for."""
NEVER = ("checkpoints", "report", "figures")
"""Folders of runs that hold no runs."""


@dataclass(frozen=True)
class Course:
    """What a run directory tells, read without its checkpoints."""

    name: str
    """Relative to the folder that was asked for."""
    settings: dict[str, Any]
    """By their path, ``workload`` among them."""
    metric: str
    history: list[dict[str, Any]]
    about: dict[str, Any]

    @property
    def curve(self) -> list[tuple[float, float]]:
        """(epoch, score) of each validation; of a population the best member."""
        found = []
        for row in self.history:
            if row.get("event") == "validation" and row.get(self.metric) is not None:
                values = np.atleast_1d(np.array(row[self.metric], float))
                finite = values[np.isfinite(values)].tolist()
                if finite:
                    found.append((float(row["epoch"]), min(finite)))
        return found

    @property
    def best(self) -> tuple[float, float] | None:
        """(epoch, score) of the best validation."""
        return min(self.curve, key=lambda pair: (pair[1], pair[0]), default=None)

    def last(self, name: str) -> Any:
        """The newest value of a number in the records."""
        return next((r[name] for r in reversed(self.history) if r.get(name) is not None), None)

    @property
    def seconds(self) -> float | None:
        """Time spent, over all sessions."""
        found = self.about.get("goodput", {})
        return found.get("seconds") if isinstance(found, dict) else None


def find(folder: Path) -> list[Path]:
    """The run directories in a folder, or the folder itself, sorted.

    Raises:
      InputError: there is none.
    """
    found = list(_found(folder, 0))
    if not found:
        raise InputError(f"{folder}: expected run directories in this folder, found none")
    return sorted(found)


def _found(folder: Path, depth: int) -> list[Path]:
    if (folder / "config.yaml").is_file() and (
        (folder / "checkpoints").is_dir() or (folder / "metrics.jsonl").is_file()
    ):
        return [folder]
    if depth > DEEPEST or folder.name in NEVER or not folder.is_dir():
        return []
    return [
        run for path in inside(folder) if path.is_dir() and not path.is_symlink()
        for run in _found(path, depth + 1)
    ]  # fmt: skip


def course(run: Path, root: Path) -> Course:
    """Read what a run tells.

    Raises:
      InputError: it is damaged.
    """
    settings = rundir.read_settings(run)
    try:
        metric = table.get(settings["workload"]).score
    except InputError:  # of a package that is not installed here
        metric = "loss"
    return Course(
        os.path.relpath(run, root) if run != root else run.name, flatten(settings), metric,
        records.read(run / "metrics.jsonl"), provenance.read_about(run),
    )  # fmt: skip


def differing(courses: Sequence[Course]) -> list[str]:
    """Settings that are not the same in all runs that have them, sorted; the workload first."""
    keys = {key for c in courses for key in c.settings}
    found = [
        key for key in keys
        if len({repr(c.settings.get(key)) for c in courses}) > 1
    ]  # fmt: skip
    return sorted(found, key=lambda key: (key != "workload", key))


def summary(courses: Sequence[Course], now: float | None = None) -> list[dict[str, Any]]:
    """One row a run, the best score of each workload first."""
    rows = []
    for c in courses:
        best = c.best or (None, None)
        seen = c.last("time")
        rows.append(
            {
                "run": c.name, "workload": c.settings.get("workload"), "metric": c.metric,
                "best": best[1], "best_epoch": best[0], "epochs": c.last("epoch") or 0.0,
                "updates": c.last("step") or 0, "events_per_second": c.last("events_per_second"),
                "seconds": c.seconds,
                "hours_since": None if seen is None else ((now or time.time()) - seen) / 3600,
                "seed": c.settings.get("train.seed"),
            }
        )  # fmt: skip
    return sorted(rows, key=lambda r: (str(r["workload"]), _or_inf(r["best"]), r["run"]))


def _or_inf(value: float | None) -> float:
    return math.inf if value is None else value


def write_page(courses: Sequence[Course], out: Path) -> None:
    """Write a page with the table, the settings that differ and the curves into ``out``.

    Raises:
      MissingExtraError: without the extra ``plot``.
      InputError: it cannot be written.
    """
    from hepjax.report import document, page

    rows = summary(courses)
    head = ("run", "workload", "best", "at epoch", "epochs", "updates", "events/s")
    cells = [
        (
            r["run"], str(r["workload"]),
            "-" if r["best"] is None else f"{r['metric']} {r['best']:.5g}",
            _shown(r["best_epoch"]), _shown(r["epochs"]), str(r["updates"]),
            _shown(r["events_per_second"]),
        )
        for r in rows
    ]  # fmt: skip
    keys = differing(courses)
    settings = [(key, *(_shown(c.settings.get(key)) for c in courses)) for key in keys]
    names = [c.name for c in courses]
    sections: list[tuple[str, Any]] = [
        ("Runs", [page.table(head, cells)]),
        ("Settings that differ", [page.table(("setting", *names), settings)]),
    ]
    if any(len(c.curve) for c in courses):
        drawing = document.Drawing(
            "curves", "Validation scores", "The score that chooses the best epoch (lower is "
            "better) against epoch; a line is a run.", _curves(courses),
        )  # fmt: skip
        sections.append(("Curves", [drawing]))
    best = next((r for r in rows if r["best"] is not None), None)
    verdict = (
        "no run has a validation score" if best is None
        else f"best {best['metric']} {best['best']:.5g} in {best['run']}"
    )  # fmt: skip
    report = document.Report(
        "Runs", f"{len(courses)} run directories", verdict, {"runs": rows}, sections
    )
    document.write_report(report, out)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _curves(courses: Sequence[Course]) -> Any:
    from hepjax.report import layout

    metrics = sorted({c.metric for c in courses if c.curve})
    figure, grid = layout.panel_grid(len(metrics), layout.columns_for(len(metrics)), [3.0])
    for metric, (axis,) in zip(metrics, grid, strict=True):
        some = [c for c in courses if c.metric == metric and c.curve]
        for c in some:
            x, y = np.array(c.curve).T
            axis.plot(x, y, marker=".", label=c.name)
        axis.set_xlabel("epoch")
        axis.set_ylabel(metric)
        if min(y for c in some for _, y in c.curve) > 0:
            axis.set_yscale("log")
        axis.legend(fontsize=9)
    layout.head(figure, f"{len(courses)} runs")
    return figure
