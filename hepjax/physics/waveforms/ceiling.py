"""What can be known of a second scatter at most, from two sides.

Number of electrons, width, separation and share of the charge are known for each pulse, so both
hypotheses are simple and the lemma of Neyman and Pearson holds. For who sees each electron arrive
the likelihood ratio is exact: it comes with the simulation (column ``ratio``), and no score of the
waveform can find more at the same background. ``log_ratio`` here is for the waveform itself: mean
and covariance of the simulation, electrons that stay together included, in a normal likelihood.
That is no bound for pulses of few electrons, which are not normal, but a score that can be reached.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import ndtr

from hepjax.formats.waveforms.layout import DETECTOR, Detector

JOINED = 4
"""Samples that are added up: 80 ns, a third of the narrowest pulse."""
MARGIN = 128
"""Samples beside the window whose electrons still count."""
TRUTH = ("electrons", "drift_time", "separation", "fraction", "shift")


def log_ratio(
    waveform: np.ndarray, truth: Mapping[str, np.ndarray], detector: Detector = DETECTOR
) -> np.ndarray:
    """Logarithm (n,) of the likelihood of two scatters over that of one.

    Args:
      waveform: (n, samples) photoelectrons, samples a multiple of ``JOINED``.
      truth: ``electrons``, ``drift_time``, ``separation``, ``fraction``, ``shift`` (n,), see
        ``formats/waveforms/layout.py``.
    """
    columns = zip(*(np.asarray(truth[name], float) for name in TRUTH), strict=True)
    joined = waveform.reshape(len(waveform), -1, JOINED).sum(-1, dtype=float)
    window = slice(MARGIN // JOINED, (MARGIN + detector.samples) // JOINED)
    light = detector.photons * _glow(detector)[:, window]
    with _one_thread():
        return _ratios(joined, columns, light, detector)


def _one_thread() -> AbstractContextManager[Any]:
    """The products are so small that threads would only wait for one another."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1)


def _ratios(
    joined: np.ndarray, columns: Iterable[tuple[float, ...]], light: np.ndarray, detector: Detector
) -> np.ndarray:
    made = np.empty(len(joined))
    for row, (found, (electrons, drift, separation, fraction, shift)) in enumerate(
        zip(joined, columns, strict=True)
    ):
        width = detector.width_us(drift) / detector.sample_us
        transit = round(detector.transit_us / detector.sample_us)
        # Time in samples of the window, so that joined samples begin where the window does.
        centre = detector.samples / 2 + MARGIN - transit / 2 - shift
        first = centre - fraction * separation
        two = (1 - fraction) * _arrivals(first, width, detector)
        two += fraction * _arrivals(first + separation, width, detector)
        one = _arrivals(centre, width, detector)
        made[row] = _log_likelihood(found, electrons * two, light, detector) - _log_likelihood(
            found, electrons * one, light, detector
        )
    return made


def _arrivals(centre: float, width: float, d: Detector) -> np.ndarray:
    """Share of a Gaussian in each joined sample of the grid."""
    edges = np.arange(0, d.samples + 2 * MARGIN + 1, JOINED)
    return np.asarray(np.diff(ndtr((edges - centre) / width)))


def _glow(d: Detector) -> np.ndarray:
    """Share of the light (grid, grid), in joined samples, of electrons of a joined sample, who
    arrive evenly in it and shine evenly for the time of transit."""
    transit, grid = round(d.transit_us / d.sample_us), d.samples + 2 * MARGIN
    edges = np.arange(0.0, grid + 1, JOINED)

    def both(t: np.ndarray) -> np.ndarray:
        """The ramp t^2 / 2 of positive times, from which the sum of two even times is made."""
        return np.asarray(np.maximum(t, 0.0) ** 2 / 2)

    # Distribution function of the sum of two even times, up to each edge, for each beginning.
    t = edges[None, :] - edges[:-1, None]
    total = both(t) - both(t - JOINED) - both(t - transit) + both(t - JOINED - transit)
    return np.asarray(np.diff(total, axis=1) / (JOINED * transit))


def _log_likelihood(found: np.ndarray, number: np.ndarray, light: np.ndarray, d: Detector) -> float:
    """Of a window of joined samples, for mean numbers of electrons in the joined samples."""
    mean = number @ light
    covariance = (1 + d.gain_spread**2) * (light.T * number) @ light
    own = (1 + d.spe**2) * mean + JOINED * d.noise**2
    root = np.linalg.cholesky(covariance + np.diag(own))
    whitened = solve_triangular(root, found - mean, lower=True, check_finite=False)
    return float(-0.5 * whitened @ whitened - np.log(np.diag(root)).sum())
