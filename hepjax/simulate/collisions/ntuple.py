"""The arrays of the MLPF data set: elements, targets and candidates of a simulated event.

Columns and target rules follow the published Delphes ntuples (Zenodo 4559324) with two differences
(docs/reference/simulation.md): candidates have both pT and energy, and the charge of a track is the
true one instead of the sign of its code.
"""

from typing import NamedTuple

import numpy as np

from hepjax.formats.particleflow.columns import (
    ARRAYS,
    CHARGED_HADRON,
    ELECTRON,
    MUON,
    NEUTRAL_HADRON,
    NONE,
    PHOTON,
    TOWER,
    TRACK,
    Tower,
)
from hepjax.simulate.collisions import detector, tracks
from hepjax.simulate.collisions.detector import Response, flow_objects
from hepjax.simulate.collisions.particles import Particles, pseudorapidity
from hepjax.simulate.collisions.towers import Towers

NEUTRAL_MIN_ENERGY = 9.0
"""GeV; true neutral hadrons below leave too little in the HCAL to be a target."""


class Ntuple(NamedTuple):
    """One event: N elements, tracks first; row i of y belongs to element i, all zero for none.

    X of a track: 2, pT, eta, sin phi, cos phi, p, eta, sin phi and cos phi at the calorimeter,
    charge, is muon, is electron (the last two from truth). X of a tower: 1, ET, eta, sin phi,
    cos phi, E, E in the ECAL, E in the HCAL, 0, 0, 0, 0. y: class, charge, pT, eta, sin phi,
    cos phi, E. GeV.
    """

    X: np.ndarray  # (N, 12) float32
    ygen: np.ndarray  # (N, 7) float32, true particles
    ycand: np.ndarray  # (N, 7) float32, rule-based particle flow
    unassociated: int  # stable particles that left neither a track nor energy in a tower


def ntuple(particles: Particles, response: Response) -> Ntuple:
    """Elements, targets and rule-based candidates of one event."""
    tracked = np.zeros(len(particles), bool)
    tracked[response.tracks.particle] = True
    seen = tracked.copy()
    targets = [_track_targets(particles[response.tracks.particle])]
    for towers in (response.ecal, response.hcal):
        seen[towers.hit_particle] = True
        targets.append(tower_targets(particles, towers, tracked))
    return Ntuple(
        np.concatenate([_track_elements(response), *_tower_elements(response)]),
        np.concatenate(targets),
        _candidates(response),
        int(np.sum(~seen)),
    )


def tower_targets(particles: Particles, towers: Towers, tracked: np.ndarray) -> np.ndarray:
    """Targets (towers, 7) made of the particles that have no track.

    The class is the one with the largest energy sum among neutral hadrons, charged hadrons, photons
    and electrons. The four-momentum is the sum over all of them. A charged hadron beyond |eta| 2.5
    counts as neutral, a neutral hadron below 9 GeV as none.
    """
    alone = ~tracked[towers.hit_particle]
    tower, rows = towers.hit_tower[alone], towers.hit_particle[alone]
    n, parts = len(towers), particles[rows]

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(tower, values, minlength=n)

    code = np.abs(parts.pdg)
    kind = np.select(
        [code == detector.PHOTON, code == tracks.ELECTRON, parts.charge != 0],
        [PHOTON, ELECTRON, CHARGED_HADRON],
        NEUTRAL_HADRON,
    )
    order = np.array([NEUTRAL_HADRON, CHARGED_HADRON, PHOTON, ELECTRON])
    by_class = np.stack([total(parts.energy * (kind == k)) for k in order])
    px, py, pz, energy = (total(v) for v in (parts.px, parts.py, parts.pz, parts.energy))
    eta = pseudorapidity(px, py, pz)
    label = order[by_class.argmax(axis=0)] if n else np.zeros(0, int)
    unseen = (label == CHARGED_HADRON) & (np.abs(eta) > tracks.ETA_MAX)
    label = np.where(unseen, NEUTRAL_HADRON, label)
    label = np.where((label == NEUTRAL_HADRON) & (energy < NEUTRAL_MIN_ENERGY), NONE, label)
    label = np.where(energy > 0, label, NONE)
    charge = np.isin(label, (CHARGED_HADRON, ELECTRON))
    return _rows(label, charge, np.hypot(px, py), eta, np.arctan2(py, px), energy)


def _track_targets(tracked: Particles) -> np.ndarray:
    label = _track_class(tracked.pdg)
    return _rows(label, tracked.charge, tracked.pt, tracked.eta, tracked.phi, tracked.energy)


def _candidates(response: Response) -> np.ndarray:
    """Rule-based candidates: one for each track and for each tower with a neutral excess."""
    flow = flow_objects(response)
    label = np.select(
        [flow.pdg == detector.PHOTON, flow.pdg == detector.NEUTRAL_HADRON],
        [PHOTON, NEUTRAL_HADRON],
        _track_class(flow.pdg),
    )
    rows = _rows(label, flow.charge, flow.pt, flow.eta, flow.phi, flow.energy)
    n = len(response.tracks)
    excess = np.concatenate([response.photon_energy, response.neutral_energy])
    towers = np.zeros((len(excess), ARRAYS["ycand"]), np.float32)
    towers[excess > 0] = rows[n:]
    return np.concatenate([rows[:n], towers])


def _track_class(pdg: np.ndarray) -> np.ndarray:
    code = np.abs(pdg)
    return np.select(
        [code == tracks.ELECTRON, code == tracks.MUON], [ELECTRON, MUON], CHARGED_HADRON
    )


def _track_elements(response: Response) -> np.ndarray:
    t = response.tracks
    code = np.abs(t.pdg)
    columns = (
        np.full(len(t), TRACK), t.pt, t.eta, np.sin(t.phi), np.cos(t.phi), t.pt * np.cosh(t.eta),
        t.eta_outer, np.sin(t.phi_outer), np.cos(t.phi_outer), t.charge,
        code == tracks.MUON, code == tracks.ELECTRON,
    )  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)


def _tower_elements(response: Response) -> list[np.ndarray]:
    elements = []
    for towers, column in (
        (response.ecal, Tower.ENERGY_EM),
        (response.hcal, Tower.ENERGY_HAD),
    ):
        rows = np.zeros((len(towers), ARRAYS["X"]), np.float32)
        rows[:, Tower.TYPE] = TOWER
        rows[:, Tower.ET], rows[:, Tower.ETA] = towers.et, towers.eta
        rows[:, Tower.SIN_PHI], rows[:, Tower.COS_PHI] = np.sin(towers.phi), np.cos(towers.phi)
        rows[:, Tower.ENERGY] = rows[:, column] = towers.energy
        elements.append(rows)
    return elements


def _rows(
    label: np.ndarray, charge: np.ndarray, pt: np.ndarray, eta: np.ndarray, phi: np.ndarray,
    energy: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(n, 7) float32, zero where there is no particle."""
    rows = np.stack([label, charge, pt, eta, np.sin(phi), np.cos(phi), energy], axis=1)
    return np.where(label[:, None] > 0, rows, 0.0).astype(np.float32)
