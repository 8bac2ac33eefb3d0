"""The TrackML detector: ten cylinders and 38 discs around the beam, and how well they measure.

Lengths mm. Source: detectors.csv of the TrackML challenge (18,728 modules), reduced to surfaces;
resolutions, efficiency and overlaps measured on a TrackML event.
"""

from typing import NamedTuple

import numpy as np

FIELD = 2.0
"""Tesla, along z; of true hits in TrackML, 2.0 T misses the helix by 0.002 mm at the median."""
CURVATURE = 0.2998e-3
"""GeV / (T mm): pT = CURVATURE x field x radius."""


class Part(NamedTuple):
    """Layers of one kind."""

    name: str
    barrel: int
    """Volume of the cylinders; the discs on both sides have numbers of their own."""
    radii: tuple[float, ...]
    """Of the cylinders."""
    half_length: float
    discs: tuple[float, ...]
    """abs(z) of the discs."""
    ring: tuple[float, float]
    """Inner and outer radius of the discs."""
    sides: tuple[int, int]
    """Volumes of the discs at negative and at positive z."""
    barrel_error: tuple[float, float]
    """Of a hit along r phi and along z."""
    disc_error: tuple[float, float]
    """Of a hit along r phi and along r."""
    stagger: float
    """Spread of the modules of a layer around it."""
    thickness: float
    """Of a layer in radiation lengths."""
    module: tuple[float, float]
    """Half sizes of a module of a cylinder along r phi and z."""


FAR = (1220.0, 1500.0, 1800.0, 2150.0, 2550.0, 2950.0)
PARTS = (
    Part("pixel", 8, (32.0, 72.0, 116.0, 172.0), 491.0,
         (600.0, 700.0, 820.0, 960.0, 1100.0, 1300.0, 1500.0), (30.0, 176.0), (7, 9),
         (0.006, 0.012), (0.013, 0.009), 0.7, 0.025, (8.4, 36.0)),
    Part("short strip", 13, (260.0, 360.0, 500.0, 660.0), 1084.0, FAR, (240.0, 700.0), (12, 14),
         (0.017, 0.26), (0.020, 0.3), 2.5, 0.03, (24.0, 54.0)),
    Part("long strip", 17, (820.0, 1020.0), 1084.0, FAR, (750.0, 1020.0), (16, 18),
         (0.024, 3.1), (0.12, 2.8), 2.5, 0.03, (24.0, 54.0)),
)  # fmt: skip
REACH = (1100.0, 3000.0)
"""Largest radius and abs(z) of a hit."""
FARTHEST = 3050.0
"""The same abs(z) in the Open Data Detector, whose last discs are at 3,000 mm."""


class Surface(NamedTuple):
    """A cylinder (of radius ``at``) or a disc (at z = ``at``)."""

    part: int
    volume: int
    layer: int
    """As TrackML numbers them: 2, 4, ... outwards, or with rising z."""
    disc: bool
    at: float


def _surfaces() -> tuple[Surface, ...]:
    found = []
    for number, part in enumerate(PARTS):
        for k, radius in enumerate(part.radii):
            found.append(Surface(number, part.barrel, 2 * (k + 1), False, radius))
        for side, sign in zip(part.sides, (-1, 1), strict=True):
            places = sorted(sign * z for z in part.discs)
            for k, z in enumerate(places):
                found.append(Surface(number, side, 2 * (k + 1), True, z))
    return tuple(found)


SURFACES = _surfaces()
"""All, numbered from 0."""
_NUMBER = {(s.volume, s.layer): k for k, s in enumerate(SURFACES)}


def surface_of(volume: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Number of the surface of each hit, -1 where the detector has none."""
    key = volume.astype(np.int64) * 1000 + layer
    known = np.array(sorted(v * 1000 + n for v, n in _NUMBER), np.int64)
    number = np.array([_NUMBER[int(k) // 1000, int(k) % 1000] for k in known])
    place = np.clip(np.searchsorted(known, key), 0, len(known) - 1)
    return np.where(known[place] == key, number[place], -1)
