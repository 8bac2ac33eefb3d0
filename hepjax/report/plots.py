"""Plots that compare two samples: a filled reference, a line for the other, their ratio below.

Knows histograms and curves, no workload. Needs the ``plot`` extra.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepjax import MissingExtraError
from hepjax.report.layout import (
    EDGE,
    FILL,
    LINE,
    Axes,
    Figure,
    columns_for,
    head,
    mplhep,
    pair_handles,
    panel_grid,
)

try:
    import hist
except ImportError as error:
    raise MissingExtraError("plots", "plot") from error

RATIO_RANGES = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Half ranges of ratio panels around 1; the smallest that holds most points is taken."""


@dataclass(frozen=True)
class Panel:
    """One comparison: the same axis for two histograms, and what to write on it.

    ``note`` stands in the upper right corner, for example a p-value.
    """

    title: str
    xlabel: str
    reference: "hist.Hist"
    generated: "hist.Hist"
    note: str = ""


def distribution(values: np.ndarray, edges: np.ndarray) -> "hist.Hist":
    """Share of the events in each bin, with the statistical error of the counts.

    Events outside ``edges`` are counted in the total, not drawn.
    """
    counts = np.histogram(np.asarray(values, float), edges)[0]
    total = max(len(values), 1)
    return from_values(edges, counts / total, counts / total**2)


def profile(position: np.ndarray, values: np.ndarray, edges: np.ndarray) -> "hist.Hist":
    """Mean of ``values`` in bins of ``position`` with the error of the mean; NaN without events."""
    # The last bin holds its upper edge too, as in np.histogram.
    index = np.where(position == edges[-1], len(edges) - 2, np.digitize(position, edges) - 1)
    inside = (index >= 0) & (index < len(edges) - 1)
    index, values = index[inside], np.asarray(values, float)[inside]
    size = len(edges) - 1
    count = np.bincount(index, minlength=size).astype(float)
    count[count == 0] = np.nan
    mean = np.bincount(index, values, size) / count
    variance = np.maximum(np.bincount(index, values**2, size) / count - mean**2, 0.0)
    return from_values(edges, mean, variance / count)


def mean_of(rows: np.ndarray, edges: np.ndarray) -> "hist.Hist":
    """Mean of ``rows`` (events, bins) over the events, with the error of the mean."""
    rows = np.asarray(rows, float)
    return from_values(edges, rows.mean(0), rows.var(0) / len(rows))


def from_values(edges: np.ndarray, values: np.ndarray, variances: np.ndarray) -> "hist.Hist":
    """A histogram with these contents."""
    filled = hist.Hist(hist.axis.Variable(edges), storage=hist.storage.Weight())
    filled.view().value, filled.view().variance = values, variances
    return filled


def overlay(
    panels: Sequence[Panel], labels: tuple[str, str], ylabel: str, text: str, *,
    scales: Sequence[str] = ("linear",), columns: int | None = None,
) -> Figure:  # fmt: skip
    """Panels of two histograms each, their ratio with its statistical error below.

    Args:
      labels: of the reference and the other sample.
      text: what the figure is about, next to the experiment label; for example the sample size.
      scales: one drawing per y scale above the ratio: ``linear``, ``log``, or ``zoom``, which is
        linear around the values, without zero, for means.
    """
    heights = [2.3 if len(scales) == 1 else 1.8] * len(scales) + [0.85]
    columns = columns or columns_for(len(panels))
    figure, grid = panel_grid(len(panels), columns, heights)
    for k, (panel, axes) in enumerate(zip(panels, grid, strict=True)):
        for axis, scale in zip(axes[:-1], scales, strict=True):
            draw_pair(axis, panel, scale)
        draw_ratio(axes[-1], panel)
        axes[0].set_title(panel.title)
        axes[-1].set_xlabel(panel.xlabel, labelpad=2)
        if panel.note:
            note(axes[0], panel.note)
        if k % columns == 0:
            axes[0].set_ylabel(ylabel)
            axes[-1].set_ylabel("ratio", loc="center")
    head(figure, text, pair_handles(labels))
    return figure


def bands(
    curves: dict[str, tuple[np.ndarray, np.ndarray]], x: np.ndarray,
    labels: tuple[str, str], xlabel: str, ylabel: str, text: str,
) -> Figure:  # fmt: skip
    """Mean curves with a band of one standard deviation.

    Args:
      curves: by title of the panel the rows (events, x) of both samples.
    """
    columns = columns_for(len(curves))
    figure, grid = panel_grid(len(curves), columns, [2.6])
    for k, ((title, pair), (axis,)) in enumerate(zip(curves.items(), grid, strict=True)):
        (mean_r, spread_r), (mean_g, spread_g) = ((np.mean(p, 0), np.std(p, 0)) for p in pair)
        axis.fill_between(x, mean_r - spread_r, mean_r + spread_r, color=FILL, lw=0)
        axis.plot(x, mean_r, color=EDGE, lw=1.8)
        axis.plot(x, mean_g, color=LINE, lw=1.8)
        for edge in (mean_g - spread_g, mean_g + spread_g):
            axis.plot(x, edge, ":", color=LINE, lw=1.6)
        axis.set_title(title)
        axis.set_xlabel(xlabel)
        axis.set_ylim(bottom=0)
        if k % columns == 0:
            axis.set_ylabel(ylabel)
    head(figure, text, pair_handles(labels))
    return figure


def lines(
    panels: Sequence[tuple[str, Sequence[tuple[str, np.ndarray, np.ndarray]], str]],
    xlabel: str, text: str, *, marked: float | None = None,
) -> Figure:  # fmt: skip
    """Panels of (title, [(label, x, y)], y scale) with one x axis; a dashed line at ``marked``."""
    figure, grid = panel_grid(len(panels), min(len(panels), 3), [2.6])
    for (title, curves, scale), (axis,) in zip(panels, grid, strict=True):
        for (label, x, y), colour in zip(curves, (EDGE, LINE, "#009e73", "#cc79a7"), strict=False):
            axis.plot(x, y, marker="o", ms=3.5, lw=1.6, color=colour, label=label)
        if marked is not None:
            axis.axvline(marked, color="0.45", ls="--", lw=1.2)
        axis.set_yscale(scale)
        axis.set_title(title)
        axis.set_xlabel(xlabel)
        axis.margins(x=0.03, y=0.25)
        axis.legend(frameon=False, fontsize=11)
    head(figure, text)
    return figure


def points(
    axis: Axes, low: np.ndarray, high: np.ndarray, values: np.ndarray,
    errors: np.ndarray | None = None, *, centre: np.ndarray | None = None, **style: Any,
) -> None:  # fmt: skip
    """Values with errors over the width of their bins; bins that are NaN stay blank.

    Args:
      centre: where to draw the points, by default the middle of the bins.
    """
    known = np.isfinite(values)
    if not known.any():
        return
    centre = (low + high) / 2 if centre is None else centre
    width = (centre - low)[known], (high - centre)[known]
    axis.errorbar(
        centre[known], values[known], None if errors is None else errors[known], width,
        **({"fmt": "o"} | style),
    )  # fmt: skip


def draw_pair(axis: Axes, panel: Panel, scale: str) -> None:
    """Both histograms of a panel with their errors; ``scale`` as in ``overlay``."""
    edges = panel.reference.axes[0].edges
    r, g = panel.reference.values(), panel.generated.values()
    error_r, error_g = (np.sqrt(h.variances()) for h in (panel.reference, panel.generated))
    if scale == "zoom":
        axis.stairs(r, edges, baseline=None, color=EDGE, lw=1.2)
    else:
        mplhep.histplot(r, edges, ax=axis, histtype="fill", color=FILL, edgecolor=EDGE, lw=1.0)
    axis.stairs(r + error_r, edges, baseline=r - error_r, fill=True, color=EDGE, alpha=0.35, lw=0)
    axis.stairs(g, edges, baseline=None if scale == "zoom" else 0, color=LINE, lw=1.7)
    centres = (edges[1:] + edges[:-1]) / 2
    axis.errorbar(centres, g, error_g, fmt="none", ecolor=LINE, elinewidth=1.1)
    axis.set_xlim(edges[0], edges[-1])
    both = np.concatenate([r, g])
    both = both[np.isfinite(both) & (both > 0)]
    if both.size == 0:
        return
    low, top = both.min(), np.nanmax(np.concatenate([r + error_r, g + error_g]))
    if scale == "log":
        low = max(low, top * 1e-6)
        axis.set_yscale("log")
        axis.set_ylim(low / 2, top * (top / low) ** 0.15 * 2)
    elif scale == "zoom":
        margin = max(top - low, 0.1 * top)
        axis.set_ylim(max(low - margin, 0.0), top + margin)
    else:
        axis.set_ylim(0, (1.45 if panel.note else 1.2) * top)


def draw_ratio(axis: Axes, panel: Panel) -> None:
    """The ratio of both histograms with its error, around 1."""
    edges = panel.reference.axes[0].edges
    centres = (edges[1:] + edges[:-1]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        band = np.sqrt(panel.reference.variances()) / panel.reference.values()
        ratio = panel.generated.values() / panel.reference.values()
        error = np.sqrt(panel.generated.variances()) / panel.reference.values()
    shown = np.isfinite(ratio) & np.isfinite(band) & (band < 1) & (error < 1)
    off = np.abs(ratio[shown] - 1)
    reach = next((r for r in RATIO_RANGES if off.size and np.quantile(off, 0.8) <= 0.85 * r), 1.0)
    low, high = 1 - reach, 1 + reach
    band = np.where(shown, band, 0)
    axis.stairs(1 + band, edges, baseline=1 - band, fill=True, color=EDGE, alpha=0.3, lw=0)
    axis.axhline(1, color="0.35", lw=0.9)
    inside = shown & (ratio >= low) & (ratio <= high)
    axis.errorbar(
        centres[inside], ratio[inside], error[inside], fmt="o", ms=3, color=LINE, elinewidth=1
    )
    # Points beyond the panel show as arrows at its edge.
    for beyond, marker, at in ((ratio > high, "^", 0.93), (ratio < low, "v", 0.07)):
        where = centres[shown & beyond]
        axis.plot(
            where, np.full(len(where), at), marker, ms=5, color=LINE, mfc="none",
            transform=axis.get_xaxis_transform(),
        )  # fmt: skip
    axis.set_ylim(low, high)
    axis.set_yticks([1 - reach / 2, 1, 1 + reach / 2])
    axis.minorticks_on()


def note(axis: Axes, text: str) -> None:
    """Small text in the upper right corner."""
    axis.text(
        0.97, 0.95, text, transform=axis.transAxes, ha="right", va="top", size=10.5, color="0.25"
    )
