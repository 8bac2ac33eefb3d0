"""The picture of ``hepjax inspect --plot`` on particle-flow events; needs ``plot``."""

from pathlib import Path
from typing import Any

import numpy as np

from hepjax.formats.atomic import write_bytes
from hepjax.report.layout import EDGE, LINE, WIDTH, Axes, Figure, head, png, style

COLOURS = (LINE, "#009e73", "#e69f00", EDGE, "#cc79a7")
"""Of the classes 1 to 5; Okabe-Ito, distinct for colour-blind readers."""
HEIGHT = 8.6
"""Inches."""
SHORT = ("none", "ch. had.", "n. had.", "photon", "electron", "muon")


def draw(report: dict[str, Any], path: Path) -> None:
    """Elements an event, spectra of elements and targets, and rule-based particle flow.

    Args:
      report: of ``inspect``.
    """
    spectra = report["spectra"]
    with style():
        figure = Figure(figsize=(WIDTH, HEIGHT))
        grid = figure.add_gridspec(
            2, 3, left=0.065, right=0.985, top=0.91, bottom=0.11, wspace=0.27, hspace=0.36
        )
        number, pt, eta, classes, target, confusion = (
            figure.add_subplot(grid[k]) for k in range(6)
        )
        number.stairs(spectra["elements"]["events"], spectra["elements"]["edges"], color=EDGE)
        number.set(xlabel="elements", ylabel="events")
        edges = np.array(spectra["pt_edges_gev"])
        _steps(pt, spectra["element_pt"], edges, report["events"], (EDGE, LINE))
        pt.set(xlabel="pT or ET [GeV]", ylabel="elements / event", xscale="log", yscale="log")
        _steps(eta, spectra["element_eta"], spectra["eta_edges"], report["events"], (EDGE, LINE))
        eta.set(xlabel="$\\eta$", ylabel="elements / event")
        _bars(classes, report["classes"])
        _steps(target, spectra["target_pt"], edges, report["events"], COLOURS)
        target.set(xlabel="true pT [GeV]", ylabel="particles / event", xscale="log", yscale="log")
        _matrix(confusion, np.array(report["confusion"], float))
        head(figure, _caption(report))
        picture = png(figure)
    write_bytes(path, picture)


def _caption(report: dict[str, Any]) -> str:
    names = [Path(file["path"]).name for file in report["files"]]
    sample = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    mean = report["elements_per_event"]["mean"]
    return f"{sample}: {report['events']:,} events of {mean:,.0f} elements on average"


def _steps(
    axis: Axes, counts: dict[str, list[int]], edges: Any, events: int, colours: tuple[str, ...]
) -> None:
    for (name, values), colour in zip(counts.items(), colours, strict=True):
        axis.stairs(np.array(values) / events, edges, label=name, color=colour, lw=1.7)
    axis.legend(frameon=False, fontsize=10)


def _bars(axis: Axes, classes: dict[str, list[dict[str, Any]]]) -> None:
    """Elements of each class, true and rule-based."""
    place = np.arange(len(SHORT))
    for shift, (key, label, colour) in zip(
        (-0.2, 0.2), (("ygen", "true", EDGE), ("ycand", "rule-based", LINE)), strict=True
    ):
        heights = [row["per_event"] for row in classes[key]]
        axis.bar(place + shift, heights, 0.4, label=label, color=colour)
    axis.set_xticks(place, SHORT, rotation=30)
    axis.minorticks_off()
    axis.set(ylabel="elements / event", yscale="log")
    axis.legend(frameon=False, fontsize=10)


def _matrix(axis: Axes, confusion: np.ndarray) -> None:
    """Share of each true class by rule-based class."""
    share = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        colour = "white" if value > 0.5 else "black"
        axis.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=9)
    axis.set_xticks(range(len(SHORT)), SHORT, rotation=30)
    axis.set_yticks(range(len(SHORT)), SHORT)
    axis.minorticks_off()
    axis.set(xlabel="rule-based class, share of each true class")
