"""Transport of electrons and photons through a tracker: material effects and bending.

Bremsstrahlung, pair conversion, multiple scattering, and circular tracks in the plane perpendicular
to the magnetic field. No ionisation, no reconstruction.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hepjax import InputError

METRES_PER_GEV = 1.0 / 0.299792458
"""Bending radius in m of a unit charge of 1 GeV in 1 T."""
SOFTEST_PHOTON = 0.02
"""Infrared cut-off of bremsstrahlung, GeV. Softer photons carry 0.1 % of an electron of 50 GeV."""


@dataclass(frozen=True)
class Tracker:
    """Thin layers of material in a field perpendicular to the flight direction. Lengths in mm."""

    layers_mm: tuple[float, ...] = tuple(np.linspace(80.0, 1020.0, 12).tolist())
    thickness_x0: float = 0.58  # of all layers together
    field_t: float = 3.8
    calorimeter_mm: float = 1290.0  # its front face

    def __post_init__(self) -> None:
        if np.any(np.diff([0.0, *self.layers_mm, self.calorimeter_mm]) <= 0):
            raise InputError(f"tracker: expected layers in order before the face, found {self}")
        if self.thickness_x0 < 0:
            raise InputError(
                f"tracker: expected a thickness of at least 0 X0, found {self.thickness_x0}"
            )


class Beam(NamedTuple):
    """Electrons, positrons and photons at one distance from the vertex; (k,) arrays."""

    event: np.ndarray  # int64, number of the event each belongs to
    energy: np.ndarray  # GeV
    charge: np.ndarray  # -1, 0, 1
    x: np.ndarray  # mm, offset from the initial direction in the bending plane
    sine: np.ndarray  # of the angle to the initial direction, in the bending plane
    y: np.ndarray  # mm, offset perpendicular to the bending plane
    slope: np.ndarray  # tangent of the angle out of the bending plane


def traverse(tracker: Tracker, beam: Beam, rng: np.random.Generator) -> Beam:
    """Transport particles and their secondaries from the vertex to the face of the calorimeter.

    Particles that curl up in the field before they reach it are dropped.
    """
    here, share = 0.0, tracker.thickness_x0 / max(len(tracker.layers_mm), 1)
    for layer in tracker.layers_mm:
        beam = _fly(tracker, beam, layer - here)
        here = layer
        photons = beam.charge == 0
        # Secondaries interact from the next layer on.
        converted = _convert(_select(beam, photons), share, rng)
        radiated = _radiate(_scatter(_select(beam, ~photons), share, rng), share, rng)
        beam = _join([*converted, *radiated])
    return _fly(tracker, beam, tracker.calorimeter_mm - here)


def _fly(tracker: Tracker, beam: Beam, step: float) -> Beam:
    """Transport over ``step`` mm: exact circles for charged particles, lines for photons."""
    event, energy, charge, x, sine, y, slope = beam
    curvature = charge * tracker.field_t / (1e3 * METRES_PER_GEV * energy)  # 1/mm
    after = sine + curvature * step
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine, cosine_after = np.sqrt(1.0 - sine**2), np.sqrt(1.0 - after**2)
        # step * (tangent of the mean direction), the same for a circle and for a line
        x = x + step * (sine + after) / (cosine + cosine_after)
    kept = np.abs(after) < 1.0
    return _select(Beam(event, energy, charge, x, after, y + step * slope, slope), kept)


def _convert(photons: Beam, x0: float, rng: np.random.Generator) -> list[Beam]:
    """Pair conversion in ``x0`` radiation lengths: photons left, then both leptons of each pair.

    Source: probability 1 - exp(-7/9 x0); density of the energy fraction u proportional to
    1 - 4/3 u (1 - u), complete screening (B. Rossi; Particle Data Group).
    """
    hit = rng.random(len(photons.energy)) < -np.expm1(-7.0 / 9.0 * x0)
    pairs = _select(photons, hit)
    n = len(pairs.energy)
    # 1 - 4/3 u (1 - u) = 2/3 + (1 - 2 u)^2 / 3, a mixture: 6/7 of it is flat.
    spread = np.where(rng.random(n) < 6.0 / 7.0, rng.random(n), rng.random(n) ** (1.0 / 3.0))
    u = 0.5 * (1.0 + spread)
    sign = np.where(rng.random(n) < 0.5, 1, -1)
    return [
        _select(photons, ~hit),
        pairs._replace(energy=pairs.energy * u, charge=sign),
        pairs._replace(energy=pairs.energy * (1.0 - u), charge=-sign),
    ]


def _scatter(electrons: Beam, x0: float, rng: np.random.Generator) -> Beam:
    """Multiple scattering in ``x0`` radiation lengths: Gaussian, Highland's width in each plane.

    Source: Particle Data Group, passage of particles through matter, eq. 34.16.
    """
    if not x0:
        return electrons
    width = 0.0136 / electrons.energy * np.sqrt(x0) * (1.0 + 0.038 * np.log(x0))
    kicks = width * rng.standard_normal((2, len(width)))
    sine = np.clip(electrons.sine + kicks[0], -1.0, 1.0)
    return electrons._replace(sine=sine, slope=electrons.slope + kicks[1])


def _radiate(electrons: Beam, x0: float, rng: np.random.Generator) -> list[Beam]:
    """Bremsstrahlung in ``x0`` radiation lengths: the electrons with less energy, then the photons.

    Source: dN/dy = x0 (4/3 - 4/3 y + y^2) / y for the energy fraction y, complete screening.
    """
    energy = electrons.energy.copy()
    softest = np.log(np.maximum(energy / SOFTEST_PHOTON, 1.0))
    tries = rng.poisson(4.0 / 3.0 * softest * x0)
    made = [electrons._replace(energy=energy)]
    for i in range(int(tries.max(initial=0))):
        rows = np.flatnonzero(tries > i)
        # Rejection sampling: proposed from 1/y, accepted with the ratio to the true spectrum.
        y = np.exp(-softest[rows] * rng.random(len(rows)))
        kept = rng.random(len(rows)) < 1.0 - y + 0.75 * y**2
        rows, y = rows[kept], y[kept]
        photon = _select(electrons, rows)
        made.append(photon._replace(energy=y * energy[rows], charge=np.zeros_like(photon.charge)))
        energy[rows] *= 1.0 - y
    return made


def _select(beam: Beam, rows: np.ndarray) -> Beam:
    return Beam(*(values[rows] for values in beam))


def _join(parts: list[Beam]) -> Beam:
    return Beam(*(np.concatenate(values) for values in zip(*parts, strict=True)))
