"""Tracks of charged particles: efficiency and resolution.

Numbers of the CMS card of Delphes (``delphes_card_CMS_PileUp.tcl``: efficiencies and momentum
resolutions; ``trackResolutionCMS.tcl``: impact parameters, from CMS, arXiv:1405.6569, figure 15).
Energies GeV, lengths mm.
"""

from dataclasses import dataclass

import numpy as np

from hepjax.simulate.collisions.particles import Particles
from hepjax.simulate.collisions.propagation import impact_parameters

ELECTRON, MUON = 11, 13
ETA_MAX = 2.5
PT_MIN = 0.1  # GeV

EFFICIENCY = {
    # (|eta| < 1.5, |eta| < 2.5) for 0.1-1 GeV, 1-100 GeV, above
    "hadron": ((0.70, 0.60), (0.95, 0.85), (0.95, 0.85)),
    ELECTRON: ((0.73, 0.50), (0.95, 0.83), (0.99, 0.90)),
    MUON: ((0.75, 0.70), (0.99, 0.98), (0.99, 0.98)),
}
PT_RESOLUTION = {
    # a and b (1/GeV) of sqrt(a^2 + (b pT)^2) for |eta| < 0.5, 1.5, 2.5
    "hadron": ((0.06, 0.10, 0.25), (1.3e-3, 1.7e-3, 3.1e-3)),
    ELECTRON: ((0.03, 0.05, 0.15), (1.3e-3, 1.7e-3, 3.1e-3)),
    MUON: ((0.01, 0.015, 0.025), (1.0e-4, 1.5e-4, 3.5e-4)),
}
IMPACT_LOG_PT = np.linspace(-1.6, 5.0, 12)
"""Natural logarithms of the pT (GeV) at which the next two tables are given."""
IMPACT_ETA = (0.9, 1.4, 2.5)
D0_RESOLUTION = 1e-3 * np.array([  # mm, one row for each range of |eta|
    [354.3, 191.7, 106.0, 67.0, 45.2, 32.4, 23.7, 16.4, 13.0, 11.6, 11.0, 11.0],
    [456.4, 235.3, 138.3, 81.6, 48.8, 35.7, 23.3, 18.0, 12.8, 10.8, 10.1, 9.5],
    [697.0, 430.6, 238.7, 123.0, 76.7, 46.8, 33.1, 23.6, 17.6, 15.0, 13.7, 13.7],
])  # fmt: skip
DZ_RESOLUTION = 1e-3 * np.array([  # mm
    [369.3, 257.8, 168.6, 98.3, 68.4, 51.6, 41.6, 35.0, 31.6, 31.6, 28.4, 31.8],
    [706.2, 495.9, 264.9, 158.7, 103.1, 73.6, 60.9, 44.3, 40.9, 37.7, 34.3, 31.0],
    [2171.7, 1767.9, 980.0, 554.5, 331.9, 208.5, 145.1, 102.0, 88.2, 78.4, 81.6, 85.0],
])  # fmt: skip


@dataclass(frozen=True)
class Tracks:
    """Found tracks; all (n,)."""

    pt: np.ndarray  # measured, GeV
    eta: np.ndarray  # at the vertex
    phi: np.ndarray
    energy: np.ndarray  # from the measured pT and the true mass, GeV
    eta_outer: np.ndarray  # where it enters the calorimeter
    phi_outer: np.ndarray
    charge: np.ndarray
    d0: np.ndarray  # measured impact parameters with respect to the origin, mm
    dz: np.ndarray
    pdg: np.ndarray  # of its particle
    resolution: np.ndarray  # relative, of pT
    particle: np.ndarray  # index of its particle

    def __len__(self) -> int:
        return len(self.pt)


def efficiency(pdg: np.ndarray, pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Track efficiency (n,) of charged particles; 0 below 0.1 GeV and beyond |eta| 2.5."""
    outer = (np.abs(eta) > 1.5).astype(int)
    step = (pt > 1.0).astype(int) + (pt > 100.0)
    chance = np.empty(np.shape(pt))
    for species, rows in _species(pdg).items():
        chance[rows] = np.asarray(EFFICIENCY[species])[step[rows], outer[rows]]
    very_stiff = (np.abs(pdg) == MUON) & (pt > 1000.0)
    chance = np.where(very_stiff, chance * np.exp(0.5 - 5e-4 * pt), chance)
    return np.where((pt > PT_MIN) & (np.abs(eta) <= ETA_MAX), chance, 0.0)


def pt_resolution(pdg: np.ndarray, pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Relative resolution (n,) of pT: sqrt(a^2 + (b pT)^2)."""
    region = np.minimum(np.searchsorted((0.5, 1.5), np.abs(eta)), 2)
    resolution = np.empty(np.shape(pt))
    for species, rows in _species(pdg).items():
        a, b = np.asarray(PT_RESOLUTION[species])[:, region[rows]]
        resolution[rows] = np.hypot(a, b * pt[rows])
    return resolution


def impact_resolution(pt: np.ndarray, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Resolutions (n,) of d0 and dz in mm: the tables, interpolated in log pT and log sigma."""
    region = np.minimum(np.searchsorted(IMPACT_ETA, np.abs(eta)), 2)
    log_pt = np.log(np.maximum(pt, 1e-3))
    found = np.empty((2, *np.shape(pt)))
    for row, table in enumerate((D0_RESOLUTION, DZ_RESOLUTION)):
        for k in range(3):
            rows = region == k
            found[row, rows] = np.exp(np.interp(log_pt[rows], IMPACT_LOG_PT, np.log(table[k])))
    return found[0], found[1]


def find_tracks(
    particles: Particles,
    candidates: np.ndarray,
    outer: tuple[np.ndarray, np.ndarray],
    field_tesla: float,
    rng: np.random.Generator,
) -> Tracks:
    """The tracks of an event.

    Args:
      particles: of the whole event.
      candidates: (m,) indices of charged particles that reach the calorimeter.
      outer: eta and phi (m,) where each candidate gets there.
    """
    charged = particles[candidates]
    found = rng.random(len(charged)) < efficiency(charged.pdg, charged.pt, outer[0])
    charged, eta_outer, phi_outer = charged[found], outer[0][found], outer[1][found]
    pt, eta = charged.pt, charged.eta
    # Delphes takes eta where the particle enters the calorimeter: curling ones go out of range.
    resolution = np.minimum(pt_resolution(charged.pdg, pt, eta_outer), 1.0)
    measured = log_normal(pt, resolution * pt, rng)
    mass2 = np.maximum(charged.energy**2 - pt**2 - charged.pz**2, 0.0)
    d0, dz = impact_parameters(charged, field_tesla)
    sigma_d0, sigma_dz = impact_resolution(pt, eta)
    return Tracks(
        pt=measured,
        eta=eta,
        phi=charged.phi,
        energy=np.sqrt((measured * np.cosh(eta)) ** 2 + mass2),
        eta_outer=eta_outer,
        phi_outer=phi_outer,
        charge=charged.charge,
        d0=rng.normal(d0, sigma_d0),
        dz=rng.normal(dz, sigma_dz),
        pdg=charged.pdg,
        resolution=resolution,
        particle=candidates[found],
    )


def log_normal(mean: np.ndarray, sigma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Log-normal numbers of that mean and standard deviation; zero where the mean is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        width = np.sqrt(np.log1p((sigma / mean) ** 2))
        drawn = mean * np.exp(width * rng.standard_normal(np.shape(mean)) - 0.5 * width**2)
    return np.where(mean > 0, drawn, 0.0)


def _species(pdg: np.ndarray) -> dict[str | int, np.ndarray]:
    code = np.abs(pdg)
    electron, muon = code == ELECTRON, code == MUON
    return {"hadron": ~(electron | muon), ELECTRON: electron, MUON: muon}
