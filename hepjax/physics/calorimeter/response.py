"""The energy response of a sample: a curve fitted to the mean, and one to the spread about it.

The visible over the incident energy is fitted by a parabola in ln E, and its relative spread by the
usual sigma / mean = a / sqrt(E) + c, the two terms added in quadrature.
"""

from typing import NamedTuple

import numpy as np
from scipy import optimize

from hepjax.physics.calorimeter import metrics

DEGREE = 2
"""Of the polynomial in ln E of the mean."""
POINTS = 20
"""Energies at which fits are compared."""
MIN_EVENTS = 20


class Response(NamedTuple):
    """What was fitted; energies in GeV."""

    mean: np.ndarray
    """Coefficients of the polynomial in ln E, highest power first."""
    stochastic: float
    """a, sqrt(GeV)."""
    constant: float
    """c."""

    def at(self, energy: np.ndarray) -> np.ndarray:
        """Mean visible over incident energy at energies (n,)."""
        return np.polyval(self.mean, np.log(energy))

    def resolution(self, energy: np.ndarray) -> np.ndarray:
        """Relative spread at energies (n,)."""
        return np.sqrt(self.stochastic**2 / energy + self.constant**2)


def fitted(fraction: np.ndarray, energy: np.ndarray) -> Response | None:
    """The fits to visible over incident energies ``fraction`` (n,) at ``energy`` (n,) GeV.

    Returns:
      None for fewer than ``MIN_EVENTS`` showers. Where the mean is not positive, as with empty
      showers, there is no spread about it: both terms are 0.
    """
    fraction, energy = (np.asarray(a, float) for a in (fraction, energy))
    if len(energy) < MIN_EVENTS:
        return None
    degree = min(DEGREE, len(np.unique(energy)) - 1)
    mean = np.polyfit(np.log(energy), fraction, degree)
    expected = np.polyval(mean, np.log(energy))
    if not (expected > 0).all():
        return Response(mean, 0.0, 0.0)
    squared = (fraction / expected - 1) ** 2
    terms = np.stack([1 / energy, np.ones_like(energy)], axis=1)
    variance = np.full(len(energy), squared.mean())
    for _ in range(3):  # the spread of a squared deviation grows with its mean
        weight = 1 / np.maximum(variance, 1e-12)
        found = optimize.nnls(terms * weight[:, None], squared * weight)[0]
        variance = terms @ found
    return Response(mean, float(np.sqrt(found[0])), float(np.sqrt(found[1])))


def distances(
    reference: tuple[np.ndarray, np.ndarray], generated: tuple[np.ndarray, np.ndarray]
) -> tuple[float, float]:
    """Relative difference of the fitted means, and of the fitted spreads, averaged over energies.

    Args:
      reference, generated: visible over incident energies (n,) and incident energies (n,) GeV.
    Returns:
      NaN, NaN with too few showers in either; NaN where the reference has no mean or no spread.
    """
    r, g = fitted(*reference), fitted(*generated)
    if r is None or g is None:
        return float("nan"), float("nan")
    energy = np.quantile(reference[1], (np.arange(POINTS) + 0.5) / POINTS)
    return (
        metrics.relative(r.at(energy), g.at(energy)),
        metrics.relative(r.resolution(energy), g.resolution(energy)),
    )
