"""Which showers can be simulated, by the shower model and by Geant4: one rule, one message."""

import numpy as np

from hepjax import InputError
from hepjax.formats.showers.calorimeter import Calorimeter

LOWEST_GEV, HIGHEST_GEV = 0.5, 2000.0
"""Incident energies; a calorimeter whose own range is wider extends it."""
STEEPEST = np.pi / 4
"""rad from normal incidence."""
PARTICLES = ("electron", "photon")


def check(calorimeter: Calorimeter, energy: np.ndarray, theta: np.ndarray, particle: str) -> None:
    """Refuse what cannot be simulated.

    Args:
      energy: (n,) incident energies, GeV.
      theta: (n,) polar angles, rad.
    Raises:
      InputError: the particle, an energy, an angle, or a calorimeter without slabs.
    """
    check_particle(particle)
    calorimeter.require_stack()
    low, high = energy_limits(calorimeter)
    # Single precision, in which energies come, rounds the ends of the range.
    if not np.all((energy >= low * (1 - 1e-6)) & (energy <= high * (1 + 1e-6))):
        raise InputError(
            f"energy: expected {low:g} to {high:g} GeV, found {energy.min():g} to {energy.max():g}"
        )
    off = np.abs(theta - np.pi / 2)
    found = "{:g} to {:g}".format(*np.degrees([theta.min(), theta.max()])) if len(theta) else ""
    if not np.all(off <= STEEPEST + 1e-6):
        raise InputError(f"theta: expected 45 to 135 degrees, found {found}")
    if not calorimeter.box and np.any(off > 1e-6):
        raise InputError(
            f"theta: expected 90 degrees in {calorimeter.name}, whose rings lie about the shower "
            f"axis, found {found}"
        )


def energy_limits(calorimeter: Calorimeter) -> tuple[float, float]:
    """Lowest and highest incident energy, GeV."""
    return min(LOWEST_GEV, calorimeter.energy[0]), max(HIGHEST_GEV, calorimeter.energy[1])


def check_particle(particle: str, where: str = "particle") -> None:
    """Refuse what is neither an electron nor a photon.

    Raises:
      InputError: pions and others.
    """
    if particle in PARTICLES:
        return
    hint = (
        "; hadronic showers come from published data, not from here" if particle == "pion" else ""
    )
    raise InputError(f"{where}: expected one of {', '.join(PARTICLES)}, found {particle!r}{hint}")
