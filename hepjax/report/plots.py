"""Plots that compare two samples: a filled reference, a line for the other, their ratio below.

Knows histograms, curves and pictures, no workload. Needs the ``plot`` extra.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepjax.errors import MissingExtra

try:
    import hist
    import matplotlib
    import matplotlib.style
    import mplhep
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtra("plots", "plot") from error

FILL, EDGE, LINE = "#bcd9ee", "#0072b2", "#d55e00"
"""Reference fill and edge, and the other sample: Okabe-Ito, distinct for colour-blind readers."""
WIDTH = 13.2
"""Inches; every figure of a page has this width, so that fonts come out alike."""
DPI = 110
RATIO_RANGES = (0.2, 0.5, 1.0)
"""Half ranges of ratio panels around 1; the smallest that holds most points is taken."""
RC = {
    "font.size": 12, "axes.labelsize": 12, "axes.titlesize": 12, "legend.fontsize": 12,
    "xtick.labelsize": 11, "ytick.labelsize": 11, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "xaxis.labellocation": "right", "yaxis.labellocation": "top",
    "figure.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": DPI,
    "axes.formatter.limits": (-3, 4), "axes.formatter.use_mathtext": True, "axes.linewidth": 1.0,
    "xtick.major.size": 6, "ytick.major.size": 6, "xtick.minor.size": 3, "ytick.minor.size": 3,
}  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """One comparison: the same axis for two histograms, and what to write on it.

    ``note`` stands in the upper right corner, for example a p-value.
    """

    title: str
    reference: "hist.Hist"
    generated: "hist.Hist"
    note: str = ""


@contextmanager
def style() -> Iterator[None]:
    """The mplhep style of all figures, sized for a page."""
    with matplotlib.style.context([mplhep.style.ATLAS, RC]):
        yield


def distribution(values: np.ndarray, edges: np.ndarray) -> "hist.Hist":
    """Share of the events in each bin, with the statistical error of the counts.

    Events outside ``edges`` are counted in the total, not drawn.
    """
    counts = np.histogram(np.asarray(values, float), edges)[0]
    total = max(len(values), 1)
    return from_values(edges, counts / total, counts / total**2)


def profile(position: np.ndarray, values: np.ndarray, edges: np.ndarray) -> "hist.Hist":
    """Mean of ``values`` in bins of ``position`` with the error of the mean; NaN without events."""
    index = np.digitize(position, edges) - 1
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
    panels: Sequence[Panel], labels: tuple[str, str], xlabel: str, ylabel: str, text: str,
    *, scales: Sequence[str] = ("linear",), columns: int | None = None,
) -> Figure:  # fmt: skip
    """Panels of two histograms each, their ratio with its statistical error below.

    Args:
      labels: of the reference and the other sample.
      text: what the figure is about, next to the experiment label; for example the sample size.
      scales: one drawing per y scale, ``linear`` and ``log``, above the ratio.
    """
    heights = [2.3 if len(scales) == 1 else 1.8] * len(scales) + [0.85]
    columns = columns or (4 if len(panels) > 6 else 3)
    figure, grid = panel_grid(len(panels), columns, heights, ylabel != "")
    for k, (panel, axes) in enumerate(zip(panels, grid, strict=True)):
        for axis, scale in zip(axes[:-1], scales, strict=True):
            _draw_pair(axis, panel, scale)
        _draw_ratio(axes[-1], panel)
        axes[0].set_title(panel.title, pad=5)
        axes[-1].set_xlabel(xlabel)
        if panel.note:
            _note(axes[0], panel.note)
        if k % columns == 0:
            axes[0].set_ylabel(ylabel)
            axes[-1].set_ylabel("ratio", loc="center")
    _head(figure, text)
    _legend(figure, labels)
    return figure


def bands(
    titles: Sequence[str], x: np.ndarray, curves: Sequence[tuple[np.ndarray, np.ndarray]],
    labels: tuple[str, str], xlabel: str, ylabel: str, text: str,
) -> Figure:  # fmt: skip
    """Mean curves with a band of one standard deviation.

    Args:
      curves: for each panel the rows (events, x) of both samples.
    """
    columns = 4 if len(titles) > 6 else 3
    figure, grid = panel_grid(len(titles), columns, [2.6], True)
    for k, (title, pair, (axis,)) in enumerate(zip(titles, curves, grid, strict=True)):
        for rows, fill, edge in zip(pair, (FILL, LINE), (EDGE, LINE), strict=True):
            mean, spread = np.mean(rows, 0), np.std(rows, 0)
            opacity = 0.9 if fill == FILL else 0.25
            axis.fill_between(x, mean - spread, mean + spread, color=fill, alpha=opacity, lw=0)
            axis.plot(x, mean, color=edge, lw=1.8)
        axis.set_title(title, pad=5)
        axis.set_xlabel(xlabel)
        axis.set_ylim(bottom=0)
        if k % columns == 0:
            axis.set_ylabel(ylabel)
    _head(figure, text)
    _legend(figure, labels)
    return figure


def pictures(
    rows: Sequence[Sequence[np.ndarray]], row_titles: Sequence[str], column_titles: Sequence[str],
    axis_labels: Sequence[tuple[str, str]], colour_label: str, text: str, *, decades: float = 4.0,
) -> Figure:  # fmt: skip
    """Two-dimensional maps (first index to the right) in a grid; one log colour scale for all.

    Args:
      axis_labels: (x, y) of each column.
      decades: how far below the maximum the colours reach; what lies lower stays white.
    """
    from matplotlib.colors import LogNorm

    columns = len(column_titles)
    left, right, top, gap = 0.95, 1.15, 1.0, 0.42
    size = (WIDTH - left - right - gap * (columns - 1)) / columns
    height = top + len(rows) * (size + 0.3) + 0.55
    figure = Figure(figsize=(WIDTH, height))
    peak = max(float(np.max(picture)) for row in rows for picture in row) or 1.0
    norm = LogNorm(peak / 10**decades, peak)
    image = None
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            bottom = height - top - (i + 1) * size - i * 0.3
            axis = figure.add_axes(
                (
                    (left + j * (size + gap)) / WIDTH,
                    bottom / height,
                    size / WIDTH,
                    size / height,
                )
            )
            image = axis.imshow(
                np.where(picture > 0, picture, np.nan).T,
                origin="lower", norm=norm, cmap="viridis", aspect="auto", interpolation="none",
            )  # fmt: skip
            axis.tick_params(labelsize=10, top=False, right=False, which="both", color="0.4")
            axis.set_ylabel(axis_labels[j][1], fontsize=11, labelpad=1, loc="center")
            if i == 0:
                axis.set_title(column_titles[j], pad=5)
            if i == len(rows) - 1:
                axis.set_xlabel(axis_labels[j][0], fontsize=11, loc="center")
            else:
                axis.set_xticklabels([])
            if j == 0:
                position = (0.22 / WIDTH, (bottom + size / 2) / height)
                figure.text(*position, row_titles[i], rotation=90, va="center", fontweight="bold")
    bar = figure.add_axes(
        ((WIDTH - 0.95) / WIDTH, 0.6 / height, 0.18 / WIDTH, 1 - (top + 0.6) / height)
    )
    if image is not None:
        figure.colorbar(image, cax=bar).set_label(colour_label, fontsize=12)
    _head(figure, text)
    return figure


def matrices(
    values: Sequence[np.ndarray], titles: Sequence[str], names: Sequence[str], text: str
) -> Figure:
    """Square matrices of correlations with their values in percent, from -1 to 1."""
    left, top, bottom, gap = 0.75, 0.95, 0.75, 0.75
    size = (WIDTH - left - 0.2 - gap * (len(values) - 1)) / len(values)
    height = top + size + bottom
    figure = Figure(figsize=(WIDTH, height))
    for k, (matrix, title) in enumerate(zip(values, titles, strict=True)):
        place = ((left + k * (size + gap)) / WIDTH, bottom / height, size / WIDTH, size / height)
        axis = figure.add_axes(place)
        axis.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r")
        axis.set_title(title, pad=5)
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=10)
        axis.set_yticks(range(len(names)), names, fontsize=10)
        axis.minorticks_off()
        axis.tick_params(length=0)
        for (i, j), value in np.ndenumerate(matrix):
            colour = "white" if abs(value) > 0.6 else "black"
            label = (
                f"{100 * value:.0f}".replace("-0", "0")
                if abs(value) < 0.005
                else f"{100 * value:.0f}"
            )
            axis.text(j, i, label, ha="center", va="center", fontsize=8, color=colour)
    _head(figure, text)
    return figure


def lines(
    panels: Sequence[tuple[str, Sequence[tuple[str, np.ndarray, np.ndarray]], str]],
    xlabel: str, text: str, *, marked: float | None = None,
) -> Figure:  # fmt: skip
    """Panels of (title, [(label, x, y)], y scale) with one x axis; a dashed line at ``marked``."""
    figure, grid = panel_grid(len(panels), min(len(panels), 3), [2.6], True)
    for (title, curves, scale), (axis,) in zip(panels, grid, strict=True):
        for (label, x, y), colour in zip(curves, (EDGE, LINE, "#009e73", "#cc79a7"), strict=False):
            axis.plot(x, y, marker="o", ms=3.5, lw=1.6, color=colour, label=label)
        if marked is not None:
            axis.axvline(marked, color="0.45", ls="--", lw=1.2)
        axis.set_yscale(scale)
        axis.set_title(title, pad=5)
        axis.set_xlabel(xlabel)
        axis.margins(y=0.25)
        axis.legend(frameon=False, fontsize=11)
    _head(figure, text)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as PNG with a palette of 256 colours, a third of the size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    buffer = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def panel_grid(
    count: int, columns: int, heights: Sequence[float], ylabel: bool
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of panels; each has axes of these heights (inches) above one another."""
    left, right, top, bottom = (0.85 if ylabel else 0.6), 0.15, 0.95, 0.15
    gap_x, gap_y, inner = 0.55, 0.95, 0.08
    rows = -(-count // columns)
    panel_width = (WIDTH - left - right - gap_x * (columns - 1)) / columns
    panel_height = sum(heights) + inner * (len(heights) - 1)
    height = top + rows * panel_height + (rows - 1) * gap_y + 0.5 + bottom
    figure = Figure(figsize=(WIDTH, height))
    grid = []
    for k in range(count):
        row, column = divmod(k, columns)
        x = left + column * (panel_width + gap_x)
        y = height - top - row * (panel_height + gap_y)
        axes: list[Axes] = []
        for h in heights:
            y -= h
            place = (x / WIDTH, y / height, panel_width / WIDTH, h / height)
            axes.append(figure.add_axes(place, sharex=axes[0] if axes else None))
            y -= inner
        for axis in axes[:-1]:
            axis.tick_params(labelbottom=False)
        grid.append(axes)
    return figure, grid


def _draw_pair(axis: Axes, panel: Panel, scale: str) -> None:
    edges = panel.reference.axes[0].edges
    r, g = panel.reference.values(), panel.generated.values()
    error_r, error_g = (np.sqrt(h.variances()) for h in (panel.reference, panel.generated))
    mplhep.histplot(
        np.nan_to_num(r), edges, ax=axis, histtype="fill", color=FILL, edgecolor=EDGE, lw=1.0
    )
    axis.stairs(
        np.nan_to_num(r + error_r), edges, baseline=np.nan_to_num(r - error_r),
        fill=True, color=EDGE, alpha=0.35, lw=0,
    )  # fmt: skip
    axis.stairs(np.where(np.isnan(g), 0, g), edges, color=LINE, lw=1.7)
    centres = (edges[1:] + edges[:-1]) / 2
    axis.errorbar(centres, g, error_g, fmt="none", ecolor=LINE, elinewidth=1.1)
    axis.set_yscale(scale)
    axis.set_xlim(edges[0], edges[-1])
    both = np.concatenate([r, g])
    positive = both[np.isfinite(both) & (both > 0)]
    top = positive.max() if positive.size else 1.0
    if scale == "log":
        low = max(positive.min() if positive.size else 0.1, top * 1e-6)
        axis.set_ylim(low / 2, top * (top / low) ** 0.3 * 2)
    else:
        axis.set_ylim(0, 1.35 * top)


def _draw_ratio(axis: Axes, panel: Panel) -> None:
    edges = panel.reference.axes[0].edges
    centres = (edges[1:] + edges[:-1]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        band = np.sqrt(panel.reference.variances()) / panel.reference.values()
        ratio = panel.generated.values() / panel.reference.values()
        error = np.sqrt(panel.generated.variances()) / panel.reference.values()
    shown = np.isfinite(ratio) & np.isfinite(band) & (band < 1) & (error < 1)
    off = np.abs(ratio[shown] - 1)
    reach = next((r for r in RATIO_RANGES if off.size and np.quantile(off, 0.8) <= r), 1.0)
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


def _note(axis: Axes, text: str) -> None:
    axis.text(
        0.97, 0.95, text, transform=axis.transAxes, ha="right", va="top", size=10.5, color="0.25"
    )


def _head(figure: Figure, text: str) -> None:
    y = 1 - 0.3 / figure.get_figheight()
    figure.text(
        0.2 / WIDTH, y, "hepjax", fontsize=16, fontweight="bold", style="italic", va="center"
    )
    figure.text(1.1 / WIDTH, y, text, fontsize=12.5, va="center", color="0.25")


def _legend(figure: Figure, labels: tuple[str, str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=FILL, edgecolor=EDGE, label=f"{labels[0]} (band: stat. error)"),
        Line2D([], [], color=LINE, lw=1.8, label=labels[1]),
    ]
    figure.legend(
        handles=handles, loc="center right", ncols=2, frameon=False, borderaxespad=0,
        bbox_to_anchor=(1 - 0.15 / WIDTH, 1 - 0.3 / figure.get_figheight()),
    )  # fmt: skip
