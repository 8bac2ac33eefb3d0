"""Energy flow: the excess of a tower over the tracks that point to it is neutral energy.

The rule-based particle flow of Delphes (arXiv:1307.6346, section 4.1; module SimpleCalorimeter),
the baseline of MLPF. Energies GeV.
"""

import numpy as np

from hepjax.simulate.collisions.towers import SIGNIFICANCE, Calorimeter, Towers, fraction


def energy_flow(
    calorimeter: Calorimeter,
    towers: Towers,
    track_energy: np.ndarray,
    track_resolution: np.ndarray,
    track_pdg: np.ndarray,
    track_cell: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Neutral excess of each tower, and factors on the momenta of the tracks.

    E_trk is the sum of the track energies in a tower, sigma_trk^2 the sum of their squared
    uncertainties. The excess max(E - E_trk, 0) is a neutral particle if it is above the minimum of
    the compartment and above 2 sqrt(sigma_trk^2 + sigma^2). Otherwise the tracks are scaled so that
    their sum is the inverse-variance weighted mean of E_trk and E.

    Args:
      towers: of this compartment, those below threshold included.
      track_energy: (m,) GeV.
      track_resolution: (m,) relative.
      track_pdg: (m,) codes; tracks that leave nothing in this compartment take no part.
      track_cell: (m,) cells of this compartment's grid.
    Returns:
      excess (towers,) in GeV, 0 where there is no neutral particle; factor (m,).
    """
    share = fraction(calorimeter, track_pdg)
    tower = np.searchsorted(towers.cell, track_cell)
    tower = np.minimum(tower, max(len(towers) - 1, 0))
    taking_part = np.flatnonzero(share > 0) if len(towers) else np.zeros(0, np.int64)
    taking_part = taking_part[towers.cell[tower[taking_part]] == track_cell[taking_part]]
    tower, energy = tower[taking_part], (track_energy * share)[taking_part]

    charged = np.bincount(tower, energy, minlength=len(towers))
    variance = np.bincount(
        tower, (track_resolution[taking_part] * energy) ** 2, minlength=len(towers)
    )
    excess = np.maximum(towers.energy - charged, 0.0)
    neutral = excess > calorimeter.energy_min
    neutral &= excess > SIGNIFICANCE * np.sqrt(variance + towers.sigma**2)

    factor = np.ones(len(track_energy))
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = 1.0 / variance, 1.0 / towers.sigma**2
        mean = (weights[0] * charged + weights[1] * towers.energy) / (weights[0] + weights[1])
        scale = np.where(neutral | (charged == 0), 1.0, mean / charged)
    factor[taking_part] = scale[tower]
    return np.where(neutral, excess, 0.0), factor
