"""The report on parameters of universes: errors, beside guessing the middle of the range."""

from collections.abc import Iterator

import numpy as np

from hepjax.formats.fields.cosmoflow import NAMES
from hepjax.report import layout, page
from hepjax.report.curves import LOSS, validation
from hepjax.report.document import Drawing, Parts, Report

GOAL = 0.124
"""Mean absolute error of MLPerf HPC, for 128^3 cells and half a million samples."""


def report(true: np.ndarray, found: np.ndarray) -> Report:
    """The report on parameters (n, 4), true and found, from -1 to 1."""
    errors, guess = np.abs(found - true).mean(0), np.abs(true).mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = [float(np.nan_to_num(np.corrcoef(true[:, k], found[:, k])[0, 1])) for k in range(4)]
    scores = {
        "samples": len(true), "error": float(errors.mean()), "guess": float(guess.mean()),
        "errors": dict(zip(NAMES, map(float, errors), strict=True)),
        "correlations": dict(zip(NAMES, r, strict=True)),
    }  # fmt: skip
    words = (
        f"The mean absolute error is {errors.mean():.3f} in units of half the range; guessing the "
        f"middle has {guess.mean():.3f}. MLPerf HPC asks for {GOAL} of larger boxes and half a "
        "million samples."
    )

    def sections() -> Iterator[tuple[str, Parts]]:
        rows = [
            [name, f"{errors[k]:.4f}", f"{guess[k]:.4f}", f"{r[k]:.3f}"]
            for k, name in enumerate(NAMES)
        ]
        header = ["parameter", "error", "guessing the middle", "correlation"]
        yield "Scores", [page.table(header, rows)]
        yield "Parameters", lambda: [_scatter(true, found)]

    return Report(
        "Parameters of universes", f"{len(true):,} samples", words, scores, sections(),
        curves=(LOSS, validation("mean absolute error", ("error",))),
    )  # fmt: skip


def _scatter(true: np.ndarray, found: np.ndarray) -> Drawing:
    figure, grid = layout.panel_grid(len(NAMES), 4, [2.6])
    for k, (name, (axis,)) in enumerate(zip(NAMES, grid, strict=True)):
        axis.plot([-1, 1], [-1, 1], color="0.6", lw=1)
        axis.scatter(true[:, k], found[:, k], s=8, color=layout.EDGE, alpha=0.7)
        axis.set_title(name)
        axis.set_xlabel("true")
    layout.head(figure, "from -1 to 1 over the range")
    return Drawing("parameters", "Found against true", "On the line they are equal.", figure)
