"""Stable particles of an event as plain arrays, between generators and detector.

No detector and no generator here. Codes follow the numbering scheme of the Particle Data Group.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np


@dataclass(frozen=True)
class Particles:
    """One array per property, all (n,)."""

    pdg: np.ndarray  # int32
    charge: np.ndarray  # int8, in units of the positron charge
    px: np.ndarray  # GeV
    py: np.ndarray
    pz: np.ndarray
    energy: np.ndarray
    x: np.ndarray  # production vertex, mm from the centre of the detector
    y: np.ndarray
    z: np.ndarray
    t: np.ndarray  # production time, mm/c

    def __len__(self) -> int:
        return len(self.pdg)

    def __getitem__(self, rows: np.ndarray | slice) -> "Particles":
        return Particles(*(getattr(self, f.name)[rows] for f in fields(self)))

    @property
    def pt(self) -> np.ndarray:
        """Transverse momentum, GeV."""
        return np.hypot(self.px, self.py)

    @property
    def eta(self) -> np.ndarray:
        """Pseudorapidity of the momentum."""
        return pseudorapidity(self.px, self.py, self.pz)

    @property
    def phi(self) -> np.ndarray:
        """Azimuth of the momentum, -pi to pi."""
        return np.arctan2(self.py, self.px)


def particles(
    pdg: np.ndarray,
    charge: np.ndarray,
    momentum: Sequence[np.ndarray],
    vertex: Sequence[np.ndarray] | None = None,
) -> Particles:
    """Particles from a four-momentum (px, py, pz, energy) and a vertex (x, y, z, t).

    Args:
      pdg: (n,) codes.
      charge: (n,) in units of the positron charge.
      momentum: four arrays (n,), GeV.
      vertex: four arrays (n,), mm; all at the origin if left out.
    """
    n = len(pdg)
    where = [np.zeros(n)] * 4 if vertex is None else vertex
    reals = [np.asarray(values, np.float64) for values in (*momentum, *where)]
    return Particles(np.asarray(pdg, np.int32), np.asarray(charge, np.int8), *reals)


def concatenate(parts: Sequence[Particles]) -> Particles:
    """All particles of several events, in order."""
    return Particles(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Particles))
    )


def turned(event: Particles, angle: np.ndarray | float) -> Particles:
    """Momenta and vertices turned about the beam by ``angle`` (n,) or one for all, rad."""
    cos, sin = np.cos(angle), np.sin(angle)
    return replace(
        event,
        px=cos * event.px - sin * event.py,
        py=sin * event.px + cos * event.py,
        x=cos * event.x - sin * event.y,
        y=sin * event.x + cos * event.y,
    )


def moved(event: Particles, z: np.ndarray | float, t: np.ndarray | float) -> Particles:
    """Vertices moved along the beam by ``z`` mm, and in time by ``t`` mm/c."""
    return replace(event, z=event.z + z, t=event.t + t)


def pseudorapidity(px: np.ndarray, py: np.ndarray, pz: np.ndarray) -> np.ndarray:
    """arsinh(pz / pT), large but finite along the beam."""
    return np.arcsinh(pz / np.maximum(np.hypot(px, py), 1e-9))
