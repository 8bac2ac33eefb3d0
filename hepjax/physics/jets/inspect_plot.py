"""The picture of ``hepjax inspect --plot``: mean images by class, pT spectra; needs ``plot``."""

from typing import Any

import numpy as np

from hepjax.physics.jets.displays import by_channel
from hepjax.report.inspection import caption
from hepjax.report.layout import Figure, axes_at

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
SPECTRUM = 3.0
"""Inches below the images."""


def draw(report: dict[str, Any], means: dict[int, list[np.ndarray]]) -> Figure:
    """Mean |value| of each channel and class, and the spectra.

    Args:
      report: of ``inspect``.
      means: by label a picture a channel; of images with a depth the sum over it is drawn.
    """
    labels = report["labels"] or {}
    names = [labels[str(k)]["name"] or f"label {k}" for k in means] if labels else ["all events"]
    planes = [[p.sum(-1) if p.ndim == 3 else p for p in pictures] for pictures in means.values()]
    titles = [
        c["name"] + (f" [{c['unit']}]" if c["unit"] != "1" else "") for c in report["channels"]
    ]
    figure = by_channel(
        planes, names, titles, tuple(report["shape"][:2]),
        caption(report, f"mean |value| of {report['events']:,} events"),
        below=SPECTRUM if report["pt_spectrum"] else 0.0,
    )  # fmt: skip
    if report["pt_spectrum"]:
        axis = axes_at(figure, 0.75, figure.get_figheight() - SPECTRUM + 0.25, 6.0, SPECTRUM - 0.9)
        edges = np.array(report["pt_spectrum"]["edges_gev"])
        counts = report["pt_spectrum"]["events"].values()
        for events, name, colour in zip(counts, names, COLOURS, strict=False):
            axis.stairs(events, edges, color=colour, lw=1.7, label=name)
        axis.set(xlabel="pT [GeV]", ylabel="events", xlim=(edges[0], edges[-1]))
        axis.set_yscale("log")
        axis.set_ylim(bottom=0.5)
        axis.legend(frameon=False)
    return figure
