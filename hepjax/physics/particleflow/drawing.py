"""What the figures of the MLPF report share: colours, points with errors, distributions, heads."""

from collections.abc import Iterable, Sequence

import numpy as np

from hepjax.formats.particleflow.columns import CHARGED_HADRON, NEUTRAL_HADRON, PHOTON
from hepjax.report import layout, plots
from hepjax.report.layout import EDGE, LINE, Axes, Figure, Line2D

# After the layout, which says how to get matplotlib where it is missing.
from matplotlib.ticker import MaxNLocator  # isort: skip

SHORT = ("none", "ch. had.", "n. had.", "photon", "electron", "muon")
"""Names of the classes where there is little room, by class id."""
COLOURS = {"truth": "0.2", "rule-based": EDGE, "MLPF": LINE}
FOUND = ("rule-based", "MLPF")
SHOWN = (CHARGED_HADRON, NEUTRAL_HADRON, PHOTON)
"""Electrons and muons are in the tables: Delphes identifies them from the truth."""


def symmetric_range(values: Iterable[np.ndarray]) -> tuple[float, float]:
    """What holds nearly all values, symmetric around 0."""
    joined = np.concatenate(list(values))
    joined = joined[np.isfinite(joined)]
    reach = float(np.quantile(np.abs(joined), 0.98)) if len(joined) else 0.0
    return -max(reach, 0.01), max(reach, 0.01)


def distributions(axis: Axes, values: dict[str, np.ndarray], limits: tuple[float, float]) -> None:
    most = max(map(len, values.values()))
    edges = np.linspace(*limits, 1 + int(np.clip(2 * np.sqrt(most), 8, 40)))
    for name, numbers in values.items():
        inside = np.clip(numbers[np.isfinite(numbers)], *limits)
        share = np.histogram(inside, edges)[0] / max(len(inside), 1)
        axis.stairs(share, edges, color=COLOURS[name], lw=1.6)
    axis.set_xlim(*limits)


def points(
    axis: Axes, edges: np.ndarray, values: np.ndarray, errors: np.ndarray | None, name: str
) -> None:
    """Values with errors over the width of their bins; bins that are NaN stay blank."""
    low, high = edges[:-1], edges[1:]
    style = {"ms": 4, "lw": 1.3, "color": COLOURS[name]}
    plots.points(axis, low, high, values, errors, centre=np.sqrt(low * high), **style)


def prune(axes: Sequence[Axes]) -> None:
    """No numbers where two axes meet."""
    axes[0].yaxis.set_major_locator(MaxNLocator(5, prune="lower"))
    axes[1].yaxis.set_major_locator(MaxNLocator(5, prune="upper"))


def finish(figure: Figure, text: str, names: Iterable[str]) -> None:
    """The head of the figure, and whose colours these are."""
    handles = [Line2D([], [], color=COLOURS[name], lw=2, label=name) for name in names]
    layout.head(figure, text, handles)
