"""One comparison a figure, for galleries: two histograms with their ratio, or two pictures."""

from collections.abc import Sequence

import numpy as np

from hepjax.report import layout, maps, plots

# After the layout, which says how to get matplotlib where it is missing.
from matplotlib.colors import LogNorm, Normalize  # isort: skip

SIZE = (7.0, 5.2)
"""Inches."""
DECADES = 4.0
"""How far below the maximum the colours of pictures reach."""


def histograms(
    panel: plots.Panel, labels: tuple[str, str], ylabel: str, text: str, scale: str
) -> layout.Figure:
    """Both histograms above, their ratio below.

    Args:
      text: what and where, in the first line.
      scale: ``linear``, ``log`` or ``zoom``, see ``plots.overlay``.
    """
    figure = layout.Figure(figsize=SIZE)
    above = figure.add_axes((0.13, 0.34, 0.84, 0.5))
    below = figure.add_axes((0.13, 0.12, 0.84, 0.19), sharex=above)
    plots.draw_pair(above, panel, scale)
    plots.draw_ratio(below, panel)
    above.tick_params(labelbottom=False)
    above.set_ylabel(ylabel)
    below.set_ylabel("ratio", loc="center")
    below.set_xlabel(panel.xlabel)
    if panel.note:
        plots.note(above, panel.note)
    _head(figure, text, labels)
    return figure


def pictures(
    reference: np.ndarray, generated: np.ndarray, labels: tuple[str, str],
    axis_labels: tuple[str, str], colour_label: str, text: str,
) -> layout.Figure:  # fmt: skip
    """Two mean pictures side by side with one logarithmic colour scale."""
    figure = layout.Figure(figsize=SIZE)
    peak = max(float(reference.max()), float(generated.max())) or 1.0
    norm: Normalize = LogNorm(peak / 10**DECADES, peak)
    for k, (picture, label) in enumerate(zip((reference, generated), labels, strict=True)):
        axis = figure.add_axes((0.09 + 0.42 * k, 0.13, 0.35, 0.65))
        drawn = maps.image(axis, maps.positive(picture).T, norm)
        axis.set_title(label)
        axis.set_xlabel(axis_labels[0], loc="center")
        axis.set_ylabel(axis_labels[1], loc="center", labelpad=1)
    bar = figure.add_axes((0.885, 0.13, 0.02, 0.65))
    figure.colorbar(drawn, cax=bar).set_label(colour_label, loc="center")
    _head(figure, text)
    return figure


def matrix(
    difference: np.ndarray, names: Sequence[str], colour_label: str, text: str
) -> layout.Figure:
    """A square matrix between -1 and 1 as colours."""
    figure = layout.Figure(figsize=SIZE)
    axis = figure.add_axes((0.16, 0.16, 0.6, 0.68))
    drawn = axis.imshow(difference, vmin=-1, vmax=1, cmap="RdBu_r", aspect="auto")
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=10)
    axis.set_yticks(range(len(names)), names, fontsize=10)
    axis.minorticks_off()
    axis.tick_params(length=0)
    bar = figure.add_axes((0.8, 0.16, 0.025, 0.68))
    figure.colorbar(drawn, cax=bar).set_label(colour_label, loc="center")
    _head(figure, text)
    return figure


def _head(figure: layout.Figure, text: str, labels: tuple[str, str] | None = None) -> None:
    figure.text(0.02, 0.955, text, fontsize=12.5, fontweight="bold", va="center")
    if labels is not None:
        figure.legend(
            handles=layout.pair_handles(labels), loc="center left", ncols=2, frameon=False,
            borderaxespad=0, bbox_to_anchor=(0.02, 0.895), fontsize=11,
        )  # fmt: skip
