"""What all figures of a page share: style, colours, a grid of panels, the head, PNG.

Needs the ``plot`` extra.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from hepjax import MissingExtraError

try:
    import matplotlib.style
    import mplhep
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from PIL import Image
except ImportError as error:
    raise MissingExtraError("plots", "plot") from error

FILL, EDGE, LINE = "#bcd9ee", "#0072b2", "#d55e00"
"""Reference fill and edge, and the other sample: Okabe-Ito, distinct for colour-blind readers."""
WIDTH = 13.2
"""Inches; every figure of a page has this width, so that fonts come out alike."""
DPI = 130
RC = {
    "font.size": 12, "axes.labelsize": 12, "axes.titlesize": 12, "legend.fontsize": 12,
    "xtick.labelsize": 11, "ytick.labelsize": 11, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.titley": 1.03, "axes.titlepad": 0.0,
    "xaxis.labellocation": "right", "yaxis.labellocation": "top",
    "figure.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": DPI,
    "axes.formatter.limits": (-3, 4), "axes.formatter.use_mathtext": True, "axes.linewidth": 1.0,
    "xtick.major.size": 6, "ytick.major.size": 6, "xtick.minor.size": 3, "ytick.minor.size": 3,
}  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """The mplhep style of all figures, sized for a page."""
    with matplotlib.style.context([mplhep.style.ATLAS, RC]):
        yield


def columns_for(panels: int) -> int:
    """Columns of a grid of this many panels."""
    return 4 if panels > 6 else 3


def panel_grid(
    count: int, columns: int, heights: Sequence[float]
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of panels; each has axes of these heights (inches) above one another."""
    left, right, top, bottom = 0.85, 0.15, 0.95, 0.65
    gap_y, inner = 0.9, 0.08
    gap_x = 0.95 if columns <= 2 else 0.65  # two wide panels have labels of their own
    rows = -(-count // columns)
    panel_width = (WIDTH - left - right - gap_x * (columns - 1)) / columns
    panel_height = sum(heights) + inner * (len(heights) - 1)
    figure = Figure(figsize=(WIDTH, top + rows * (panel_height + gap_y) - gap_y + bottom))
    grid = []
    for k in range(count):
        row, column = divmod(k, columns)
        x, y = left + column * (panel_width + gap_x), top + row * (panel_height + gap_y)
        axes: list[Axes] = []
        for height in heights:
            axes.append(axes_at(figure, x, y, panel_width, height, axes[0] if axes else None))
            y += height + inner
        for axis in axes[:-1]:
            axis.tick_params(labelbottom=False)
        grid.append(axes)
    return figure, grid


def axes_at(
    figure: Figure, x: float, y: float, width: float, height: float, sharex: Axes | None = None
) -> Axes:
    """New axes of this size with the upper left corner at (x, y) from the upper left, inches."""
    total = figure.get_figheight()
    place = (x / WIDTH, (total - y - height) / total, width / WIDTH, height / total)
    return figure.add_axes(place, sharex=sharex)


def head(figure: Figure, text: str, handles: Sequence[Artist] = ()) -> None:
    """The experiment label, what the figure is about, and a legend, in a line at the top."""
    y = 1 - 0.3 / figure.get_figheight()
    figure.text(
        0.2 / WIDTH, y, "hepjax", fontsize=16, fontweight="bold", style="italic", va="center"
    )
    figure.text(1.1 / WIDTH, y, text, fontsize=12.5, va="center", color="0.25")
    if handles:
        figure.legend(
            handles=handles, loc="center right", ncols=len(handles), frameon=False,
            borderaxespad=0, bbox_to_anchor=(1 - 0.15 / WIDTH, y),
        )  # fmt: skip


def pair_handles(labels: tuple[str, str]) -> list[Artist]:
    """How reference and other sample are drawn, for the legend."""
    return [
        Patch(facecolor=FILL, edgecolor=EDGE, label=f"{labels[0]} (band: stat. error)"),
        Line2D([], [], color=LINE, lw=1.8, label=labels[1]),
    ]


def once_a_row(figure: Figure) -> None:
    """Leave out the label of an upright axis where the first panel of its row has the same: between
    panels there is no room for it."""
    rows: dict[float, list[Axes]] = {}
    for axis in figure.axes:
        rows.setdefault(round(axis.get_position().y0, 3), []).append(axis)
    for row in rows.values():
        first, *others = sorted(row, key=lambda axis: axis.get_position().x0)
        for axis in others:
            apart = axis.get_position().x0 > first.get_position().x0
            if apart and axis.get_ylabel() == first.get_ylabel():
                axis.set_ylabel("")


def png(figure: Figure, dpi: float | None = None) -> bytes:
    """The figure as PNG; with a palette, a third of the size, if it holds lines and text alone."""
    if dpi is not None:
        figure.set_dpi(dpi)
    once_a_row(figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    if not any(axis.images for axis in figure.axes):
        image = image.quantize(256, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
