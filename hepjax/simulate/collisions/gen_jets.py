"""Which jet each particle of an MLPF event belongs to: the eighth column of the TFDS layout."""

import numpy as np

from hepjax.ops import clustering

RADIUS = 0.4
PT_MIN = 5.0
"""GeV."""


def jet_numbers(particles: np.ndarray) -> np.ndarray:
    """Number of the anti-kt jet (R = 0.4, pT > 5 GeV) of each particle, 0 for none.

    Args:
      particles: (N, 7) columns class, charge, pT, eta, sin phi, cos phi, E; class 0 is no particle.
    Returns:
      (N,) float32. As published, numbers follow the clustering, from 1 on, not pT.
    Raises:
      MissingExtraError: ``fastjet`` is not installed.
    """
    number = np.zeros(len(particles), np.float32)
    rows = np.flatnonzero(particles[:, 0])
    pt, eta, sin, cos, energy = particles[rows, 2:].astype(np.float64).T
    momenta = clustering.momenta(pt, eta, cos, sin, energy)
    number[rows] = clustering.jet_numbers(momenta, RADIUS, PT_MIN)
    return number
