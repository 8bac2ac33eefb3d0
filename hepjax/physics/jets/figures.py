"""The figures of the tagger report that need scores alone, each with a sentence on how to read it.

From arrays to figures; what is computed comes from metrics.py. Pictures of images: displays.py.
"""

from typing import Any

import numpy as np

from hepjax.physics.jets import metrics
from hepjax.report import layout, plots
from hepjax.report.document import Drawing
from hepjax.report.layout import EDGE, FILL, LINE, Axes

BASELINE_COLOURS = ("#009e73", "#cc79a7", "#e69f00", "#56b4e9", "0.35", "0.6")
"""Okabe-Ito, and greys."""
MOST_BASELINES = 5
"""The best ones are drawn; the table has all."""
SCORE_BINS = 40


def roc(
    score: np.ndarray, label: np.ndarray, baselines: dict[str, np.ndarray], text: str
) -> Drawing:
    """ROC and background rejection of the network and of the best baselines.

    Args:
      baselines: name to values (n,), signed such that signal lies higher, best first.
    """
    figure, ((efficiency,), (rejected,)) = layout.panel_grid(2, 2, [4.6])
    drawn = {"network": score} | dict(list(baselines.items())[:MOST_BASELINES])
    colours = (LINE, *BASELINE_COLOURS)
    for (name, values), colour in zip(drawn.items(), colours, strict=False):
        background, signal = metrics.roc(values, label)
        width = 2.2 if name == "network" else 1.3
        area = np.trapezoid(signal, background)
        efficiency.plot(background, signal, color=colour, lw=width, label=f"{name}, AUC {area:.3f}")
        with np.errstate(divide="ignore"):
            rejected.plot(signal, 1 / background, color=colour, lw=width)
    _band(rejected, score, label)
    for point in metrics.rejections(score, label, metrics.SIGNAL_EFFICIENCIES):
        marker = "^" if point.limit else "o"
        rejected.plot(point.efficiency, point.value, marker, ms=7, color=LINE)
        rejected.annotate(
            str(point), (point.efficiency, point.value), (8, 8),
            textcoords="offset points", color=LINE,
        )  # fmt: skip
    diagonal = np.linspace(0.001, 1, 200)
    efficiency.plot(diagonal, diagonal, ":", color="0.5", lw=1.2)
    rejected.plot(diagonal, 1 / diagonal, ":", color="0.5", lw=1.2)
    efficiency.set(xlabel="background efficiency", ylabel="signal efficiency")
    efficiency.set(xlim=(0, 1), ylim=(0, 1), title="ROC")
    efficiency.legend(loc="lower right", frameon=False)
    rejected.set_xlabel("signal efficiency")
    rejected.set(xlim=(0, 1), yscale="log", ylim=(0.8, 4 * (label == 0).sum()))
    rejected.set_title("1 / background efficiency")
    layout.head(figure, text)
    return Drawing(
        "roc", "ROC and background rejection",
        "Every baseline is one number of an event, on the same events; the dotted line is a guess. "
        "The band is the binomial error of the background events that pass; a triangle is a lower "
        "limit where less than one is left.",
        figure,
    )  # fmt: skip


def _band(axis: Axes, score: np.ndarray, label: np.ndarray) -> None:
    """Binomial error of 1 / eps_B, where at least two background events pass."""
    points = metrics.rejections(score, label, np.linspace(0.02, 1, 99).tolist())
    # With fewer the band would reach down to nothing.
    measured = [(p.efficiency, p.value, p.error) for p in points if p.background >= 2]
    x, y, error = np.array(measured).reshape(-1, 3).T
    axis.fill_between(x, np.maximum(y - error, 1), y + error, color=LINE, alpha=0.22, lw=0)


def score_distributions(
    score: np.ndarray, label: np.ndarray, classes: tuple[str, str], text: str
) -> Drawing:
    """Scores by class on both scales, and how well they are calibrated.

    Args:
      score: (n,) from 0 to 1.
      classes: names of background and signal.
    """
    figure, ((linear,), (logarithmic,), (reliable,)) = layout.panel_grid(3, 3, [3.2])
    edges = np.linspace(0, 1, SCORE_BINS + 1)
    for axis in (linear, logarithmic):
        _by_class(axis, score, label, edges, classes)
        axis.set_xlabel("score")
    linear.set(ylabel="share of events", title="Scores")
    linear.set_ylim(0, 1.25 * linear.get_ylim()[1])
    linear.legend(loc="upper center", frameon=False, ncols=2)
    logarithmic.set(yscale="log", title="Scores, log scale")
    found = metrics.calibration(score, label)
    reliable.plot([0, 1], [0, 1], ":", color="0.5", lw=1.2)
    reliable.errorbar(
        found["score"], found["share"], found["error"], fmt="o-", ms=5, lw=1.2, color=LINE
    )
    reliable.set_xlabel(f"mean score (ECE {calibration_error(found):.3f})")
    reliable.set(xlim=(0, 1), ylim=(0, 1), title="Share of signal")
    layout.head(figure, text)
    return Drawing(
        "scores", "Scores and calibration",
        "Share of each class, with its statistical error as a band. Right: the share of signal "
        "among events with about the same score; on the diagonal a score is a probability for "
        "classes mixed as they are here. ECE is the mean distance from it.",
        figure,
    )  # fmt: skip


def calibration_error(found: dict[str, np.ndarray]) -> float:
    """Expected calibration error: mean |signal share - score| over the events."""
    return float((found["fraction"] * np.abs(found["share"] - found["score"])).sum())


def against_pt(
    rows: list[dict[str, Any]], pt: np.ndarray, label: np.ndarray, classes: tuple[str, str],
    baseline: tuple[str, list[dict[str, Any]]] | None, text: str,
) -> Drawing:  # fmt: skip
    """AUC, rejection and spectra in bins of pT.

    Args:
      rows: of ``metrics.by_pt``; ``baseline``: a name and the same of the best baseline.
      pt: (n,) GeV.
    """
    figure, ((spectrum,), (areas,), (rejections,)) = layout.panel_grid(3, 3, [3.2])
    _by_class(spectrum, pt, label, _spectrum_edges(pt), classes)
    spectrum.set(xlabel="pT [GeV]", ylabel="share of events", title="Spectra")
    spectrum.set_ylim(0, 1.25 * spectrum.get_ylim()[1])
    spectrum.legend(loc="upper right", frameon=False)
    curves = [("network", rows, LINE), *([] if baseline is None else [(*baseline, "0.35")])]
    for name, bins, colour in curves:
        _areas(areas, bins, name, colour)
    areas.set(xlabel="pT [GeV]", title="AUC")
    for efficiency, colour in zip(metrics.SIGNAL_EFFICIENCIES, (EDGE, LINE), strict=True):
        _rejections(rejections, rows, efficiency, colour)
    rejections.set(xlabel="pT [GeV]", yscale="log", title="1 / background efficiency")
    most = [p["value"] for r in rows if r["used"] for p in r["rejection"].values()]
    rejections.set_ylim(1, 20 * max(most, default=1.0))
    for axis in (areas, rejections):
        axis.set_xlim(rows[0]["low"], rows[-1]["high"])
        axis.margins(y=0.25)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="best", frameon=False)
    layout.head(figure, text)
    return Drawing(
        "pt", "Against transverse momentum",
        "Bins of about equally many events. Where the spectra of the classes differ, part of an "
        "inclusive AUC is pT itself; within a bin it is not. Triangles are lower limits.",
        figure,
    )  # fmt: skip


def _by_class(
    axis: Axes, values: np.ndarray, label: np.ndarray, edges: np.ndarray, classes: tuple[str, str]
) -> None:
    for k, (name, colour) in enumerate(zip(classes, (EDGE, LINE), strict=True)):
        drawn = plots.distribution(values[label == k], edges)
        share, error = drawn.values(), np.sqrt(drawn.variances())
        if k == 0:
            axis.stairs(share, edges, fill=True, color=FILL)
        axis.stairs(share, edges, color=colour, lw=1.7, label=name)
        low = np.maximum(share - error, 0)
        axis.stairs(share + error, edges, baseline=low, fill=True, color=colour, alpha=0.3)
    axis.set_xlim(edges[0], edges[-1])


def _spectrum_edges(pt: np.ndarray) -> np.ndarray:
    low, high = np.quantile(pt, [0, 0.998])
    return np.linspace(low, max(high, low + 1.0), 31)


def _areas(axis: Axes, rows: list[dict[str, Any]], name: str, colour: str) -> None:
    """AUC with errors over the width of the bins."""
    if rows := [row for row in rows if row["used"]]:
        columns = _columns(rows, "low", "high", "auc", "auc_error")
        plots.points(axis, *columns, ms=4.5, color=colour, label=name)


def _rejections(axis: Axes, rows: list[dict[str, Any]], efficiency: float, colour: str) -> None:
    """Rejections with errors over the width of their bins; limits as triangles."""
    found = [row | row["rejection"][f"{efficiency:g}"] for row in rows if row["used"]]
    name = f"at {efficiency:.0%} signal efficiency"
    for limit, marker, legend in ((False, "o", name), (True, "^", None)):
        if chosen := [row for row in found if row["limit"] == limit]:
            low, high, value, error = _columns(chosen, "low", "high", "value", "error")
            error = np.zeros_like(error) if limit else error
            plots.points(
                axis, low, high, value, error, fmt=marker, ms=5, color=colour, label=legend
            )


def _columns(rows: list[dict[str, Any]], *names: str) -> list[np.ndarray]:
    return [np.array([row[name] for row in rows], float) for name in names]
