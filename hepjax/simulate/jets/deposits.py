"""Contents of the channels of jet images from the tracks and towers of a detector.

Assigns deposits to jets, finds hits in pixel layers, and maps wide towers to the grid of the image.
"""

import numpy as np

from hepjax.simulate.collisions.detector import CMS, Detector, Response
from hepjax.simulate.collisions.particles import Particles
from hepjax.simulate.collisions.propagation import to_cylinder
from hepjax.simulate.collisions.towers import Calorimeter
from hepjax.simulate.jets.images import (
    BPIX_RADIUS_MM,
    CELL_ETA,
    CELLS_PER_TOWER,
    TURN,
    WINDOW,
    Deposits,
)

TOWER_ETA = CELL_ETA * CELLS_PER_TOWER
TOWERS_ROUND = TURN // CELLS_PER_TOWER
_REACH = CELL_ETA * (WINDOW // 2 + CELLS_PER_TOWER)
_MOST_ROWS = 5
"""Rows of the image's towers that the highest tower of the detector can touch, and one more."""


def deposits_of(
    particles: Particles, response: Response, detector: Detector = CMS
) -> dict[str, Deposits]:
    """Deposits of one event by channel; ``jet`` is 0 everywhere.

    Tracks are placed by their direction at the vertex. A found track hits each pixel layer outside
    its production point. Towers keep their own position.
    """
    tracks = response.tracks
    values = {"pT": tracks.pt, "d0": tracks.d0, "dz": tracks.dz}
    deposits = {name: _deposits(tracks.eta, tracks.phi, value) for name, value in values.items()}
    found = particles[tracks.particle]
    for name, radius in BPIX_RADIUS_MM.items():
        deposits[name] = pixel_hits(found, radius, detector.field_tesla)
    ecal, hcal = response.ecal, response.hcal
    deposits["ECAL"] = in_middle(detector.ecal, _none(ecal.cell), ecal.cell, ecal.et)
    deposits["HCAL"] = spread(detector.hcal, _none(hcal.cell), hcal.cell, hcal.et)
    return deposits


def seen_by(deposits: dict[str, Deposits], eta: np.ndarray, phi: np.ndarray) -> dict[str, Deposits]:
    """The deposits of one event near each of its jets (n,), ``jet`` counting from 0."""
    near = {}
    for name, what in deposits.items():
        far_phi = np.abs(np.remainder(what.phi - phi[:, None] + np.pi, 2 * np.pi) - np.pi)
        jet, rows = np.nonzero((np.abs(what.eta - eta[:, None]) < _REACH) & (far_phi < _REACH))
        near[name] = Deposits(jet, what.eta[rows], what.phi[rows], what.value[rows])
    return near


def merged(parts: list[dict[str, Deposits]], jets: list[int]) -> dict[str, Deposits]:
    """Deposits of several events, jets renumbered; ``jets`` is the count of each event."""
    before = np.cumsum([0, *jets])
    return {
        name: Deposits(
            np.concatenate([part[name].jet + b for part, b in zip(parts, before, strict=False)]),
            *(
                np.concatenate([getattr(part[name], field) for part in parts])
                for field in ("eta", "phi", "value")
            ),
        )
        for name in parts[0]
    }


def pixel_hits(charged: Particles, radius_mm: float, field_tesla: float) -> Deposits:
    """One hit for each charged particle that crosses a cylinder from inside, seen from the origin.

    The barrel has no end here: in the detector, disks continue it.
    """
    points = to_cylinder(charged, radius_mm, np.inf, field_tesla)
    x, y, z = (values[points.reached] for values in (points.x, points.y, points.z))
    return _deposits(np.arcsinh(z / radius_mm), np.arctan2(y, x), np.ones(len(z)))


def in_middle(
    calorimeter: Calorimeter, jet: np.ndarray, cell: np.ndarray, et: np.ndarray
) -> Deposits:
    """Towers at their centre, for a calorimeter as fine as the image."""
    low_eta, high_eta, low_phi, high_phi = calorimeter.grid.edges(cell)
    return Deposits(jet, 0.5 * (low_eta + high_eta), 0.5 * (low_phi + high_phi), et)


def spread(calorimeter: Calorimeter, jet: np.ndarray, cell: np.ndarray, et: np.ndarray) -> Deposits:
    """Split towers of any size over the towers of the image, 0.087 x 5 degrees, by area.

    In the barrel both are equal; beyond |eta| 1.653 the towers of the detector are wider.
    """
    low_eta, high_eta, low_phi, high_phi = calorimeter.grid.edges(cell)
    row = np.floor(low_eta / TOWER_ETA + 1e-6)[:, None] + np.arange(_MOST_ROWS)
    inside = np.minimum(high_eta[:, None], (row + 1) * TOWER_ETA)
    inside = inside - np.maximum(low_eta[:, None], row * TOWER_ETA)
    share = np.where(inside > 1e-6, inside, 0.0)
    share /= share.sum(axis=1, keepdims=True)
    columns = np.round((high_phi - low_phi) / (2 * np.pi) * TOWERS_ROUND).astype(np.int64)
    tower, at = np.nonzero(share)
    copies = columns[tower]
    tower, at = np.repeat(tower, copies), np.repeat(at, copies)
    number = np.arange(len(tower)) - np.repeat(np.cumsum(copies) - copies, copies)
    phi = low_phi[tower] + 2 * np.pi / TOWERS_ROUND * (number + 0.5)
    value = et[tower] * share[tower, at] / columns[tower]
    return Deposits(jet[tower], (row[tower, at] + 0.5) * TOWER_ETA, phi, value)


def _deposits(eta: np.ndarray, phi: np.ndarray, value: np.ndarray) -> Deposits:
    return Deposits(_none(eta), eta, phi, value)


def _none(values: np.ndarray) -> np.ndarray:
    return np.zeros(len(values), np.int64)
