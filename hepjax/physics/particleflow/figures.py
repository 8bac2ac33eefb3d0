"""The figures of the MLPF report that are about elements, each with a sentence on how to read it.

From rows of elements to figures; what is computed comes from metrics.py. Everywhere the truth,
rule-based particle flow and MLPF have the same three colours.
"""

from collections.abc import Sequence

import numpy as np

from hepjax.formats.particleflow.columns import CLASSES, Particle
from hepjax.physics.particleflow import metrics
from hepjax.physics.particleflow.drawing import (
    COLOURS,
    FOUND,
    SHORT,
    SHOWN,
    distributions,
    finish,
    points,
    prune,
    symmetric_range,
)
from hepjax.report import confusion, layout
from hepjax.report.document import Drawing
from hepjax.report.layout import WIDTH, Axes, Figure

Rows = dict[str, np.ndarray]
"""``truth``, ``rule-based`` and ``MLPF``: rows (n, 7) of the same elements."""
EDGES = {
    "pt": np.array([0.1, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 100, 200]),
    "energy": np.array([0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500]),
}
"""GeV."""
SYMBOLS = {"pt": "pT", "energy": "E", "eta": "η", "delta_eta": "η", "delta_phi": "φ"}


def quantity_of(label: int) -> str:
    """``pt`` or ``energy``, see ``metrics.main_column``."""
    return metrics.main_column(label).name.lower()


def _panels(
    heights: Sequence[float], ylabels: Sequence[str]
) -> tuple[Figure, list[tuple[int, Particle, np.ndarray, list[Axes]]]]:
    """A panel for each class shown: class id, its main column and its bins, and the axes."""
    figure, grid = layout.panel_grid(len(SHOWN), 3, heights)
    panels = []
    for label, axes in zip(SHOWN, grid, strict=True):
        quantity = quantity_of(label)
        axes[0].set_title(CLASSES[label])
        axes[-1].set_xlabel(f"{SYMBOLS[quantity]} [GeV]")
        panels.append((label, metrics.main_column(label), EDGES[quantity], axes))
    for axis, ylabel in zip(grid[0], ylabels, strict=True):
        axis.set_ylabel(ylabel)
    return figure, panels


def confusions(counts: dict[str, np.ndarray], text: str) -> Drawing:
    """Shares of the true classes by found class, ``counts`` (6, 6) by ``FOUND``."""
    size, top, gap, left = 4.4, 0.95, 1.6, 1.25
    figure = Figure(figsize=(WIDTH, top + size + 0.85))
    for k, name in enumerate(FOUND):
        axis = layout.axes_at(figure, left + k * (size + gap), top, size, size)
        confusion.draw(axis, counts[name], SHORT)
        axis.set(xlabel="found", ylabel="true", title=name)
    layout.head(figure, text)
    return Drawing(
        "confusion", "Classes, true and found",
        "Of the elements of a true class (row) the share that is given to each class (column). "
        "Class none: no particle belongs to the element. Padding is left out.",
        figure,
    )  # fmt: skip


def efficiencies(rows: Rows, text: str) -> Drawing:
    """Efficiency and fake rate against the transverse momentum or the energy."""
    figure, panels = _panels([2.1, 2.1], ("efficiency", "fake rate"))
    for label, column, edges, axes in panels:
        for name in FOUND:
            found = metrics.against(rows["truth"], rows[name], label, column, edges)
            for axis, key in zip(axes, ("efficiency", "fake_rate"), strict=True):
                points(axis, edges, found[key], found[f"{key}_error"], name)
        axes[0].set_ylim(0, 1.1)
        axes[1].set_ylim(0, max(1.25 * axes[1].get_ylim()[1], 0.01))
        axes[1].set_xscale("log")
        prune(axes)
    finish(figure, text, FOUND)
    return Drawing(
        "efficiency", "Efficiency and fake rate",
        "Efficiency against the true value: share of the true particles of a class that are found "
        "with this class. Fake rate against the found value: share of the found ones that are of "
        "another class or no particle at all. Binomial errors; bins with fewer than "
        f"{metrics.MIN_ENTRIES} entries are blank.",
        figure,
    )  # fmt: skip


def resolutions(rows: Rows, text: str) -> Drawing:
    """Distributions of reco against gen for hadrons."""
    shown = [(label, q) for label in SHOWN[:2]
             for q in (quantity_of(label), "delta_eta", "delta_phi")]  # fmt: skip
    figure, grid = layout.panel_grid(len(shown), 3, [2.5])
    for (label, quantity), (axis,) in zip(shown, grid, strict=True):
        values = _deviations(rows, label, quantity)
        distributions(axis, values, symmetric_range(values.values()))
        symbol = SYMBOLS[quantity]
        difference = f"{symbol} reco - {symbol} gen"
        axis.set_xlabel(
            f"({difference}) / {symbol} gen" if quantity == quantity_of(label) else difference
        )
        axis.set(title=f"{CLASSES[label]}: {symbol}", yscale="log")
    finish(figure, text, FOUND)
    return Drawing(
        "resolution", "Resolutions",
        "Elements that the truth, rule-based particle flow and MLPF all give to the class, so both "
        "are judged on the same particles. The outermost bins hold what lies beyond.",
        figure,
    )  # fmt: skip


def responses(rows: Rows, text: str) -> Drawing:
    """Median response and resolution against the true transverse momentum or energy."""
    figure, panels = _panels([2.1, 2.1], ("median reco / gen", "resolution"))
    for label, column, edges, axes in panels:
        both = metrics.common(rows["truth"], [rows[name] for name in FOUND], label)
        position = rows["truth"][both, column]
        for name, values in _deviations(rows, label, quantity_of(label)).items():
            found = metrics.in_bins(position, 1 + values, edges)
            points(axes[0], edges, found["median"], found["error"], name)
            points(axes[1], edges, found["iqr"], None, name)
        axes[0].axhline(1, color=COLOURS["truth"], lw=1)
        axes[1].set_xscale("log")
        axes[1].set_ylim(bottom=0)
        axes[1].set_xlabel(f"true {axes[1].get_xlabel()}")
        prune(axes)
    finish(figure, text, FOUND)
    return Drawing(
        "response", "Response and resolution against momentum",
        "Above: median of reco / gen with its statistical error. Below: interquartile range of "
        "reco / gen over 1.35, the standard deviation of a normal core. Bins with fewer than "
        f"{metrics.MIN_ENTRIES} entries are blank.",
        figure,
    )  # fmt: skip


def spectra(rows: Rows, events: int, text: str) -> Drawing:
    """Particles an event against pt or energy, and their ratio to the truth."""
    figure, panels = _panels([2.4, 1.0], ("particles / event", "/ truth"))
    for label, column, edges, axes in panels:
        counts = {
            name: np.histogram(table[metrics.classes(table) == label, column], edges)[0]
            for name, table in rows.items()
        }
        for name, count in counts.items():
            axes[0].stairs(count / events, edges, color=COLOURS[name], lw=1.6)
        true = np.where(counts["truth"] >= metrics.MIN_ENTRIES, counts["truth"], np.nan)
        for name in FOUND:
            error = np.sqrt(counts[name]) / true
            points(axes[1], edges, counts[name] / true, error, name)
        axes[0].set_yscale("log")
        axes[1].axhline(1, color=COLOURS["truth"], lw=1)
        axes[1].set(xscale="log", ylim=(0, 2))
        axes[1].yaxis.label.set(y=0.5, ha="center")
    finish(figure, text, COLOURS)
    return Drawing(
        "spectra", "Spectra",
        "All particles of a class, whether found at the right element or not; below the ratio to "
        "the truth.",
        figure,
    )  # fmt: skip


def _deviations(rows: Rows, label: int, quantity: str) -> dict[str, np.ndarray]:
    """reco against gen of the particles that all give to the class."""
    both = metrics.common(rows["truth"], [rows[name] for name in FOUND], label)
    truth = rows["truth"][both]
    return {name: metrics.deviation(truth, rows[name][both], quantity) for name in FOUND}
