"""What is in files for unfolding: events, weights, acceptance, ranges, checks; and a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepjax import InputError
from hepjax.formats.unfolding.npz import (
    FLAGS,
    LEVELS,
    WEIGHTS,
    Arrays,
    list_files,
    names_in,
    read_arrays,
)
from hepjax.physics.unfolding.observables import OF_JETS, label, needed, observable
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

if TYPE_CHECKING:
    from hepjax.report.layout import Figure

BINS = 50
MOST_PANELS = 9


def inspect(
    paths: str | Path | Sequence[str | Path], plot: str | Path | None = None,
    *, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Everything ``hepjax inspect`` prints, as one dictionary ready for JSON.

    Raises:
      InputError: see ``npz.read_arrays``; or no array of one number an event.
    """
    files = list_files(paths)
    there = names_in(files[0])
    levels = [level for level in LEVELS if any(_numbers(there, level))]
    names = list(dict.fromkeys(name for level in levels for name in _numbers(there, level)))
    if not names:
        raise InputError(
            f"{files[0]}: expected arrays gen_... and sim_..., found {', '.join(there)}"
        )
    wanted = [a for level in levels for n in names for a in needed((n,), there, level)]
    wanted = [name for name in dict.fromkeys(wanted) if name in there]
    parts = []
    with progress("inspect", len(files), "files") as advance:
        for path in files:
            parts.append(read_arrays([path], wanted))
            advance(1)
    arrays = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    if plot is not None:
        save_picture(lambda: _picture(arrays, names, levels), Path(plot))
    weights, problems, ranges = arrays[WEIGHTS], [], {}
    for level in levels:
        passed = arrays[f"{level}_pass"]
        for name in names:
            values = _values(arrays, name, level)
            if values is None:
                continue
            bad = int((~np.isfinite(values) & passed).sum())
            if bad:
                problems.append(f"{bad} events that pass have {level} {name} that is not finite")
            ranges[f"{level} {name}"] = value_range(values[passed & np.isfinite(values)])
    flags = {name: float(np.average(arrays[name], weights=weights)) for name in FLAGS}
    return {
        "layout": "unfolding npz", "events": len(weights),
        "files": [{"path": str(p)} for p in files], "levels": levels,
        "weights": value_range(weights), "passing": flags, "ranges": ranges,
        "particles": any(name.endswith("particles") for name in there),
        "checks": {}, "problems": problems,
    }  # fmt: skip


def text(report: dict[str, Any]) -> list[str]:
    """The report for people."""
    words = {"gen": "particle level", "sim": "detector level"}
    passing = ", ".join(
        f"{words[level]} {report['passing'][f'{level}_pass']:.1%}" for level in report["levels"]
    )
    return [
        *head_lines(report, "events"), line("passing", passing),
        line("lists of particles", "yes" if report["particles"] else "no"),
        range_header(), range_line("weights", report["weights"]),
        *(range_line(name, values) for name, values in report["ranges"].items()),
        *problem_lines(report, "weights, flags, finite numbers"),
    ]  # fmt: skip


def _numbers(there: list[str], level: str) -> list[str]:
    """Names of observables of a level: those of jets, or arrays of one number an event."""
    of_jets = [name for name in OF_JETS if set(needed((name,), there, level)) <= set(there)]
    used = {n for name in OF_JETS for n in OF_JETS[name].needs} | {"particles", "pass", "Zs"}
    plain = [n.partition("_")[2] for n in there if n.startswith(f"{level}_")]
    return of_jets + [n for n in plain if n not in used or n in of_jets]


def _values(arrays: Arrays, name: str, level: str) -> np.ndarray | None:
    """(n,) of an observable, None where its arrays are not there."""
    kind = observable(name, list(arrays), level)
    found = [arrays.get(f"{level}_{n}") for n in kind.needs]
    if any(a is None for a in found):
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        return kind.of(*found)


def _picture(arrays: Arrays, names: list[str], levels: list[str]) -> "Figure":
    from hepjax.report import layout, plots

    shown = names[:MOST_PANELS]
    figure, grid = layout.panel_grid(len(shown), 3, [2.4])
    for name, (axis,) in zip(shown, grid, strict=True):
        for level, colour in zip(levels, (plots.EDGE, plots.LINE), strict=False):
            values, passed = _values(arrays, name, level), arrays[f"{level}_pass"]
            if values is None or not passed.any():
                continue
            low, high = np.quantile(values[passed], [0.001, 0.999])
            edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
            counts = np.histogram(values[passed], edges, weights=arrays[WEIGHTS][passed])[0]
            axis.stairs(counts, edges, color=colour, lw=1.6, label=level)
        axis.set_xlabel(label(name))
        axis.set_ylim(bottom=0)
        axis.legend(frameon=False, fontsize=11)
    layout.head(figure, f"{len(arrays[WEIGHTS]):,} events, particle level (gen) and measured (sim)")
    return figure
