"""How well a score tells signal from background: areas, rejections, calibration, with errors.

Pure functions of scores (n,), labels (n,) of 1 for signal and 0 for background, and weights (n,) or
None for equal ones. ROC and area come from scikit-learn (extra ``plot``).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hepjax import InputError, MissingExtraError

try:
    from sklearn.metrics import roc_auc_score, roc_curve
except ImportError as error:
    raise MissingExtraError("metrics of the tagger", "plot") from error

SIGNAL_EFFICIENCIES = (0.3, 0.5)
"""Working points at which the rejection is quoted (the convention of the field)."""
THRESHOLD = 0.5
"""Above it an event counts as signal in the accuracy."""
MIN_EVENTS = 20
"""A bin of pT with fewer events of a class is not scored."""
CONFIDENCE = 0.95
"""Of the lower limit on a rejection where (almost) no background is left."""


@dataclass(frozen=True)
class Rejection:
    """1 / eps_B at a signal efficiency, with its binomial error; or a lower limit."""

    efficiency: float
    """eps_S."""
    value: float
    """1 / eps_B, or the lower limit at ``CONFIDENCE``."""
    error: float
    """From the number of background events alone; NaN for a limit."""
    limit: bool
    """Less than one background event passes, so 1 / eps_B is not measured."""
    background: float
    """Background events that pass (interpolated; effective number if weighted)."""

    def __str__(self) -> str:
        if self.limit:
            return f"> {self.value:.0f} ({CONFIDENCE:.0%} CL)"
        digits = 1 if self.value < 100 else 0
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}"


def roc(
    score: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Efficiencies of background and of signal as the threshold falls, (k,) each, from 0 to 1.

    Raises:
      InputError: a class without events, other labels than 0 and 1, or values that are not finite.
    """
    _check(score, label, weight)
    background, signal, _ = roc_curve(label, score, sample_weight=weight, drop_intermediate=False)
    return background, signal


def auc(
    score: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None
) -> tuple[float, float]:
    """Area under the ROC curve and its standard error.

    The error follows DeLong et al., Biometrics 44 (1988) 837, with weights in both sums.
    NaN with one event in a class.
    """
    _check(score, label, weight)
    area = float(roc_auc_score(label, score, sample_weight=weight))
    return area, _spread(_placements(score, label, weight), label, weight)


def auc_difference(
    score: np.ndarray, other: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None
) -> tuple[float, float]:
    """Area of ``score`` minus area of ``other`` on the same events, and its standard error.

    Paired (DeLong et al.), so what both scores owe to the choice of events drops out.
    """
    for values in (score, other):
        _check(values, label, weight)
    placements = _placements(score, label, weight) - _placements(other, label, weight)
    signal = np.asarray(label) == 1
    difference = np.average(placements[signal], weights=_take(weight, signal))
    return float(difference), _spread(placements, label, weight)


def accuracy(
    score: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None
) -> tuple[float, float]:
    """Share of events on the right side of ``THRESHOLD``, and its binomial error."""
    _check(score, label, weight)
    share = float(np.average((score > THRESHOLD) == (label == 1), weights=weight))
    return share, float(np.sqrt(share * (1 - share) / _effective(len(score), weight)))


def rejections(
    score: np.ndarray, label: np.ndarray, efficiencies: Sequence[float],
    weight: np.ndarray | None = None,
) -> list[Rejection]:  # fmt: skip
    """1 / eps_B at signal efficiencies, linear between points of the ROC.

    With less than one background event left the value is a lower limit: none seen in n excludes
    eps_B > 1 - (1 - CONFIDENCE)^(1/n).
    """
    background, signal = roc(score, label, weight)
    # Of the points with one signal efficiency the first has the least background.
    steps, first = np.unique(signal, return_index=True)
    is_background = np.asarray(label) == 0
    n = _effective(int(is_background.sum()), _take(weight, is_background))
    limit = float(1 / (1 - (1 - CONFIDENCE) ** (1 / n)))
    points = []
    for efficiency in efficiencies:
        eps = float(np.interp(efficiency, steps, background[first]))
        if eps * n < 1:
            points.append(Rejection(efficiency, limit, float("nan"), True, eps * n))
        else:
            error = float(np.sqrt(eps * (1 - eps) / n) / eps**2)
            points.append(Rejection(efficiency, 1 / eps, error, False, eps * n))
    return points


def score_all(
    score: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None
) -> dict[str, Any]:
    """AUC, accuracy and the rejections as plain numbers, the form of ``scores.json``."""
    area, area_error = auc(score, label, weight)
    share, share_error = accuracy(score, label, weight)
    points = rejections(score, label, SIGNAL_EFFICIENCIES, weight)
    return {
        "signal": int((label == 1).sum()), "background": int((label == 0).sum()),
        "auc": area, "auc_error": area_error,
        "accuracy": share, "accuracy_error": share_error,
        "rejection": {f"{p.efficiency:g}": asdict(p) | {"text": str(p)} for p in points},
    }  # fmt: skip


def pt_edges(pt: np.ndarray, bins: int = 5) -> np.ndarray:
    """Edges in GeV of bins of pT with about equally many events, on round numbers."""
    low, high = float(pt.min()), float(pt.max())
    step = 10.0 ** np.floor(np.log10(max(high - low, 1.0) / bins) - 1)
    inner = np.round(np.quantile(pt, np.arange(1, bins) / bins) / step)
    inner = inner[(inner * step > low) & (inner * step < high)]
    return step * np.unique([np.floor(low / step), *inner, np.floor(high / step) + 1])


def by_pt(
    score: np.ndarray, label: np.ndarray, pt: np.ndarray, edges: np.ndarray,
    weight: np.ndarray | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """``score_all`` in bins of pT: ``low`` <= pT < ``high`` in GeV, and numbers of events.

    Bins with fewer than ``MIN_EVENTS`` of a class have ``used`` false and the numbers alone.
    """
    rows = []
    for low, high in pairwise(edges):
        inside = (pt >= low) & (pt < high)
        signal = int((label[inside] == 1).sum())
        background = int(inside.sum()) - signal
        row = {"low": float(low), "high": float(high), "signal": signal, "background": background}
        used = min(signal, background) >= MIN_EVENTS
        if used:
            row |= score_all(score[inside], label[inside], _take(weight, inside))
        rows.append(row | {"used": used})
    return rows


def calibration(
    score: np.ndarray, label: np.ndarray, bins: int = 10, weight: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Signal share against the mean score, in equal bins of the score from 0 to 1 that hold events.

    Returns:
      ``score`` and ``share`` with its binomial ``error``, and ``fraction`` of all events, (k,)
      each; sum of fraction |share - score| is the expected calibration error.
    """
    _check(score, label, weight)
    if score.min() < 0 or score.max() > 1:
        raise InputError(f"score: expected 0 to 1, found {score.min():g} to {score.max():g}")
    weight = np.ones(len(score)) if weight is None else np.asarray(weight, float)
    index = np.minimum((score * bins).astype(int), bins - 1)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(index, values, bins)

    filled = total(weight) > 0
    sums = total(weight)[filled]
    share = total(weight * label)[filled] / sums
    effective = sums**2 / total(weight**2)[filled]
    # Half an event more on both sides: a bin with one class alone is not known without error.
    likely = (share * effective + 0.5) / (effective + 1)
    return {
        "score": total(weight * score)[filled] / sums,
        "share": share,
        "error": np.sqrt(likely * (1 - likely) / effective),
        "fraction": sums / weight.sum(),
    }


def _check(score: np.ndarray, label: np.ndarray, weight: np.ndarray | None) -> None:
    for name, values in (("score", score), ("weight", weight)):
        if values is None:
            continue
        if np.shape(values) != np.shape(label) or np.ndim(values) != 1:
            raise InputError(
                f"{name}: expected one for each of {np.shape(label)} labels, "
                f"found {np.shape(values)}"
            )
        bad = np.count_nonzero(~np.isfinite(values))
        if bad:
            raise InputError(
                f"{name}: expected finite numbers, found {bad} of {len(values)} that are not"
            )
    signal, background = np.count_nonzero(label == 1), np.count_nonzero(label == 0)
    if signal + background != len(label):
        raise InputError("label: expected 0 (background) and 1 (signal), found others")
    if not signal or not background:
        raise InputError(
            f"label: expected events of both classes, found {signal} signal and "
            f"{background} background"
        )
    if weight is not None and (
        np.min(weight) < 0 or min(np.sum(weight[label == k]) for k in (0, 1)) <= 0
    ):
        raise InputError(
            "weight: expected none negative, and a positive sum in both classes, found others"
        )


def _placements(score: np.ndarray, label: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Share of the other class that an event is on the right side of, (n,); means are the area."""
    weight = np.ones(len(score)) if weight is None else np.asarray(weight, float)
    values, index = np.unique(score, return_inverse=True)
    below = []
    for k in (0, 1):
        here = np.bincount(index, weight * (label == k), len(values))
        below.append((np.cumsum(here) - here / 2) / here.sum())  # equal scores count half
    return np.where(label == 1, below[0][index], 1 - below[1][index])


def _spread(placements: np.ndarray, label: np.ndarray, weight: np.ndarray | None) -> float:
    """Standard error of the mean placement, both classes added in squares."""
    weight = np.ones(len(label)) if weight is None else np.asarray(weight, float)
    variance = 0.0
    for k in (0, 1):
        placed, n = placements[label == k], np.count_nonzero(label == k)
        w = weight[label == k] / weight[label == k].sum()
        squares = (w**2 * (placed - np.sum(w * placed)) ** 2).sum()
        variance += squares * n / (n - 1) if n > 1 else np.nan
    return float(np.sqrt(variance))


def _effective(count: int, weight: np.ndarray | None) -> float:
    """Events with the same statistical power at equal weights (Kish)."""
    if weight is None:
        return float(count)
    return float(np.sum(weight) ** 2 / np.sum(np.square(weight)))


def _take(values: np.ndarray | None, index: np.ndarray) -> np.ndarray | None:
    return None if values is None else values[index]
