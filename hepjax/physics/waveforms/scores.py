"""From scores to background p-values: calibrated in the pulse area, two-sided, combined.

A threshold on a raw score would mean another background for small pulses than for large ones. So a
deviation is measured in widths from its median at this area. Smooth anomalies have a smaller chi2
than normal pulses, so both its tails count. The divergence is compared with all pulses: what
never occurs should not be forgiven because of its area.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

BIN_PULSES = 400
"""Normal pulses in a bin of area at least."""
MOST_BINS = 24
TAIL = 0.01
"""Share of a tail that is continued as an exponential, beyond which there are too few pulses."""


BY_AREA = ("chi2", "coarse", "spike", "bump")
"""Scores that are calibrated in the area."""
TWO_SIDED = ("chi2",)


@dataclass(frozen=True)
class Background:
    """A score of normal pulses: its median and widths by area, and what is left without them."""

    at: np.ndarray
    """Mean logarithm of the area of each bin."""
    median: np.ndarray
    below: np.ndarray
    """Distance from the quantile at 16 % to the median, of each bin."""
    above: np.ndarray
    residuals: np.ndarray
    """Sorted, of all pulses, in these widths."""


def backgrounds(found: Mapping[str, np.ndarray]) -> dict[str, Background]:
    """The background of each score of normal pulses; ``found`` also has their ``area``."""
    known = {name: calibrate(found[name], found["area"]) for name in BY_AREA}
    return known | {"kl": calibrate(found["kl"], found["area"], bins=1)}


def p_values(
    known: Mapping[str, Background], found: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The p-value (n,) of each score of some pulses."""
    return {
        name: (two_sided if name in TWO_SIDED else upper)(known[name], found[name], found["area"])
        for name in (*BY_AREA, "kl")
    }


def combined(known: Mapping[str, Background], found: Mapping[str, np.ndarray]) -> np.ndarray:
    """One score (n,) of all: Cauchy's combination of their p-values, as minus its logarithm.

    The combined p-value holds for dependent scores, where it is small (Liu and Xie, JASA 115
    (2020) 393).
    """
    p = np.stack(list(p_values(known, found).values()))
    # tan near its pole, where 1 / (pi p) is exact and does not lose small p.
    terms = np.where(p < 1e-8, 1 / (np.pi * np.maximum(p, 1e-300)), np.tan((0.5 - p) * np.pi))
    mean = terms.mean(0)
    return -np.log(np.where(mean > 1e6, 1 / (np.pi * mean), 0.5 - np.arctan(mean) / np.pi))


def calibrate(score: np.ndarray, area: np.ndarray, bins: int | None = None) -> Background:
    """The background of a score (n,) from normal pulses of these areas (n,), n at least 2.

    Args:
      bins: of the area; by default as many as have ``BIN_PULSES`` pulses.
    """
    size = np.log(area)
    bins = bins or int(np.clip(len(score) // BIN_PULSES, 1, MOST_BINS))
    parts = np.array_split(np.argsort(size, kind="stable"), bins)
    at = np.array([size[part].mean() for part in parts])
    low, median, high = np.array([np.quantile(score[p], (0.16, 0.5, 0.84)) for p in parts]).T
    least = 1e-9 + 1e-6 * np.abs(median)
    known = Background(
        at, median, np.maximum(median - low, least), np.maximum(high - median, least), np.zeros(0)
    )
    residuals = np.sort(deviation(known, score, area))
    return Background(known.at, known.median, known.below, known.above, residuals)


def deviation(background: Background, score: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Scores (n,) in widths from the median at their area."""
    size = np.log(area)
    median, below, above = (
        np.interp(size, background.at, curve)
        for curve in (background.median, background.below, background.above)
    )
    distance = score - median
    return np.asarray(distance / np.where(distance > 0, above, below))


def upper(background: Background, score: np.ndarray, area: np.ndarray) -> np.ndarray:
    """p-values (n,): probability of a normal pulse to score as high or higher."""
    return _tail(background.residuals, deviation(background, score, area))


def two_sided(background: Background, score: np.ndarray, area: np.ndarray) -> np.ndarray:
    """p-values (n,): twice the smaller of both tails."""
    found = deviation(background, score, area)
    high = _tail(background.residuals, found)
    low = _tail(-background.residuals[::-1], -found)
    return np.minimum(2 * np.minimum(high, low), 1.0)


def _tail(residuals: np.ndarray, found: np.ndarray) -> np.ndarray:
    n = len(residuals)
    place = np.searchsorted(residuals, found, side="left")
    share = (n - place + 1) / (n + 1)
    first = residuals[int((1 - TAIL) * n) :]
    begin, mean = first[0], max(float((first - first[0]).mean()), 1e-9)
    # Bounded, so that no p-value is 0.
    beyond = TAIL * np.exp(-np.clip((found - begin) / mean, 0.0, 680.0))
    return np.where(found > begin, beyond, np.maximum(share, TAIL))


def threshold(normal: np.ndarray, background: float) -> float:
    """The value that a share ``background`` of normal pulses exceeds."""
    kept = np.sort(normal)[::-1]
    return float(kept[min(int(background * len(kept)), len(kept) - 1)])


def efficiency(values: np.ndarray, cut: float) -> tuple[float, float]:
    """Share of ``values`` above the cut and its binomial error."""
    share = float((values > cut).mean())
    return share, float(np.sqrt(max(share * (1 - share), 1 / len(values) / 4) / len(values)))
