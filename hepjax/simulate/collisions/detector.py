"""The response of a CMS-like detector to an event, in the parametrisation of Delphes.

Combines propagation, tracks, towers and energy flow, each of which has its own module. No pile-up
here (pileup.py) and no images or ntuples.
"""

from dataclasses import dataclass

import numpy as np

from hepjax.simulate.collisions.energy_flow import energy_flow
from hepjax.simulate.collisions.particles import Particles, pseudorapidity
from hepjax.simulate.collisions.propagation import to_cylinder
from hepjax.simulate.collisions.towers import (
    ECAL,
    HCAL,
    Calorimeter,
    Towers,
    above_threshold,
    fill_towers,
)
from hepjax.simulate.collisions.tracks import Tracks, find_tracks

PHOTON, NEUTRAL_HADRON = 22, 130


@dataclass(frozen=True)
class Detector:
    """A tracker in a solenoid, and two calorimeters behind it."""

    radius_mm: float = 1290.0
    half_length_mm: float = 3000.0
    field_tesla: float = 3.8
    ecal: Calorimeter = ECAL
    hcal: Calorimeter = HCAL


CMS = Detector()


@dataclass(frozen=True)
class Response:
    """What the detector sees of one event."""

    tracks: Tracks
    ecal: Towers
    hcal: Towers
    track_factor: np.ndarray  # (tracks,) of the energy flow, on the measured pT
    photon_energy: np.ndarray  # (ecal towers,) neutral excess, GeV; 0: no photon
    neutral_energy: np.ndarray  # (hcal towers,) neutral excess, GeV; 0: no neutral hadron


@dataclass(frozen=True)
class FlowObjects:
    """Energy-flow objects: all tracks, then photons, then neutral hadrons; all (n,)."""

    pdg: np.ndarray  # of the true particle for tracks, 22 and 130 for the neutrals
    charge: np.ndarray
    pt: np.ndarray  # GeV
    eta: np.ndarray
    phi: np.ndarray
    energy: np.ndarray  # GeV


def respond(particles: Particles, rng: np.random.Generator, detector: Detector = CMS) -> Response:
    """Tracks, towers and energy flow of the stable particles of one event.

    Indices of particles in the response refer to ``particles``; all draws come from ``rng``.
    """
    points = to_cylinder(
        particles, detector.radius_mm, detector.half_length_mm, detector.field_tesla
    )
    eta = np.where(points.reached, pseudorapidity(points.x, points.y, points.z), np.nan)
    phi = np.arctan2(points.y, points.x)
    charged = np.flatnonzero((particles.charge != 0) & points.reached)
    tracks = find_tracks(
        particles, charged, (eta[charged], phi[charged]), detector.field_tesla, rng
    )
    energy, factor = tracks.energy, np.ones(len(tracks))
    seen = []
    for compartment in (detector.ecal, detector.hcal):
        towers = fill_towers(compartment, particles.energy, particles.pdg, eta, phi, rng)
        cell = compartment.grid.cell(tracks.eta_outer, tracks.phi_outer)
        excess, scale = energy_flow(
            compartment, towers, energy, tracks.resolution, tracks.pdg, cell
        )
        # The HCAL sees the tracks as the ECAL scaled them.
        factor = factor * scale
        energy = _scaled_energy(tracks, factor)
        towers, kept = above_threshold(towers)
        seen.append((towers, excess[kept]))
    (ecal, photons), (hcal, neutrals) = seen
    return Response(tracks, ecal, hcal, factor, photons, neutrals)


def flow_objects(response: Response) -> FlowObjects:
    """The energy flow of an event as one list, for jets and missing momentum."""
    tracks, factor = response.tracks, response.track_factor
    photon, neutral = response.photon_energy > 0, response.neutral_energy > 0
    towers = [(response.ecal, photon), (response.hcal, neutral)]
    eta = np.concatenate([tracks.eta, *(t.eta[kept] for t, kept in towers)])
    phi = np.concatenate([tracks.phi, *(t.phi[kept] for t, kept in towers)])
    energy = np.concatenate([
        _scaled_energy(tracks, factor),
        response.photon_energy[photon],
        response.neutral_energy[neutral],
    ])  # fmt: skip
    pt = energy / np.cosh(eta)
    pt[: len(tracks)] = factor * tracks.pt
    codes = np.repeat([PHOTON, NEUTRAL_HADRON], [photon.sum(), neutral.sum()])
    return FlowObjects(
        pdg=np.concatenate([tracks.pdg, codes]),
        charge=np.concatenate([tracks.charge, 0 * codes]),
        pt=pt,
        eta=eta,
        phi=phi,
        energy=energy,
    )


def _scaled_energy(tracks: Tracks, factor: np.ndarray) -> np.ndarray:
    """Energies after scaling the momenta; masses stay."""
    momentum = tracks.pt * np.cosh(tracks.eta)
    mass2 = tracks.energy**2 - momentum**2
    return np.sqrt(np.maximum((factor * momentum) ** 2 + mass2, 0.0))
