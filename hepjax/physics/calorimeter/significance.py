"""Statistical tests of all distributions of two samples, with their number in mind."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from hepjax.physics.calorimeter import metrics
from hepjax.physics.calorimeter.comparison import Sample, axes_of, select

LEVEL = 0.05
SHOWN = 12
"""Tests with the smallest p-values that are listed."""
TEST_BINS = 20
"""Bins of equal population of the reference for the chi2 test."""
Take = Callable[[Sample], np.ndarray]


class Test(NamedTuple):
    """A test that a quantity has one distribution in both samples."""

    quantity: str
    bin: int
    """Of incident energy."""
    test: str
    p: float


def scalars(sample: Sample) -> dict[str, Take]:
    """Quantities with one number a shower: name to a function of a sample, (n,)."""
    axes = axes_of(sample)
    found: dict[str, Take] = {
        name: lambda s, name=name: s[name]  # type: ignore[misc]
        for name in ("ecal_sum", "sampling_fraction", "hits", "peak_share", "tail_share")
    }
    found["occupancy"] = lambda s: s["sparsity"][:, 0]
    for order in range(3):
        for k, axis in enumerate(axes):
            found[f"M{axis}{order + 1}"] = lambda s, o=order, k=k: s["moments"][:, o, k]  # type: ignore[misc]
    for k in range(3):
        found[f"R{k + 1}"] = lambda s, k=k: s["ratios"][:, k]  # type: ignore[misc]
    for k, axis in enumerate(axes):
        found[f"hottest {axis}"] = lambda s, k=k: s["max_position"][:, k]  # type: ignore[misc]
    if "measured_angle" in sample:
        found["measured angle"] = lambda s: s["measured_angle"]
        found["angle error"] = lambda s: s["theta"] - s["measured_angle"]
    return found


def tests(reference: Sample, generated: Sample, bins: metrics.Bins) -> dict[str, Any]:
    """Kolmogorov-Smirnov and chi2 tests of scalars and Hotelling's of mean profiles, by bin.

    Bins with fewer than ``metrics.MIN_EVENTS`` showers are left out.

    Returns:
      ``count`` of tests, how many ``rejected`` equality at ``level`` after Holm's adjustment, the
      ``smallest_adjusted`` p-value, and the tests with the ``smallest`` p-values.
    """
    found = [t for k, pair in enumerate(_binned(reference, generated, bins))
             if min(len(s["energy"]) for s in pair) >= metrics.MIN_EVENTS
             for t in _of_bin(k, *pair)]  # fmt: skip
    found = [t for t in found if np.isfinite(t.p)]
    adjusted = metrics.holm(np.array([t.p for t in found]))
    order = np.argsort([t.p for t in found], kind="stable")[:SHOWN]
    return {
        "count": len(found),
        "rejected": int((adjusted < LEVEL).sum()),
        "level": LEVEL,
        "smallest_adjusted": float(adjusted.min()) if len(found) else None,
        "smallest": [
            {"quantity": found[i].quantity, "energy_bin": found[i].bin, "test": found[i].test,
             "p": found[i].p, "adjusted": adjusted[i]}
            for i in order
        ],
    }  # fmt: skip


def _binned(
    reference: Sample, generated: Sample, bins: metrics.Bins
) -> Iterator[tuple[Sample, Sample]]:
    inside = [np.asarray(metrics.in_bins(s["energy"], bins)) for s in (reference, generated)]
    for r, g in zip(*inside, strict=True):
        yield select(reference, r), select(generated, g)


def _of_bin(number: int, reference: Sample, generated: Sample) -> Iterator[Test]:
    for name, take in scalars(reference).items():
        r, g = take(reference), take(generated)
        yield Test(name, number, "KS", ks(r, g))
        yield Test(name, number, "χ²", chi_squared(r, g))
    for axis in axes_of(reference):
        name = f"profile_{axis}"
        p = metrics.same_means(reference[name], generated[name])
        yield Test(f"mean profile along {axis}", number, "Hotelling", p)


def ks(reference: np.ndarray, generated: np.ndarray) -> float:
    """p-value of the Kolmogorov-Smirnov test with the asymptotic distribution."""
    return float(stats.ks_2samp(reference, generated, method="asymp").pvalue)


def chi_squared(reference: np.ndarray, generated: np.ndarray) -> float:
    """p-value of the chi2 test in bins of equal population of both samples together."""
    both = np.concatenate([reference, generated]).astype(float)
    bins = int(np.clip(len(both) // 20, 2, TEST_BINS))
    edges = np.unique(np.quantile(both, np.linspace(0, 1, bins + 1)))
    if len(edges) < 3:
        return float("nan")
    edges[-1] = np.nextafter(edges[-1], np.inf)
    return metrics.chi_squared(*(np.histogram(v, edges)[0] for v in (reference, generated)))
