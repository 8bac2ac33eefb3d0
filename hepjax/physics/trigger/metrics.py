"""How well a trigger network decides: accuracy, areas, efficiencies at a rate. Pure functions."""

from typing import Any

import numpy as np

from hepjax.formats.trigger.tasks import SPACING, TASKS, mixture

RATES = (1e-2, 1e-3, 1e-4, 1e-5)
"""Shares of the background that a trigger may keep."""
HARD_EFFICIENCY = 0.93
"""Share of hard tracks that the filter of smart pixels keeps, as published."""


def area(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: the probability that a positive event has the higher score, half
    where both are equal; NaN without events of one kind."""
    n = int(positive.sum())
    if n in (0, len(positive)):
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2.0)[place]
    return float((rank[positive].sum() - n * (n + 1) / 2.0) / (n * (len(positive) - n)))


def accuracy(probability: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Share of events (n, classes) whose most probable class is theirs, and its standard error."""
    share = float(np.mean(probability.argmax(axis=1) == label))
    return share, float(np.sqrt(share * (1 - share) / len(label)))


def bayes(task: str, inputs: np.ndarray, label: np.ndarray) -> tuple[float, float] | None:
    """Accuracy of the true probabilities on the same events, which no classifier exceeds but by
    chance, and its error; None where they are not known."""
    return accuracy(mixture(task).posterior(inputs), label) if task in SPACING else None


def efficiencies(
    background: np.ndarray, signal: np.ndarray, rates: tuple[float, ...] = RATES
) -> dict[str, float | None]:
    """Share of signal scores above the threshold that so much of the background passes; None where
    fewer than ten background events would pass, which measures no rate."""
    ordered = np.sort(background)[::-1]
    found: dict[str, float | None] = {}
    for rate in rates:
        passing = int(rate * len(ordered))
        known = passing >= 10
        found[f"{rate:g}"] = float(np.mean(signal > ordered[passing])) if known else None
    return found


def classified(
    task: str, probabilities: dict[str, np.ndarray], label: np.ndarray
) -> dict[str, Any]:
    """Accuracy with its error, and the area of each class against the others; of smart pixels also
    the share of soft clusters that is cut where ``HARD_EFFICIENCY`` of the hard ones are kept."""
    names = TASKS[task].classes
    table = np.stack([probabilities[name] for name in names], axis=1)
    share, error = accuracy(table, label)
    scores: dict[str, Any] = {"accuracy": share, "accuracy_error": error}
    scores["auc"] = {n: area(table[:, k], label == k) for k, n in enumerate(names)}
    if task == "pixels":
        least = np.quantile(table[label == 0, 0], 1 - HARD_EFFICIENCY)
        scores["soft_cut"] = float(np.mean(table[label > 0, 0] < least))
    return scores


def anomalous(task: str, score: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """Of each signal the area against the background, and its efficiencies at low rates."""
    scores: dict[str, Any] = {"auc": {}, "efficiency": {}}
    for number, name in enumerate(TASKS[task].classes[1:], start=1):
        both = (label == 0) | (label == number)
        scores["auc"][name] = area(score[both], label[both] == number)
        scores["efficiency"][name] = efficiencies(score[label == 0], score[label == number])
    found = [a for a in scores["auc"].values() if np.isfinite(a)]
    return scores | {"mean_auc": float(np.mean(found)) if found else float("nan")}
