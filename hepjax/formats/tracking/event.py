"""One event: its hits, and where the truth is known the particles that made them."""

from dataclasses import dataclass

import numpy as np

from hepjax.formats.tracking.detector import CURVATURE, FARTHEST, FIELD, REACH

NOISE = 0
"""``particle`` of a hit that no particle made."""


@dataclass(frozen=True)
class Event:
    """Arrays over hits (n,) and over particles (p,).

    Attributes:
      xyz: (n, 3) float32 mm.
      surface: (n,) number of the surface in ``detector.SURFACES``.
      module: (n,) module in its layer.
      particle: (n,) int64 identifier, 0 for noise; None without truth.
      weight: (n,) float32 of the TrackML score.
      identifier: (p,) int64 of the particles.
      vertex: (p, 3) mm. momentum: (p, 3) GeV. charge: (p,).
    """

    xyz: np.ndarray
    surface: np.ndarray
    module: np.ndarray
    particle: np.ndarray | None = None
    weight: np.ndarray | None = None
    identifier: np.ndarray | None = None
    vertex: np.ndarray | None = None
    momentum: np.ndarray | None = None
    charge: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.xyz)

    def of_hits(self, values: np.ndarray, none: float = 0.0) -> np.ndarray:
        """Values (p, ...) of particles for each hit; ``none`` for noise and unknown particles."""
        assert self.identifier is not None
        assert self.particle is not None
        order = np.argsort(self.identifier)
        known = self.identifier[order]
        place = np.clip(np.searchsorted(known, self.particle), 0, max(len(known) - 1, 0))
        found = np.zeros(len(self), bool)
        if len(known):
            found = (known[place] == self.particle) & (self.particle != NOISE)
        made = np.full((len(self), *values.shape[1:]), none, values.dtype)
        made[found] = values[order][place[found]]
        return made

    @property
    def pt(self) -> np.ndarray:
        """(p,) GeV."""
        assert self.momentum is not None
        return np.hypot(self.momentum[:, 0], self.momentum[:, 1])

    @property
    def eta(self) -> np.ndarray:
        """(p,) pseudorapidity."""
        assert self.momentum is not None
        return np.arcsinh(self.momentum[:, 2] / np.maximum(self.pt, 1e-9))


def radius_of_curvature(pt: np.ndarray) -> np.ndarray:
    """mm of transverse momenta in GeV."""
    return pt / (CURVATURE * FIELD)


def outside(xyz: np.ndarray) -> np.ndarray:
    """Which positions (n, 3) lie outside of both detectors, or are no numbers."""
    radius, z = np.hypot(xyz[:, 0], xyz[:, 1]), np.abs(xyz[:, 2])
    inside: np.ndarray = (radius < REACH[0]) & (z < FARTHEST)
    return ~inside


def score_weights(particle: np.ndarray, pt: np.ndarray) -> np.ndarray:
    """Weights (n,) of hits in the TrackML score, by the transverse momentum of their particle.

    0.2 at 0.5 GeV and below, 1 at 3 GeV and above, straight in between; 0 for noise and for
    particles of fewer than four hits; they sum to 1. The challenge also weighs the order of the
    hits, which is left out.
    """
    _, place, count = np.unique(particle, return_inverse=True, return_counts=True)
    weight = np.interp(pt, (0.5, 3.0), (0.2, 1.0))
    weight = np.where((particle != NOISE) & (count[place] >= 4), weight, 0.0)
    total = weight.sum()
    return (weight / total if total > 0 else weight).astype(np.float32)
