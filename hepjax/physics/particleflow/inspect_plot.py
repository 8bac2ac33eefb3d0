"""The picture of ``hepjax inspect --plot`` on particle-flow events; needs ``plot``."""

from typing import Any

import numpy as np

from hepjax.physics.particleflow.drawing import SHORT
from hepjax.report import confusion
from hepjax.report.inspection import caption
from hepjax.report.layout import EDGE, LINE, WIDTH, Axes, Figure, head

COLOURS = (LINE, "#009e73", "#e69f00", EDGE, "#cc79a7")
"""Of the classes 1 to 5; Okabe-Ito, distinct for colour-blind readers."""
HEIGHT = 8.6
"""Inches."""


def draw(report: dict[str, Any]) -> Figure:
    """Elements an event, spectra of elements and targets, and rule-based particle flow.

    Args:
      report: of ``inspect``.
    """
    spectra = report["spectra"]
    figure = Figure(figsize=(WIDTH, HEIGHT))
    grid = figure.add_gridspec(
        2, 3, left=0.065, right=0.985, top=0.91, bottom=0.11, wspace=0.27, hspace=0.36
    )
    number, pt, eta, classes, target, matrix = (figure.add_subplot(grid[k]) for k in range(6))
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
    confusion.draw(matrix, np.array(report["confusion"], float), SHORT, digits=2, size=9)
    matrix.set_aspect("auto")
    matrix.set(xlabel="rule-based class, share of each true class")
    mean = report["elements_per_event"]["mean"]
    text = f"{report['events']:,} events of {mean:,.0f} elements on average"
    head(figure, caption(report, text))
    return figure


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
