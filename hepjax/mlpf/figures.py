"""The figures of the MLPF report, each with a sentence on how to read it.

From rows of elements to figures; what is computed comes from metrics.py and jets.py. Everywhere
the truth, rule-based particle flow and MLPF have the same three colours.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hepjax.formats.mlpf_columns import CHARGED_HADRON, CLASSES, NEUTRAL_HADRON, PHOTON
from hepjax.mlpf import metrics
from hepjax.report import layout, plots
from hepjax.report.document import Drawing
from hepjax.report.layout import EDGE, LINE, WIDTH, Axes, Figure

Rows = dict[str, np.ndarray]
"""``truth``, ``rule-based`` and ``MLPF``: rows (n, 7) of the same elements."""
COLOURS = {"truth": "0.2", "rule-based": EDGE, "MLPF": LINE}
FOUND = ("rule-based", "MLPF")
SHOWN = (CHARGED_HADRON, NEUTRAL_HADRON, PHOTON)
"""Electrons and muons are in the tables: Delphes identifies them from the truth."""
EDGES = {
    "pt": np.array([0.1, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 100, 200]),
    "energy": np.array([0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500]),
}
"""GeV."""
JET_EDGES = np.array([3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500.0])
SYMBOLS = {"pt": "pT", "energy": "E", "eta": "η", "delta_eta": "η", "delta_phi": "φ"}
SHORT = ("none", "ch. had.", "n. had.", "photon", "electron", "muon")


def quantity_of(label: int) -> str:
    """``pt`` or ``energy``, see ``metrics.main_column``."""
    return metrics.main_column(label).name.lower()


def confusion(counts: dict[str, np.ndarray], text: str) -> Iterator[Drawing]:
    """Shares of the true classes by found class, ``counts`` (6, 6) by ``FOUND``."""
    size, top, gap = 4.4, 0.95, 1.6
    left, height = 1.25, top + size + 0.85
    figure = Figure(figsize=(WIDTH, height))
    for k, name in enumerate(FOUND):
        place = ((left + k * (size + gap)) / WIDTH, 0.85 / height, size / WIDTH, size / height)
        axis = figure.add_axes(place)
        shares = metrics.by_truth(counts[name])
        axis.imshow(np.nan_to_num(shares), vmin=0, vmax=1, cmap="Blues")
        for (i, j), value in np.ndenumerate(shares):
            if np.isfinite(value):
                colour = "white" if value > 0.6 else "black"
                axis.text(j, i, f"{value:.3f}", ha="center", va="center", size=11, color=colour)
        axis.set_xticks(range(len(SHORT)), SHORT, rotation=20)
        axis.set_yticks(range(len(SHORT)), SHORT)
        axis.set(xlabel="found", ylabel="true", title=name)
        axis.minorticks_off()
        axis.tick_params(length=0)
    layout.head(figure, text)
    yield Drawing(
        "confusion", "Classes, true and found",
        "Of the elements of a true class (row) the share that is given to each class (column). "
        "Class none: no particle belongs to the element. Padding is left out.",
        figure,
    )  # fmt: skip


def efficiencies(rows: Rows, text: str) -> Iterator[Drawing]:
    """Efficiency and fake rate against the transverse momentum or the energy."""
    figure, grid = layout.panel_grid(len(SHOWN), 3, [2.1, 2.1])
    for label, axes in zip(SHOWN, grid, strict=True):
        quantity = quantity_of(label)
        edges = EDGES[quantity]
        for name in FOUND:
            column = metrics.main_column(label)
            found = metrics.against(rows["truth"], rows[name], label, column, edges)
            for axis, key in zip(axes, ("efficiency", "fake_rate"), strict=True):
                _points(axis, edges, found[key], found[f"{key}_error"], name)
        axes[0].set(title=CLASSES[label], ylim=(0, 1.1))
        axes[0].set_ylabel("efficiency" if label == SHOWN[0] else "")
        axes[1].set_ylabel("fake rate" if label == SHOWN[0] else "")
        axes[1].set_ylim(0, max(1.25 * axes[1].get_ylim()[1], 0.01))
        axes[1].set(xlabel=f"{SYMBOLS[quantity]} [GeV]", xscale="log")
    _finish(figure, text, FOUND)
    yield Drawing(
        "efficiency", "Efficiency and fake rate",
        "Efficiency against the true value: share of the true particles of a class that are found "
        "with this class. Fake rate against the found value: share of the found ones that are of "
        "another class or no particle at all. Binomial errors; bins with fewer than "
        f"{metrics.MIN_ENTRIES} entries are blank.",
        figure,
    )  # fmt: skip


def resolutions(rows: Rows, text: str) -> Iterator[Drawing]:
    """Distributions of reco against gen for hadrons."""
    shown = [(label, q) for label in SHOWN[:2]
             for q in (quantity_of(label), "delta_eta", "delta_phi")]  # fmt: skip
    figure, grid = layout.panel_grid(len(shown), 3, [2.5])
    for (label, quantity), (axis,) in zip(shown, grid, strict=True):
        values = _deviations(rows, label, quantity)
        _distributions(axis, values, _range(values.values()))
        symbol = SYMBOLS[quantity]
        difference = f"{symbol} reco - {symbol} gen"
        axis.set_xlabel(
            f"({difference}) / {symbol} gen" if quantity == quantity_of(label) else difference
        )
        axis.set(title=f"{CLASSES[label]}: {symbol}", yscale="log")
    _finish(figure, text, FOUND)
    yield Drawing(
        "resolution", "Resolutions",
        "Elements that the truth, rule-based particle flow and MLPF all give to the class, so both "
        "are judged on the same particles. Whatever lies beyond is in the outermost bins.",
        figure,
    )  # fmt: skip


def responses(rows: Rows, text: str) -> Iterator[Drawing]:
    """Median response and resolution against the true transverse momentum or energy."""
    figure, grid = layout.panel_grid(len(SHOWN), 3, [2.1, 2.1])
    for label, axes in zip(SHOWN, grid, strict=True):
        quantity, column = quantity_of(label), metrics.main_column(label)
        both = metrics.common(rows["truth"], [rows[name] for name in FOUND], label)
        position = rows["truth"][both, column]
        values = _deviations(rows, label, quantity)
        _response(axes, position, {k: 1 + v for k, v in values.items()}, EDGES[quantity])
        axes[0].set_title(CLASSES[label])
        axes[1].set_xlabel(f"true {SYMBOLS[quantity]} [GeV]")
        axes[0].set_ylabel("median reco / gen" if label == SHOWN[0] else "")
        axes[1].set_ylabel("resolution" if label == SHOWN[0] else "")
    _finish(figure, text, FOUND)
    yield Drawing(
        "response", "Response and resolution against momentum",
        "Above: median of reco / gen with its statistical error. Below: interquartile range of "
        "reco / gen over 1.35, the standard deviation of a normal core. Bins with fewer than "
        f"{metrics.MIN_ENTRIES} entries are blank.",
        figure,
    )  # fmt: skip


def spectra(rows: Rows, events: int, text: str) -> Iterator[Drawing]:
    """Particles an event against pt or energy, and their ratio to the truth."""
    figure, grid = layout.panel_grid(len(SHOWN), 3, [2.4, 1.0])
    for label, axes in zip(SHOWN, grid, strict=True):
        quantity, column = quantity_of(label), metrics.main_column(label)
        edges = EDGES[quantity]
        counts = {
            name: np.histogram(table[metrics.classes(table) == label, column], edges)[0]
            for name, table in rows.items()
        }
        for name, count in counts.items():
            axes[0].stairs(count / events, edges, color=COLOURS[name], lw=1.6)
        for name in FOUND:
            true = np.where(counts["truth"] >= metrics.MIN_ENTRIES, counts["truth"], np.nan)
            error = np.sqrt(counts[name]) / true
            _points(axes[1], edges, counts[name] / true, error, name)
        axes[0].set(title=CLASSES[label], yscale="log")
        axes[0].set_ylabel("particles / event" if label == SHOWN[0] else "")
        axes[1].axhline(1, color=COLOURS["truth"], lw=1)
        axes[1].set(xlabel=f"{SYMBOLS[quantity]} [GeV]", xscale="log", ylim=(0, 2))
        axes[1].set_ylabel("/ truth" if label == SHOWN[0] else "", loc="center")
    _finish(figure, text, COLOURS)
    yield Drawing(
        "spectra", "Spectra",
        "All particles of a class, whether found at the right element or not; below the ratio to "
        "the truth.",
        figure,
    )  # fmt: skip


def multiplicities(numbers: dict[int, dict[str, np.ndarray]], text: str) -> Iterator[Drawing]:
    """Found against true numbers of particles in each event.

    Args:
      numbers: by class and by ``COLOURS``, (events,).
    """
    figure, grid = layout.panel_grid(len(SHOWN), 3, [3.1])
    for label, (axis,) in zip(SHOWN, grid, strict=True):
        true = numbers[label]["truth"]
        for name in FOUND:
            axis.plot(true, numbers[label][name], "o", ms=3.5, alpha=0.6, color=COLOURS[name])
        ends = [true.min(), max(true.max(), true.min() + 1)]
        axis.plot(ends, ends, color=COLOURS["truth"], lw=1)
        axis.set(xlabel="true number", title=f"{CLASSES[label]}s")
        axis.set_ylabel("found number" if label == SHOWN[0] else "")
    _finish(figure, text, COLOURS)
    yield Drawing(
        "multiplicity", "Particles in an event",
        "One point an event; on the line the number is right.",
        figure,
    )  # fmt: skip


def missing(values: dict[str, np.ndarray], text: str) -> Iterator[Drawing]:
    """Missing transverse momentum, and how it differs from that of the true particles.

    Args:
      values: by ``COLOURS``, (events,) GeV.
    """
    figure, ((spectrum,), (difference,)) = layout.panel_grid(2, 2, [3.1])
    top = max(float(np.quantile(np.concatenate(list(values.values())), 0.995)), 1.0)
    _distributions(spectrum, values, (0.0, top))
    spectrum.set(xlabel="missing pT [GeV]", ylabel="share of events", title="Missing pT")
    off = {name: values[name] - values["truth"] for name in FOUND}
    _distributions(difference, off, _range(off.values()))
    difference.set(xlabel="missing pT, reco - gen [GeV]", title="Difference from the truth")
    _finish(figure, text, COLOURS)
    yield Drawing(
        "missing", "Missing transverse momentum",
        "Length of the sum of the transverse momenta of all particles of an event, pile-up "
        "included; the truth is the sum over the true particles of the elements.",
        figure,
    )  # fmt: skip


def jet_figures(
    pt: dict[str, np.ndarray], matched: dict[str, tuple[np.ndarray, np.ndarray]], events: int,
    text: str,
) -> Iterator[Drawing]:  # fmt: skip
    """Spectra of jets; response and resolution of those that match a true one.

    Args:
      pt: by ``COLOURS``, of all jets in GeV.
      matched: by ``FOUND`` the true pt and reco / gen, (jets,) each.
    """
    figure, ((spectrum,), (response,), (resolution,)) = layout.panel_grid(3, 3, [3.1])
    for name, values in pt.items():
        counts = np.histogram(values, JET_EDGES)[0]
        spectrum.stairs(counts / events, JET_EDGES, color=COLOURS[name], lw=1.6)
    spectrum.set(xscale="log", yscale="log", ylabel="jets / event", title="Spectrum")
    for name in FOUND:
        found = metrics.in_bins(*matched[name], JET_EDGES)
        _points(response, JET_EDGES, found["median"], found["error"], name)
        _points(resolution, JET_EDGES, found["iqr"] / found["median"], None, name)
    response.axhline(1, color=COLOURS["truth"], lw=1)
    response.set(xscale="log", title="Median reco / gen")
    resolution.set(xscale="log", title="IQR / 1.35 / median")
    resolution.set_ylim(bottom=0)
    for axis in (spectrum, response, resolution):
        axis.set_xlabel("pT [GeV]" if axis is spectrum else "true pT [GeV]")
    _finish(figure, text, COLOURS)
    yield Drawing(
        "jets", "Jets",
        "Anti-kt jets, R = 0.4, pT > 3 GeV, of all particles, each taken as massless; a found jet "
        "matches a true one within ΔR = 0.1.",
        figure,
    )  # fmt: skip


def learning(history: list[dict[str, Any]]) -> Iterator[Drawing]:
    """Losses and scores against epoch, from the records of a run; nothing without them."""
    records = {e: [r for r in history if r.get("event") == e] for e in ("train", "validation")}
    judged = records["validation"]
    wanted: list[tuple[str, list[tuple[str, list[dict[str, Any]], str]], str]] = [
        ("loss", [(event, rows, "loss") for event, rows in records.items()], "log"),
        ("accuracy", [("of elements", judged, "accuracy")], "linear"),
        (
            "neutral hadrons",
            [("efficiency", judged, "neutral_hadron_efficiency"),
             ("fake rate", judged, "neutral_hadron_fake_rate")],
            "linear",
        ),
    ]  # fmt: skip
    panels = []
    for title, curves, scale in wanted:
        drawn = [(name, *_curve(rows, key)) for name, rows, key in curves]
        if drawn := [curve for curve in drawn if len(curve[1])]:
            panels.append((title, drawn, scale))
    if panels:
        yield Drawing(
            "training", "The course of training",
            "Loss of the updates, and loss and scores of the validation events after each epoch.",
            plots.lines(panels, "epoch", f"{len(judged)} epochs"),
        )  # fmt: skip


def _curve(records: list[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    found = [(r["epoch"], r[name]) for r in records if r.get(name) is not None]
    epoch, value = np.array(found, float).reshape(-1, 2).T
    return epoch, value


def _deviations(rows: Rows, label: int, quantity: str) -> dict[str, np.ndarray]:
    """reco against gen of the particles that all give to the class."""
    both = metrics.common(rows["truth"], [rows[name] for name in FOUND], label)
    truth = rows["truth"][both]
    return {name: metrics.deviation(truth, rows[name][both], quantity) for name in FOUND}


def _range(values: Any) -> tuple[float, float]:
    """What holds nearly all values, symmetric around 0."""
    joined = np.concatenate(list(values))
    joined = joined[np.isfinite(joined)]
    reach = float(np.quantile(np.abs(joined), 0.98)) if len(joined) else 0.0
    return -max(reach, 1e-3), max(reach, 1e-3)


def _distributions(axis: Axes, values: dict[str, np.ndarray], limits: tuple[float, float]) -> None:
    edges = np.linspace(*limits, 41)
    for name, numbers in values.items():
        inside = np.clip(numbers[np.isfinite(numbers)], *limits)
        share = np.histogram(inside, edges)[0] / max(len(inside), 1)
        axis.stairs(share, edges, color=COLOURS[name], lw=1.6)
    axis.set_xlim(*limits)


def _response(
    axes: Sequence[Axes], position: np.ndarray, values: dict[str, np.ndarray], edges: np.ndarray
) -> None:
    for name, response in values.items():
        found = metrics.in_bins(position, response, edges)
        _points(axes[0], edges, found["median"], found["error"], name)
        _points(axes[1], edges, found["iqr"], None, name)
    axes[0].axhline(1, color=COLOURS["truth"], lw=1)
    axes[1].set_xscale("log")
    axes[1].set_ylim(bottom=0)


def _points(
    axis: Axes, edges: np.ndarray, values: np.ndarray, errors: np.ndarray | None, name: str
) -> None:
    """Values with errors over the width of their bins; bins that are NaN stay blank."""
    known = np.isfinite(values)
    if not known.any():
        return
    low, high = edges[:-1][known], edges[1:][known]
    centre = np.sqrt(low * high)
    axis.errorbar(
        centre, values[known], None if errors is None else errors[known],
        (centre - low, high - centre), fmt="o", ms=4, lw=1.3, color=COLOURS[name],
    )  # fmt: skip


def _finish(figure: Figure, text: str, names: Sequence[str] | dict[str, str]) -> None:
    """The head of the figure, and whose colours these are."""
    from matplotlib.lines import Line2D

    layout.head(figure, text)
    handles = [Line2D([], [], color=COLOURS[name], lw=2, label=name) for name in names]
    figure.legend(
        handles=handles, loc="center right", ncols=3, frameon=False, borderaxespad=0,
        bbox_to_anchor=(1 - 0.15 / WIDTH, 1 - 0.3 / figure.get_figheight()),
    )  # fmt: skip
