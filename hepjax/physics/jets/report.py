"""The report of a tagger on labelled events: one page, the figures, and ``scores.json``.

``scores.json`` holds plain numbers, null where there is none:
  auc, auc_error           area under the ROC curve and its standard error (DeLong)
  accuracy, accuracy_error share on the right side of a score of 0.5
  rejection                by signal efficiency: 1 / eps_B as ``value`` with its binomial ``error``,
                           or with ``limit`` true its lower limit at 95 % confidence
  calibration_error        mean distance of the score from the share of signal
  bins                     the same in bins of pT (GeV); ``used`` false with too few events
  baselines                each one number of an event: ``auc``, ``auc_error``, ``sign`` (-1 if
                           signal lies lower), ``gain`` of the network over it with ``gain_error``
  signal, background, classes, verdict, provenance
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.images import Grid
from hepjax.physics.jets import displays, figures, metrics, summary
from hepjax.report import curves
from hepjax.report.document import Drawing, Parts, Report

CURVES = (
    curves.LOSS,
    curves.Curves("AUC", (("validation", "validation", "auc"),)),
    curves.Curves("accuracy", (("validation", "validation", "accuracy"),)),
)
Planes = list[list[np.ndarray]]
"""For each class and channel a picture."""


@dataclass(frozen=True)
class Sample:
    """Labelled events, their scores, and what they look like."""

    score: np.ndarray
    """(n,) probability of the signal."""
    label: np.ndarray
    """(n,) 1 for signal, 0 for background."""
    classes: tuple[str, str]
    """Names of background and signal."""
    baselines: dict[str, np.ndarray]
    """Name to (n,): other numbers of the events that separate the classes."""
    pt: np.ndarray | None = None
    """(n,) GeV."""
    grid: Grid | None = None
    images: Planes | None = None
    """Mean of the absolute values."""
    saliency: Planes | None = None
    """Mean of |d log-odds of the signal / d input|."""

    @property
    def text(self) -> str:
        """What the events are, for the head of a figure."""
        counts = (np.count_nonzero(self.label == k) for k in (1, 0))
        return ", ".join(
            f"{n:,} {name}" for n, name in zip(counts, self.classes[::-1], strict=True)
        )


def report(sample: Sample) -> Report:
    """Judge the scores of labelled events.

    Raises:
      InputError: scores that are not finite, or a class without events.
    """
    better, scores = _scores(sample)
    text = summary.verdict(scores)
    return Report(
        f"Tagger: {sample.classes[1]} against {sample.classes[0]}", sample.text, text, scores,
        _sections(sample, better, scores, text), CURVES,
    )  # fmt: skip


def _scores(sample: Sample) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The usable baselines, signed and best first; and everything in ``scores.json``."""
    scores = metrics.score_all(sample.score, sample.label)
    found = metrics.calibration(sample.score, sample.label)
    scores["calibration_error"] = figures.calibration_error(found)
    rows: dict[str, dict[str, Any]] = {}
    signed: dict[str, np.ndarray] = {}
    for name, values in sample.baselines.items():
        bad = np.count_nonzero(~np.isfinite(values))
        if bad:
            rows[name] = {"auc": None, "not_finite": bad}
            continue
        area, error = metrics.auc(values, sample.label)
        sign = 1 if area >= 0.5 else -1
        signed[name] = sign * values
        gain, gain_error = metrics.auc_difference(sample.score, signed[name], sample.label)
        rows[name] = {"auc": max(area, 1 - area), "auc_error": error, "sign": sign,
                      "gain": gain, "gain_error": gain_error}  # fmt: skip
    order = sorted(rows, key=lambda name: -(rows[name]["auc"] or 0.0))
    scores["baselines"] = {name: rows[name] for name in order}
    if sample.pt is not None:
        if not np.isfinite(sample.pt).all():
            raise InputError("pt: expected finite numbers in GeV, found others")
        edges = metrics.pt_edges(sample.pt)
        scores["bins"] = metrics.by_pt(sample.score, sample.label, sample.pt, edges)
    scores["classes"] = list(sample.classes)
    return {name: signed[name] for name in order if name in signed}, scores


def _sections(
    sample: Sample, better: dict[str, np.ndarray], scores: dict[str, Any], text: str
) -> Iterator[tuple[str, Parts]]:
    """The page in its order; figures are drawn one by one when asked for."""
    score, label, classes = sample.score, sample.label, sample.classes
    yield "Summary", [summary.headline(scores, text)]
    yield "ROC", lambda: [figures.roc(score, label, better, sample.text)]
    if scores["baselines"]:
        yield "Baselines", [summary.baseline_table(scores)]
    yield "Scores", lambda: [figures.score_distributions(score, label, classes, sample.text)]
    if sample.pt is not None:
        best = _best_by_pt(sample, better, scores)
        against = partial(
            figures.against_pt, scores["bins"], sample.pt, label, classes, best, sample.text
        )
        yield "Transverse momentum", lambda: [against(), summary.pt_table(scores["bins"])]
    if sample.grid is not None and sample.images is not None:
        images = partial(_images, sample, sample.grid, sample.images)
        yield "Mean images", lambda: [images()]
    if sample.grid is not None and sample.saliency is not None:
        saliency = partial(_saliency, sample, sample.grid, sample.saliency)
        yield "Saliency", lambda: [saliency()]


def _best_by_pt(
    sample: Sample, better: dict[str, np.ndarray], scores: dict[str, Any]
) -> tuple[str, list[dict[str, Any]]] | None:
    """The best baseline other than pT, in the same bins."""
    name = next((name for name in better if name != "pT"), None)
    if name is None or sample.pt is None:
        return None
    edges = np.array([scores["bins"][0]["low"], *(row["high"] for row in scores["bins"])])
    return name, metrics.by_pt(better[name], sample.label, sample.pt, edges)


def _images(sample: Sample, grid: Grid, planes: Planes) -> Drawing:
    titles = [f"{c.name} [{c.unit}]" for c in grid.channels]
    return Drawing(
        "images", "Mean images",
        "Mean absolute value of each pixel, one colour scale a channel (below it), cells as they "
        "are stored. Difference: (signal - background) / sum, smoothed, from -1 (blue) to 1 (red).",
        displays.by_channel(planes, sample.classes, titles, grid.shape[:2], sample.text),
    )  # fmt: skip


def _saliency(sample: Sample, grid: Grid, planes: Planes) -> Drawing:
    return Drawing(
        "saliency", "Mean saliency",
        "How strongly the log-odds of the signal react to a small change of a pixel, as the "
        "network is given it: the mean |derivative| over events of a class. What stays dark is "
        "not looked at.",
        displays.by_channel(planes, sample.classes, grid.names, grid.shape[:2], sample.text),
    )  # fmt: skip
