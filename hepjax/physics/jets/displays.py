"""Pictures of images by class, channel by channel: means, saliency, and how two classes differ."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter

from hepjax.report.layout import WIDTH, Axes, Figure, axes_at, head
from hepjax.report.maps import image, positive

# After the layout, which says how to get matplotlib where it is missing.
from matplotlib.colors import LogNorm, Normalize  # isort: skip
from matplotlib.cm import ScalarMappable  # isort: skip
from matplotlib.ticker import NullFormatter  # isort: skip

COLUMNS = 4
DECADES = 4.0
"""How far below the hottest pixel of a channel the colours reach."""
SMOOTHED_CELLS = 25
"""Across a difference; single pixels of thousands of events are noise."""


def by_channel(
    planes: Sequence[Sequence[np.ndarray]], rows: Sequence[str], channels: Sequence[str],
    shape: tuple[int, ...], text: str, *, below: float = 0.0,
) -> Figure:  # fmt: skip
    """One column of pictures a channel: a row per class; of two classes also the difference.

    Args:
      planes: for each class and channel a picture of any granularity, not negative.
      rows: names of the classes.
      channels: their titles, name and unit.
      shape: rows and columns of the image, which each picture covers.
      below: inches left free at the bottom.
    The difference is (b - a) / (b + a), smoothed.
    """
    names = [*rows, "difference"] if len(rows) == 2 else list(rows)
    sideways = len(channels) == 1  # one channel: the classes lie side by side
    columns = len(names) if sideways else min(len(channels), COLUMNS)
    stacked = 1 if sideways else len(names)
    left, top, gap, inner, under = 0.75, 0.95, 0.55, 0.12, 1.1
    size = min((WIDTH - left - 0.2 - gap * (columns - 1)) / columns, 3.4)
    block = stacked * (size + inner) + under
    figure = Figure(figsize=(WIDTH, top + -(-len(channels) // columns) * block + below))
    for k, channel in enumerate(channels):
        group, column = divmod(k, columns)
        x, y = left + column * (size + gap), top + group * block
        norm = _norm([row[k] for row in planes])
        for i, name in enumerate(names):
            over, down = (i, 0) if sideways else (0, i)
            axis = axes_at(
                figure, x + over * (size + gap), y + down * (size + inner), size, size
            )  # fmt: skip
            _draw(axis, [row[k] for row in planes], i, norm, shape)
            if down < stacked - 1:
                axis.set_xticklabels([])
            if down == 0:
                axis.set_title(f"{channel}: {name}" if sideways else channel, fontsize=11.5)
            if column == 0 and not sideways:
                axis.set_ylabel(name, fontweight="bold", loc="center")
        bar = axes_at(figure, x, y + stacked * (size + inner) + 0.2, size, 0.1)
        figure.colorbar(ScalarMappable(norm, "viridis"), cax=bar, orientation="horizontal")
        bar.tick_params(labelsize=9)
        bar.xaxis.set_minor_formatter(NullFormatter())
    head(figure, text)
    return figure


def _draw(
    axis: Axes, pictures: list[np.ndarray], index: int, norm: LogNorm, shape: tuple[int, ...]
) -> None:
    """The picture of this index, or the difference of both for the index after them."""
    extent = (0, shape[1], 0, shape[0])
    if index < len(pictures):
        image(axis, positive(pictures[index]), norm, extent=extent)
    else:
        difference = _difference(pictures[0], pictures[1], norm.vmin or 0.0)
        image(axis, difference, Normalize(-1, 1), cmap="RdBu_r", extent=extent)


def _norm(pictures: Sequence[np.ndarray]) -> LogNorm:
    """Log colours of one channel: from its hottest pixel down, no further than its coldest."""
    filled = np.concatenate([p[p > 0] for p in pictures])
    peak = float(filled.max()) if filled.size else 1.0
    low = float(filled.min()) if filled.size else 0.0
    return LogNorm(max(peak / 10**DECADES, min(low, peak / 10)), peak)


def _difference(a: np.ndarray, b: np.ndarray, low: float) -> np.ndarray:
    """(b - a) / (b + a) of smoothed pictures; 0 where both lie below the colours."""
    width = [max(n // SMOOTHED_CELLS, 1) for n in a.shape]
    a, b = (uniform_filter(p, width, mode="constant") for p in (a, b))
    seen = a + b > 2 * low
    return np.divide(b - a, a + b, out=np.zeros_like(a), where=seen)
