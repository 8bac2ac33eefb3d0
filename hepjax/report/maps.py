"""Pictures of two-dimensional arrays: shower projections and correlation matrices."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hepjax.report.layout import WIDTH, Axes, Figure, axes_at, head

# After the layout, which says how to get matplotlib where it is missing.
from matplotlib.colors import LogNorm, Normalize  # isort: skip
from matplotlib.image import AxesImage  # isort: skip


def image(axis: Axes, picture: np.ndarray, norm: Normalize, **options: Any) -> AxesImage:
    """Draw a picture (rows, columns) with its origin at the lower left, cells not smoothed."""
    axis.minorticks_off()
    axis.tick_params(labelsize=9, top=False, right=False, color="0.4")
    return axis.imshow(
        picture, origin="lower", norm=norm, aspect="auto", interpolation="none",
        **({"cmap": "viridis"} | options),
    )  # fmt: skip


def positive(picture: np.ndarray) -> np.ndarray:
    """The picture with NaN, which stays white, where it is not positive."""
    return np.where(picture > 0, picture, np.nan)


def pictures(
    rows: Sequence[Sequence[np.ndarray]], row_titles: Sequence[str], column_titles: Sequence[str],
    axis_labels: Sequence[tuple[str, str]], colour_label: str, text: str, *, decades: float = 4.0,
) -> Figure:  # fmt: skip
    """Two-dimensional maps (first index to the right) in a grid; one log colour scale for all.

    Args:
      axis_labels: (x, y) of each column.
      decades: how far below the maximum the colours reach; empty cells stay white.
    """
    columns = len(column_titles)
    left, right, top, gap, under = 0.95, 1.15, 1.0, 0.42, 0.3
    size = (WIDTH - left - right - gap * (columns - 1)) / columns
    height = top + len(rows) * (size + under) + 0.55
    figure = Figure(figsize=(WIDTH, height))
    peak = max(float(np.max(picture)) for row in rows for picture in row) or 1.0
    norm = LogNorm(peak / 10**decades, peak)
    for i, row in enumerate(rows):
        y = top + i * (size + under)
        centre = (0.22 / WIDTH, 1 - (y + size / 2) / height)
        figure.text(*centre, row_titles[i], rotation=90, va="center", fontweight="bold")
        for j, picture in enumerate(row):
            axis = axes_at(figure, left + j * (size + gap), y, size, size)
            drawn = image(axis, positive(picture).T, norm)
            axis.tick_params(labelsize=10)
            axis.set_ylabel(axis_labels[j][1], fontsize=11, labelpad=1, loc="center")
            if i == 0:
                axis.set_title(column_titles[j], y=1.05)
            if i == len(rows) - 1:
                axis.set_xlabel(axis_labels[j][0], fontsize=11, loc="center")
            else:
                axis.set_xticklabels([])
    bar = axes_at(figure, WIDTH - 0.95, top, 0.18, height - top - 0.6)
    figure.colorbar(drawn, cax=bar).set_label(colour_label, fontsize=12, loc="center")
    head(figure, text)
    return figure


def matrices(
    values: Sequence[np.ndarray], titles: Sequence[str], names: Sequence[str], text: str
) -> Figure:
    """Square matrices of correlations with their values in percent, from -1 to 1."""
    left, top, bottom, gap = 0.75, 0.95, 0.75, 0.75
    size = (WIDTH - left - 0.2 - gap * (len(values) - 1)) / len(values)
    figure = Figure(figsize=(WIDTH, top + size + bottom))
    for k, (matrix, title) in enumerate(zip(values, titles, strict=True)):
        axis = axes_at(figure, left + k * (size + gap), top, size, size)
        axis.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r")
        axis.set_title(title)
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=10)
        axis.set_yticks(range(len(names)), names, fontsize=10)
        axis.minorticks_off()
        axis.tick_params(length=0)
        for (i, j), value in np.ndenumerate(matrix):
            colour = "white" if abs(value) > 0.6 else "black"
            label = f"{100 * value:z.0f}"
            axis.text(j, i, label, ha="center", va="center", fontsize=8, color=colour)
    head(figure, text)
    return figure
