"""Propagation in the magnetic field: helices for charged, straight lines for neutral particles.

Formulas only; tracks.py and towers.py decide which particles are seen. Lengths in mm, field along z
in tesla.
"""

from typing import NamedTuple

import numpy as np

from hepjax.simulate.collisions.particles import Particles

CURVATURE = 0.299792458e-3
"""GeV per (mm T): transverse momentum of a unit charge on a circle of 1 mm in 1 T."""

LONGEST_PATH = 1e7
"""mm, transverse. A particle with a longer path counts as never leaving."""


class Points(NamedTuple):
    """Where particles leave a cylinder; all (n,), mm. Position zero where not ``reached``."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    reached: np.ndarray  # bool: it starts inside and gets to the side or to an end


def to_cylinder(
    particles: Particles, radius_mm: float, half_length_mm: float, field_tesla: float
) -> Points:
    """First crossing of the cylinder |r| = radius, |z| = half length about the beam.

    A charged particle of azimuth phi0 at path s (transverse) is at
    x = x0 + (sin(phi0 + k s) - sin phi0) / k, y = y0 - (cos(phi0 + k s) - cos phi0) / k,
    z = z0 + s pz / pT, with k = -q B 0.3e-3 / pT; a neutral one is the limit k = 0. Particles that
    curl up inside the cylinder go on to one of its ends.
    """
    pt, inside = particles.pt, _inside(particles, radius_mm, half_length_mm)
    moving = inside & (pt > 1e-6)
    pt = np.where(moving, pt, 1.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        end = np.where(particles.pz > 0, half_length_mm, -half_length_mm) - particles.z
        to_end = np.where(particles.pz != 0, end * pt / particles.pz, np.inf)
    curved = (particles.charge != 0) & (field_tesla != 0)
    to_side = np.empty_like(pt)
    to_side[~curved] = _line_to_side(particles[~curved], radius_mm)
    to_side[curved] = _helix_to_side(particles[curved], radius_mm, field_tesla)
    path = np.minimum(to_end, to_side)
    reached = moving & (path < LONGEST_PATH)
    x, y, z, _ = position(particles, np.where(reached, path, 0.0), field_tesla)
    x, y, z = (np.where(reached, values, 0.0) for values in (x, y, z))
    return Points(x, y, z, reached)


def position(
    particles: Particles, path_mm: np.ndarray, field_tesla: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x, y, z (mm) and azimuth of flight (rad) after a transverse path (n,)."""
    pt = np.maximum(particles.pt, 1e-9)
    turn = _curvature(particles, field_tesla) * path_mm
    phi = np.arctan2(particles.py, particles.px)
    # The chord 2 sin(turn / 2) / k, written so that it is exact for straight lines as well.
    chord = path_mm * np.sinc(turn / (2.0 * np.pi))
    x = particles.x + chord * np.cos(phi + 0.5 * turn)
    y = particles.y + chord * np.sin(phi + 0.5 * turn)
    return x, y, particles.z + path_mm * particles.pz / pt, phi + turn


def impact_parameters(particles: Particles, field_tesla: float) -> tuple[np.ndarray, np.ndarray]:
    """Transverse (d0) and longitudinal (dz) impact parameters with respect to the origin, mm.

    At the point of closest approach to the beam line, d0 = (x py - y px) / pT and dz = z. Neutral
    particles get the values of the straight line.
    """
    k = _curvature(particles, field_tesla)
    phi = np.arctan2(particles.py, particles.px)
    cross = particles.x * np.sin(phi) - particles.y * np.cos(phi)
    along = particles.x * np.cos(phi) + particles.y * np.sin(phi)
    # With the centre of the circle at distance rc from the beam: d0 = sign(k) (1/|k| - rc), whose
    # numerator and denominator are multiplied by 1/|k| + rc to keep precision on stiff tracks.
    square = cross * cross + along * along
    root = np.sqrt(np.maximum(1.0 - 2.0 * k * cross + k * k * square, 0.0))
    d0 = (2.0 * cross - k * square) / (1.0 + root)
    turn = -np.arctan2(k * along, 1.0 - k * cross)
    stiff = np.abs(k * along) < 1e-9
    path = np.where(stiff, -along, turn / np.where(k == 0.0, 1.0, k))
    return d0, particles.z + path * particles.pz / np.maximum(particles.pt, 1e-9)


def _curvature(particles: Particles, field_tesla: float) -> np.ndarray:
    """k = d(phi)/ds, 1/mm."""
    return -particles.charge * CURVATURE * field_tesla / np.maximum(particles.pt, 1e-9)


def _inside(particles: Particles, radius_mm: float, half_length_mm: float) -> np.ndarray:
    near = particles.x**2 + particles.y**2 < radius_mm**2
    return near & (np.abs(particles.z) < half_length_mm)


def _line_to_side(particles: Particles, radius_mm: float) -> np.ndarray:
    pt = np.maximum(particles.pt, 1e-9)
    along = (particles.x * particles.px + particles.y * particles.py) / pt
    across = (particles.x * particles.py - particles.y * particles.px) / pt
    return np.sqrt(np.maximum(radius_mm**2 - across**2, 0.0)) - along


def _helix_to_side(particles: Particles, radius_mm: float, field_tesla: float) -> np.ndarray:
    """Transverse path to the side, infinite for a circle that stays inside."""
    k = _curvature(particles, field_tesla)
    phi = np.arctan2(particles.py, particles.px)
    centre_x = particles.x - np.sin(phi) / k
    centre_y = particles.y + np.cos(phi) / k
    distance = np.maximum(np.hypot(centre_x, centre_y), 1e-12)
    # |position|^2 = distance^2 + 1/k^2 + 2 distance sin(phi - phi_centre) / k
    sine = k * (radius_mm**2 - distance**2 - 1.0 / k**2) / (2.0 * distance)
    crossing = np.arcsin(np.clip(sine, -1.0, 1.0))
    azimuth = np.arctan2(centre_y, centre_x) - phi
    first, second = (
        np.mod(np.sign(k) * (azimuth + angle), 2.0 * np.pi)
        for angle in (crossing, np.pi - crossing)
    )
    path = np.minimum(first, second) / np.abs(k)
    return np.where(np.abs(sine) <= 1.0, path, np.inf)
