"""The picture of ``hepjax inspect --plot``: mean images by class, pT spectra; needs ``plot``."""

from pathlib import Path
from typing import Any

import numpy as np

from hepjax.formats.atomic import write_bytes
from hepjax.physics.jets.displays import by_channel
from hepjax.report.layout import WIDTH, png, style

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
SPECTRUM = 3.0
"""Inches below the images."""


def draw(
    report: dict[str, Any],
    means: dict[int, list[np.ndarray]],
    path: Path,
) -> None:
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
    with style():
        figure = by_channel(
            planes, names, titles, tuple(report["shape"][:2]), _caption(report),
            below=SPECTRUM if report["pt_spectrum"] else 0.0,
        )  # fmt: skip
        if report["pt_spectrum"]:
            height = figure.get_figheight()
            place = (0.75 / WIDTH, 0.65 / height, 6.0 / WIDTH, (SPECTRUM - 0.9) / height)
            axis = figure.add_axes(place)
            edges = np.array(report["pt_spectrum"]["edges_gev"])
            counts = report["pt_spectrum"]["events"].values()
            for events, name, colour in zip(counts, names, COLOURS, strict=False):
                axis.stairs(events, edges, color=colour, lw=1.7, label=name)
            axis.set(xlabel="pT [GeV]", ylabel="events", xlim=(edges[0], edges[-1]))
            axis.set_yscale("log")
            axis.set_ylim(bottom=0.5)
            axis.legend(frameon=False)
        picture = png(figure)
    write_bytes(path, picture)


def _caption(report: dict[str, Any]) -> str:
    names = [Path(file["path"]).name for file in report["files"]]
    sample = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    return f"{sample}: mean |value| of {report['events']:,} events"
