"""How well candidates stand for the true particles: classes, momenta, numbers, missing momentum.

Pure functions of rows (n, 7), one per detector element and without padding, in the columns of
``Particle`` (GeV); row i of ``truth`` and of ``found`` is the same element. Energies and
momenta of candidates must be filled, as the readers do.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from hepjax.formats.particleflow.columns import CLASSES, NEUTRAL_HADRON, NONE, PHOTON, Particle

NAMES = tuple(name.replace(" ", "_") for name in CLASSES)
"""Classes as keys of scores, by class id."""
CLIP = 10.0
"""Largest |reco - gen| / gen that enters a mean (published)."""
TO_SIGMA = 1.35
"""Interquartile range of a normal distribution, in standard deviations."""
MIN_ENTRIES = 50
"""A bin with fewer particles is left blank (published)."""
THRESHOLDS = {1: 0.8, 2: 0.025}
"""By class: smaller probabilities count as 0 in the decision rule of the paper."""
QUANTITIES = ("pt", "energy", "eta", "delta_eta", "delta_phi")
"""The first three are (reco - gen) / gen, the others reco - gen, phi in radians."""


def decide(probability: np.ndarray, thresholds: dict[int, float]) -> np.ndarray:
    """Classes (n,) from probabilities (n, 6): the most probable one that passes its threshold.

    Without thresholds plain argmax. Source of the rule: Pata et al., EPJC 81 (2021) 381, code v1.1.
    A threshold below 1/6, like 0.025 for neutral hadrons, never changes the class.
    """
    passing = probability.copy()
    for label, least in thresholds.items():
        passing[passing[:, label] < least, label] = 0.0
    return np.argmax(passing, axis=-1)


def classes(rows: np.ndarray) -> np.ndarray:
    """Class ids (n,) int64."""
    return rows[:, Particle.CLASS].astype(np.int64)


def confusion(true: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Numbers of elements (6, 6) by true class (row) and found class (column), ids (n,) each."""
    size = len(CLASSES)
    return np.bincount(true * size + found, minlength=size**2).reshape(size, size)


def share(part: float, whole: float) -> tuple[float, float]:
    """part / whole and its binomial error; NaN without any."""
    if whole <= 0:
        return float("nan"), float("nan")
    value = part / whole
    return float(value), float(np.sqrt(value * (1 - value) / whole))


def class_scores(counts: np.ndarray, label: int) -> dict[str, Any]:
    """Efficiency and fake rates of a class from a confusion matrix, with binomial errors.

    ``efficiency``: N(gen = reco = class) / N(gen = class).
    ``fake_rate``: 1 - N(gen = reco = class) / N(reco = class), as in the published table:
    elements without a true particle (class 0) count.
    ``fake_rate_of_particles``: the same where there is a true particle, as published in figures.
    """
    both, found = counts[label, label], counts[:, label]
    scores: dict[str, Any] = {"true": int(counts[label].sum()), "found": int(found.sum())}
    for name, part, whole in (
        ("efficiency", both, counts[label].sum()),
        ("fake_rate", found.sum() - both, found.sum()),
        ("fake_rate_of_particles", found[1:].sum() - both, found[1:].sum()),
    ):
        scores[name], scores[f"{name}_error"] = share(part, whole)
    return scores


def efficiency_at(true: np.ndarray, probability: np.ndarray, fake_rate: float) -> dict[str, float]:
    """Largest efficiency of a cut on the probability of a class that keeps to a fake rate.

    So finders are compared at the same fake rate, wherever argmax lies.

    Args:
      true: (n,) bool, elements with a true particle of the class.
      probability: (n,) of the class.
      fake_rate: as in ``class_scores``, class 0 counts.
    Returns:
      ``threshold``, the smallest probability accepted; ``efficiency`` and its binomial error. NaN
      if no cut is that clean, or without particles.
    """
    order = np.argsort(-probability, kind="stable")
    cut, good = probability[order], np.cumsum(true[order])
    whole = np.append(cut[1:] < cut[:-1], True)  # equal probabilities are found together
    least = (1.0 - fake_rate) * np.arange(1, len(cut) + 1)
    clean = np.flatnonzero(whole & (good + 1e-6 >= least))  # rates are quotients, and rounded
    last = clean[-1] if len(clean) else None
    value, error = share(0.0 if last is None else good[last], 0 if last is None else true.sum())
    threshold = float("nan") if last is None else float(cut[last])
    return {"threshold": threshold, "efficiency": value, "efficiency_error": error}


def against(
    truth: np.ndarray, found: np.ndarray, label: int, column: Particle, edges: np.ndarray
) -> dict[str, np.ndarray]:
    """Efficiency and fake rate (bins,) of a class in bins of ``column``, with errors.

    Efficiency in bins of the true value, fake rate (class 0 counts) of the found one. Bins with
    fewer than ``MIN_ENTRIES`` are NaN.
    """
    true, reco = classes(truth) == label, classes(found) == label
    result = {}
    for name, rows, selected, good in (
        ("efficiency", truth, true, reco),
        ("fake_rate", found, reco, ~true),
    ):
        values = rows[:, column]
        whole = np.histogram(values[selected], edges)[0]
        part = np.histogram(values[selected & good], edges)[0]
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(whole >= MIN_ENTRIES, part / whole, np.nan)
            result[name] = ratio
            result[f"{name}_error"] = np.sqrt(ratio * (1 - ratio) / whole)
    return result


def common(truth: np.ndarray, candidates: list[np.ndarray], label: int) -> np.ndarray:
    """Elements (n,) bool that truth and all candidates give to the class: a fair comparison."""
    return np.all([classes(rows) == label for rows in (truth, *candidates)], axis=0)


def deviation(truth: np.ndarray, found: np.ndarray, quantity: str) -> np.ndarray:
    """(reco - gen) / gen or reco - gen (n,), see ``QUANTITIES``; not clipped, NaN for gen = 0."""
    true, reco = truth.astype(np.float64), found.astype(np.float64)
    if quantity == "delta_eta":
        return reco[:, Particle.ETA] - true[:, Particle.ETA]
    if quantity == "delta_phi":
        return wrapped(phi(reco) - phi(true))
    column = Particle[quantity.upper()]
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = (reco[:, column] - true[:, column]) / true[:, column]
    return np.where(np.isfinite(relative), relative, np.nan)


def phi(rows: np.ndarray) -> np.ndarray:
    """Azimuth (n,) in radians, -pi to pi."""
    return np.arctan2(rows[:, Particle.SIN_PHI], rows[:, Particle.COS_PHI])


def wrapped(angle: np.ndarray) -> np.ndarray:
    """The same angle from -pi to pi."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def spread(values: np.ndarray) -> dict[str, Any]:
    """Mean, standard deviation, median and robust width of the values, clipped at ``CLIP``.

    Returns:
      ``count``, ``mean``, ``std``, ``median`` and ``iqr``, the interquartile range / 1.35; NaN
      without values. Values that are NaN do not count. The median response reco / gen is
      1 + ``median`` of relative quantities.
    """
    values = np.clip(values[np.isfinite(values)], -CLIP, CLIP)
    if not len(values):
        nothing = float("nan")
        return {"count": 0} | dict.fromkeys(("mean", "std", "median", "iqr"), nothing)
    low, median, high = np.percentile(values, (25, 50, 75))
    return {
        "count": len(values), "mean": float(values.mean()), "std": float(values.std()),
        "median": float(median), "iqr": float((high - low) / TO_SIGMA),
    }  # fmt: skip


def in_bins(position: np.ndarray, values: np.ndarray, edges: np.ndarray) -> dict[str, np.ndarray]:
    """``median`` and ``iqr`` (bins,) of values in bins of their position; NaN where there are few.

    Returns besides: ``error``, the standard error of the median for a normal core.
    """
    rows = []
    for low, high in pairwise(edges):
        found = spread(values[(position >= low) & (position < high)])
        enough = found["count"] >= MIN_ENTRIES
        error = 1.25 * found["iqr"] / np.sqrt(max(found["count"], 1))
        rows.append([found["median"], found["iqr"], error] if enough else [np.nan] * 3)
    return dict(zip(("median", "iqr", "error"), np.array(rows).T, strict=True))


def multiplicity(rows: np.ndarray, event: np.ndarray, events: int, label: int) -> np.ndarray:
    """Particles of a class in each event, (events,); ``event`` (n,) is the event of each row."""
    return np.bincount(event[classes(rows) == label], minlength=events)


def multiplicity_scores(true: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Mean and standard deviation of (reco - gen) / gen over events with any, and Pearson's r.

    Args:
      true, found: (events,) numbers of particles.
    """
    some = true > 0
    relative = (found[some] - true[some]) / true[some]
    varied = len(true) > 1 and true.std() > 0 and found.std() > 0
    nothing = float("nan")
    return {
        "true": float(true.mean()), "found": float(found.mean()),
        "mean": float(relative.mean()) if len(relative) else nothing,
        "std": float(relative.std()) if len(relative) else nothing,
        "r": float(np.corrcoef(true, found)[0, 1]) if varied else nothing,
    }  # fmt: skip


def missing_pt(rows: np.ndarray, event: np.ndarray, events: int) -> np.ndarray:
    """|sum of the transverse momenta| (events,) in GeV of all rows with a particle."""
    pt = np.where(classes(rows) != NONE, rows[:, Particle.PT], 0.0).astype(np.float64)
    x = np.bincount(event, pt * rows[:, Particle.COS_PHI], events)
    y = np.bincount(event, pt * rows[:, Particle.SIN_PHI], events)
    return np.hypot(x, y)


def main_column(label: int) -> Particle:
    """What a class is measured by: the energy of neutral particles, the pt of charged ones."""
    return Particle.ENERGY if label in (NEUTRAL_HADRON, PHOTON) else Particle.PT
