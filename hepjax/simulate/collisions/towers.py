"""Calorimeter towers: cells in (eta, phi), energy fractions of particles, resolution.

Numbers of the CMS card of Delphes (``delphes_card_CMS_PileUp.tcl``; ECAL resolution after
arXiv:1306.2016 and arXiv:1502.02701). Energies GeV.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from hepjax.simulate.collisions.tracks import log_normal

SIGNIFICANCE = 2.0
"""Least significance of towers and neutral excesses, in standard deviations."""


@dataclass(frozen=True)
class Grid:
    """Rows in eta, each divided into its own number of cells in phi from -pi to pi."""

    eta_edges: np.ndarray  # (rows + 1,), rising
    phi_cells: np.ndarray  # (rows,)

    @property
    def starts(self) -> np.ndarray:
        """(rows + 1,) first cell of each row, and the number of cells."""
        return np.concatenate([[0], np.cumsum(self.phi_cells)])

    def cell(self, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
        """(n,) cell at a point, -1 outside. ``phi`` between -pi and pi."""
        row = np.searchsorted(self.eta_edges, eta, side="left") - 1
        outside = (row < 0) | (row >= len(self.phi_cells))
        row = np.where(outside, 0, row)
        count = self.phi_cells[row]
        column = np.floor((phi + np.pi) / (2.0 * np.pi) * count).astype(np.int64)
        return np.where(outside, -1, self.starts[row] + np.clip(column, 0, count - 1))

    def edges(self, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Lowest eta, highest eta, lowest phi, highest phi (n,) of cells."""
        row = np.searchsorted(self.starts, cell, side="right") - 1
        width = 2.0 * np.pi / self.phi_cells[row]
        low = -np.pi + width * (cell - self.starts[row])
        return self.eta_edges[row], self.eta_edges[row + 1], low, low + width


@dataclass(frozen=True)
class Calorimeter:
    """One compartment: ECAL or HCAL."""

    name: str
    grid: Grid
    sigma: Callable[[np.ndarray, np.ndarray], np.ndarray]  # of (energy, |eta|), GeV
    energy_min: float  # GeV
    fractions: tuple[tuple[int, float], ...]  # energy fraction that a particle leaves here, by code
    other: float  # fraction of all other particles


@dataclass(frozen=True)
class Towers:
    """Towers with some energy in them; (n,) but for the hits."""

    energy: np.ndarray  # measured, GeV; all above the threshold
    eta: np.ndarray  # drawn inside the cell
    phi: np.ndarray
    cell: np.ndarray  # of the compartment's grid
    deposited: np.ndarray  # before smearing, GeV
    sigma: np.ndarray  # resolution at the measured energy, GeV
    hit_tower: np.ndarray  # (hits,) index of the tower that a particle left energy in
    hit_particle: np.ndarray  # (hits,) index of that particle

    def __len__(self) -> int:
        return len(self.energy)

    @property
    def et(self) -> np.ndarray:
        """Transverse energy, GeV."""
        return self.energy / np.cosh(self.eta)


def fraction(calorimeter: Calorimeter, pdg: np.ndarray) -> np.ndarray:
    """Share (n,) of its energy that each particle leaves in this compartment."""
    code = np.abs(pdg)
    share = np.full(np.shape(code), calorimeter.other)
    for species, value in calorimeter.fractions:
        share[code == species] = value
    return share


def ecal_sigma(energy: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """ECAL resolution in GeV at an energy (GeV) and |eta|."""
    root = np.sqrt((0.008 * energy) ** 2 + 0.11**2 * energy + 0.40**2)
    forward = np.sqrt((0.107 * energy) ** 2 + 2.08**2 * energy)
    shape = np.where(eta <= 1.5, 1.0 + 0.64 * eta**2, 2.16 + 5.6 * (eta - 2.0) ** 2)
    return np.where(eta <= 2.5, shape * root, forward)


def hcal_sigma(energy: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """HCAL resolution in GeV at an energy (GeV) and |eta|."""
    central = np.sqrt((0.050 * energy) ** 2 + 1.50**2 * energy)
    forward = np.sqrt((0.130 * energy) ** 2 + 2.70**2 * energy)
    return np.where(eta <= 3.0, central, forward)


def _mirrored(positive: np.ndarray, phi_cells: np.ndarray) -> Grid:
    """A grid from its edges at eta >= 0, the first of which is 0."""
    edges = np.concatenate([-positive[:0:-1], positive])
    return Grid(edges, np.concatenate([phi_cells[::-1], phi_cells]))


def _ecal_grid() -> Grid:
    """0.0174 x 1 degree to |eta| 2.958, then 10 degrees to 5."""
    fine = 0.0174 * np.arange(171)
    forward = [3.125, 3.3, 3.475, 3.65, 3.825, 4.0, 4.175, 4.35, 4.525, 4.7, 5.0]
    return _mirrored(
        np.concatenate([fine, forward]), np.repeat([360, 36], [len(fine) - 1, len(forward)])
    )


def _hcal_grid() -> Grid:
    """0.087 x 5 degrees to |eta| 1.653, 10 degrees to 4.525, 20 degrees to 5."""
    barrel = 0.087 * np.arange(20)
    endcap = [1.74, 1.83, 1.93, 2.043, 2.172, 2.322, 2.5, 2.65, 2.868, 2.95, 3.125, 3.3, 3.475,
              3.65, 3.825, 4.0, 4.175, 4.35, 4.525]  # fmt: skip
    forward = [4.7, 5.0]
    cells = np.repeat([72, 36, 18], [len(barrel) - 1, len(endcap), len(forward)])
    return _mirrored(np.concatenate([barrel, endcap, forward]), cells)


INVISIBLE = (12, 13, 14, 16, 1000022, 1000023, 1000025, 1000035, 1000045)
"""Muons, neutrinos and neutralinos leave nothing in the calorimeters."""
_NONE = tuple((code, 0.0) for code in INVISIBLE)
ECAL = Calorimeter(
    "ECAL", _ecal_grid(), ecal_sigma, 0.5,
    ((11, 1.0), (22, 1.0), (111, 1.0), (310, 0.3), (3122, 0.3), *_NONE), 0.0,
)  # fmt: skip
HCAL = Calorimeter(
    "HCAL", _hcal_grid(), hcal_sigma, 1.0,
    ((11, 0.0), (22, 0.0), (111, 0.0), (310, 0.7), (3122, 0.7), *_NONE), 1.0,
)  # fmt: skip


def fill_towers(
    calorimeter: Calorimeter,
    energy: np.ndarray,
    pdg: np.ndarray,
    eta: np.ndarray,
    phi: np.ndarray,
    rng: np.random.Generator,
) -> Towers:
    """Towers of an event, those below threshold included with energy 0.

    Each cell's sum of energy x fraction is smeared log-normally with the resolution at that sum,
    and set to 0 if it is below the minimum or below twice its resolution.

    Args:
      energy, pdg, eta, phi: (n,) of all particles of the event where they enter the calorimeter;
        a NaN eta marks those that do not get there.
    """
    share = fraction(calorimeter, pdg)
    cell = np.full(len(share), -1, np.int64)
    here = np.flatnonzero((share > 0) & np.isfinite(eta))
    cell[here] = calorimeter.grid.cell(eta[here], phi[here])
    hits = np.flatnonzero(cell >= 0)
    cells, hit_tower = np.unique(cell[hits], return_inverse=True)
    deposited = np.bincount(hit_tower, energy[hits] * share[hits], minlength=len(cells))
    low_eta, high_eta, low_phi, high_phi = calorimeter.grid.edges(cells)
    centre = np.abs(0.5 * (low_eta + high_eta))
    measured = log_normal(deposited, calorimeter.sigma(deposited, centre), rng)
    sigma = calorimeter.sigma(measured, centre)
    seen = (measured >= calorimeter.energy_min) & (measured >= SIGNIFICANCE * sigma)
    return Towers(
        energy=np.where(seen, measured, 0.0),
        eta=rng.uniform(low_eta, high_eta),
        phi=rng.uniform(low_phi, high_phi),
        cell=cells,
        deposited=deposited,
        sigma=sigma,
        hit_tower=hit_tower,
        hit_particle=hits,
    )


def above_threshold(towers: Towers) -> tuple[Towers, np.ndarray]:
    """The towers with energy, hits renumbered, and their former indices (kept,)."""
    kept = np.flatnonzero(towers.energy > 0)
    number = np.full(len(towers), -1, np.int64)
    number[kept] = np.arange(len(kept))
    hit = number[towers.hit_tower]
    rest = {f.name: getattr(towers, f.name)[kept] for f in fields(Towers)[:-2]}
    return (
        Towers(**rest, hit_tower=hit[hit >= 0], hit_particle=towers.hit_particle[hit >= 0]),
        kept,
    )
