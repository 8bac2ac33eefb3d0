"""Where a helix meets the surfaces of the detector next, exactly, for many particles at once.

A particle at (x, y, z) flies along phi with curvature k = -q CURVATURE B / pT (1 / mm of transverse
path s): phi(s) = phi + k s, z(s) = z + s cot(theta).
"""

import numpy as np

from hepjax.formats.tracking.detector import CURVATURE, FIELD, PARTS, SURFACES

STEP = 0.5
"""Shortest transverse path to the next surface, mm."""
RADII = np.array([s.at for s in SURFACES if not s.disc])
CYLINDERS = np.array([k for k, s in enumerate(SURFACES) if not s.disc])
PLACES = np.array([s.at for s in SURFACES if s.disc])
DISCS = np.array([k for k, s in enumerate(SURFACES) if s.disc])
LENGTHS = np.array([PARTS[SURFACES[k].part].half_length for k in CYLINDERS])
RINGS = np.array([PARTS[SURFACES[k].part].ring for k in DISCS])


def curvature(pt: np.ndarray, charge: np.ndarray) -> np.ndarray:
    """k (p,) of transverse momenta in GeV and charges."""
    return -charge * CURVATURE * FIELD / pt


def along(
    x: np.ndarray, y: np.ndarray, phi: np.ndarray, k: np.ndarray, s: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Position (x, y) after the transverse path s."""
    return x + (np.sin(phi + k * s) - np.sin(phi)) / k, y - (np.cos(phi + k * s) - np.cos(phi)) / k


def next_surface(
    position: np.ndarray, phi: np.ndarray, cot: np.ndarray, k: np.ndarray, left: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The surface that each particle meets next and the transverse path to it.

    Args:
      position: (p, 3) mm. phi, cot, k: (p,) direction, cot(theta), curvature.
      left: (p,) transverse path after which a particle is given up.
    Returns:
      (p,) number of the surface, -1 if it meets none, and (p,) mm.
    """
    x, y, z = (position[:, axis, None] for axis in range(3))
    phi, cot, k = phi[:, None], cot[:, None], k[:, None]
    centre_x, centre_y = x - np.sin(phi) / k, y + np.cos(phi) / k
    distance, angle = np.hypot(centre_x, centre_y), np.arctan2(centre_y, centre_x)
    with np.errstate(invalid="ignore", divide="ignore"):
        sine = (RADII**2 - distance**2 - 1 / k**2) * k / (2 * distance)
        turn = np.arcsin(sine)  # NaN: the circle does not reach the cylinder
    paths = [
        np.mod((there - phi) * np.sign(k) - STEP * np.abs(k), 2 * np.pi) / np.abs(k) + STEP
        for there in (angle + turn, angle + np.pi - turn)
    ]
    s = np.fmin(*paths)
    s = np.where(np.abs(z + s * cot) < LENGTHS, s, np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        d = (PLACES - z) / cot
    d = np.where(d > STEP, d, np.inf)
    finite = np.where(np.isfinite(d), d, 0.0)
    radius = np.hypot(*along(x, y, phi, k, finite))
    d = np.where((radius > RINGS[:, 0]) & (radius < RINGS[:, 1]), d, np.inf)
    every = np.concatenate([np.where(np.isfinite(s), s, np.inf), d], axis=1)
    which = every.argmin(1)
    nearest = every[np.arange(len(every)), which]
    met = np.concatenate([CYLINDERS, DISCS])[which]
    return np.where(nearest < left, met, -1), np.where(np.isfinite(nearest), nearest, 0.0)
