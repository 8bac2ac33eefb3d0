"""Pictures of two-dimensional arrays: shower projections and correlation matrices."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LogNorm

from hepjax.report.layout import WIDTH, Figure, head


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
            axis.minorticks_off()
            axis.tick_params(labelsize=10, top=False, right=False, color="0.4")
            axis.set_ylabel(axis_labels[j][1], fontsize=11, labelpad=1, loc="center")
            if i == 0:
                axis.set_title(column_titles[j], y=1.05)
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
        figure.colorbar(image, cax=bar).set_label(colour_label, fontsize=12, loc="center")
    head(figure, text)
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
        axis.set_title(title)
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
    head(figure, text)
    return figure
