"""Tables of cross-sections that Geant4 reads for electrons, positrons and photons, from formulas.

Its own data set, G4EMLOW, is a download of its own. The physics lists read from it only
bremsstrahlung, the photoelectric effect and Rayleigh scattering of the elements in use; the other
processes are formulas in the library. Here bremsstrahlung is a formula, the photoelectric effect
comes from a parametrisation inside the library, and Rayleigh scattering is off.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

ALPHA, RADIUS_CM, MASS_MEV = 1 / 137.035999, 2.8179403e-13, 0.51099895
"""Fine-structure constant, classical radius and mass of the electron."""
KINETIC_MEV = np.geomspace(1e-3, 1e4, 57)
FRACTION = np.concatenate([np.arange(0, 0.91, 0.05), [0.925, 0.95, 0.97, 0.99, 0.995, 0.999, 1]])
"""Of the kinetic energy that a photon takes."""

IONS = range(3, 81)
NEIGHBOURS = (16, 79)
"""Elements that stand for those that the data set of ions lacks, hydrogen and lead among them."""
CONSTANT = "0.025 1000 2\n2\n0.025 1\n1000 1\n"


def bremsstrahlung(z: int, kinetic: Any, fraction: Any) -> Any:
    """``beta^2 / Z^2 k dsigma/dk`` of an electron in millibarn, as Geant4 tabulates it.

    The last factor is a fit to the radiative energy loss of the tables of Seltzer and Berger,
    Atomic Data and Nuclear Data Tables 35 (1986) 345: 3 % above 0.3 MeV, 13 % at worst.

    Args:
      z: atomic number.
      kinetic: energy of the electron, MeV.
      fraction: of it that the photon takes.
    Source: Y.-S. Tsai, Rev. Mod. Phys. 46 (1974) 815, eq. 3.38 to 3.41, with the Coulomb term.
    """
    k, total = fraction * kinetic, kinetic + MASS_MEV
    y, left = k / total, np.maximum(total - k, MASS_MEV * (1 + 1e-9))
    gamma, eps = (100 * MASS_MEV * k / (total * left * z**p) for p in (1 / 3, 2 / 3))
    phi = 16.863 - 2 * np.log(1 + 0.311877 * gamma**2)
    phi += 2.4 * np.exp(-0.9 * gamma) + 1.6 * np.exp(-1.5 * gamma)
    psi = 24.34 - 2 * np.log(1 + 13.111641 * eps**2)
    psi += 2.8 * np.exp(-8 * eps) + 1.2 * np.exp(-29.2 * eps)
    a = (ALPHA * z) ** 2
    coulomb = a * (1 / (1 + a) + 0.20206 - 0.0369 * a + 0.0083 * a**2 - 0.002 * a**3)
    main = np.maximum(phi - 4 / 3 * np.log(z) - 4 * coulomb, 0)
    main = main + np.maximum(psi - 8 / 3 * np.log(z), 0) / z
    rest = 2 / (3 + 19.5 * gamma + 18 * gamma**2) + 2 / (3 + 120 * eps + 1200 * eps**2) / z
    t = kinetic / 0.4
    fit = 0.99 - 0.48 / (1 + kinetic / 0.6) + 2.27 * (z / 74) ** 1.2 * t / (1 + t) ** 2
    shape = (4 / 3 - 4 / 3 * y + y * y) * main + 2 / 3 * (1 - y) * rest
    return 1e27 * ALPHA * RADIUS_CM**2 * shape * fit


def photoelectric(rows: np.ndarray, atoms: float) -> tuple[np.ndarray, np.ndarray]:
    """Energies (MeV) and cross-sections per atom from a Sandia table.

    Args:
      rows: (n, 5) edges in MeV and the coefficients of 1/E to 1/E^4 of an inverse length.
      atoms: per volume, in the units of Geant4.
    """
    edge = rows[:, 0][rows[:, 0] > 1.1e-4]
    near = [edge * (1 - 1e-7), edge * (1 + 1e-7)]
    energy = np.unique(np.concatenate([np.geomspace(1e-4, 1e5, 400), *near]))
    row = np.clip(np.searchsorted(rows[:, 0], energy, side="right") - 1, 0, None)
    return energy, (rows[row, 1:] / energy[:, None] ** np.arange(1, 5)).sum(1) / atoms


def sandia(g4: Any, z: int) -> tuple[np.ndarray, float]:
    """The Sandia table of an element inside the Geant4 library, and its atoms per volume."""
    material = g4.G4NistManager.Instance().FindOrBuildSimpleMaterial(z)
    table = material.GetSandiaTable()
    intervals = range(table.GetMatNbOfIntervals())
    rows = [[table.GetSandiaCofForMaterial(i, j) for j in range(5)] for i in intervals]
    return np.asarray(rows), material.GetTotNbOfAtomsPerVolume()


def write_tables(g4: Any, root: Path, elements: Iterable[int]) -> None:
    """The files of G4EMLOW for these elements.

    Args:
      g4: the module ``geant4_pybind``.
      root: existing folder, then fit for ``G4LEDATA``.
    """
    for folder in ("brem_SB", "epics2017/phot", "epics2017/rayl"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for z in elements:
        values = bremsstrahlung(z, KINETIC_MEV[:, None], FRACTION)
        lines = [
            f"4 {FRACTION.size} {KINETIC_MEV.size}",
            *map(_row, (FRACTION, np.log(KINETIC_MEV))),
        ]
        (root / f"brem_SB/br{z}").write_text("\n".join([*lines, *map(_row, values)]) + "\n")
        energy, sigma = photoelectric(*sandia(g4, z))
        barn = np.maximum(sigma / g4.barn, 1e-30)
        _write_pairs(root / f"epics2017/phot/pe-cs-{z}.dat", energy, barn * energy**3)
        for name in ("high", "low"):  # one shell of 10 eV, no parametrisation below 1e6 MeV
            path = root / f"epics2017/phot/pe-{name}-{z}.dat"
            path.write_text("1 1 1e6\n1e-5 0 0 0 0 0 0\n")
        off = np.full(2, 1e-30)
        _write_pairs(root / f"epics2017/rayl/re-cs-{z}.dat", np.array([1e-5, 1e5]), off)


def write_stopping(root: Path, elements: Iterable[int]) -> None:
    """Files of the stopping of ions in elements of compounds, with a constant.

    Electrons and photons never read the numbers, but the physics lists prepare ions too and Geant4
    crashes if they are absent for the elements of a compound.
    """
    for folder in ("icru73", "icru90"):
        (root / "ion_stopping_data" / folder).mkdir(parents=True, exist_ok=True)
    for z in {*elements, *NEIGHBOURS}:
        for ion in IONS:
            (root / f"ion_stopping_data/icru73/z{ion}_{z}.dat").write_text(CONSTANT)
            (root / f"ion_stopping_data/icru90/z{ion}_{z}.dat").write_text(CONSTANT)


def _row(values: np.ndarray) -> str:
    return " ".join(f"{value:.8g}" for value in values)


def _write_pairs(path: Path, energy: np.ndarray, values: np.ndarray) -> None:
    n = len(energy)
    pairs = (f"{e:.10g} {v:.8g}" for e, v in zip(energy, values, strict=True))
    path.write_text("\n".join([f"{energy[0]:.10g} {energy[-1]:.10g} {n}", f"{n}", *pairs]) + "\n")
