"""The sampling calorimeter: layers, cells, and the effective homogeneous medium of both.

The default is a CLIC-like silicon-tungsten stack: 17 layers with 2.4 mm and 8 with 4.8 mm of
tungsten, 0.5 mm of silicon, 3.15 mm of air, cells of 5.1 mm.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from hepjax import InputError


class Material(NamedTuple):
    """Constants of a pure material (Particle Data Group)."""

    z: float
    a: float
    density: float  # g/cm3
    x0: float  # radiation length, g/cm2
    mip_loss: float  # of a minimum ionising particle, MeV/cm

    @property
    def critical_energy(self) -> float:
        """MeV; Grindhammer and Peters, hep-ex/0001020, eq. 10."""
        return 2.66 * (self.x0 * self.z / self.a) ** 1.1

    @property
    def x0_mm(self) -> float:
        return 10.0 * self.x0 / self.density


TUNGSTEN = Material(74.0, 183.84, 19.3, 6.763, 22.1)
SILICON = Material(14.0, 28.0855, 2.329, 21.82, 3.876)
AIR_X0_MM = 304_000.0


@dataclass(frozen=True)
class Calorimeter:
    """Layers of tungsten, silicon and air, read out in square silicon cells. Lengths in mm."""

    absorber_mm: tuple[float, ...] = (2.4,) * 17 + (4.8,) * 8
    active_mm: float = 0.5
    gap_mm: float = 3.15
    cell_mm: float = 5.1
    cells: tuple[int, int] = (25, 25)  # along x and y

    def __post_init__(self) -> None:
        thicknesses = (*self.absorber_mm, self.active_mm, self.cell_mm)
        if not self.absorber_mm or min(thicknesses) <= 0 or self.gap_mm < 0:
            raise InputError(
                f"calorimeter: expected positive thicknesses and cell size in mm, found {self}"
            )
        if min(self.cells) < 1:
            raise InputError(f"calorimeter: expected cells of at least (1, 1), found {self.cells}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Cells along x, along y, and layers."""
        return (*self.cells, len(self.absorber_mm))

    def boundaries_x0(self) -> np.ndarray:
        """(layers + 1,) depths at normal incidence between which a layer's energy is deposited."""
        absorber = np.asarray(self.absorber_mm) / TUNGSTEN.x0_mm
        rest = self.active_mm / SILICON.x0_mm + self.gap_mm / AIR_X0_MM
        return np.concatenate([[0.0], np.cumsum(absorber + rest)])

    def active_centres_mm(self) -> np.ndarray:
        """(layers,) distance of the middle of each silicon plane from the front face."""
        absorber = np.asarray(self.absorber_mm)
        ends = np.cumsum(absorber + self.active_mm + self.gap_mm)
        return ends - self.gap_mm - 0.5 * self.active_mm

    def mip_fractions(self) -> np.ndarray:
        """(layers,) share of a minimum ionising particle's loss that falls in the silicon."""
        active = self.active_mm * SILICON.mip_loss
        return active / (active + np.asarray(self.absorber_mm) * TUNGSTEN.mip_loss)


CLIC_FIXED = Calorimeter()
"""25 x 25 x 25 cells, the fixed-angle data set."""
CLIC_ANGLE = replace(CLIC_FIXED, cells=(51, 51))
"""51 x 51 x 25 cells, the variable-angle data set."""


class Medium(NamedTuple):
    """The homogeneous medium that stands for one period of the sandwich."""

    z: float
    density: float  # g/cm3
    x0_mm: float
    critical_energy: float  # GeV
    moliere_mm: float
    periods_per_x0: float
    e_hat: float  # response to electromagnetic showers over response to minimum ionising particles


def effective_medium(calorimeter: Calorimeter) -> Medium:
    """Effective medium of the first period, where most of a shower develops.

    Source: Grindhammer and Peters, hep-ex/0001020, section 3. Mass weights over tungsten and
    silicon; air has a thickness and no mass.
    """
    absorber, active = 0.1 * calorimeter.absorber_mm[0], 0.1 * calorimeter.active_mm  # cm
    period = absorber + active + 0.1 * calorimeter.gap_mm
    mass = absorber * TUNGSTEN.density + active * SILICON.density
    weights = (absorber * TUNGSTEN.density / mass, active * SILICON.density / mass)
    pairs = list(zip(weights, (TUNGSTEN, SILICON), strict=True))
    density = mass / period
    x0 = 1.0 / (density * math.fsum(w / m.x0 for w, m in pairs))  # cm
    loss = density * math.fsum(w * m.critical_energy / m.x0 for w, m in pairs)  # MeV/cm
    return Medium(
        z=math.fsum(w * m.z for w, m in pairs),
        density=density,
        x0_mm=10.0 * x0,
        critical_energy=1e-3 * loss * x0,
        moliere_mm=10.0 * 21.2 / loss,
        periods_per_x0=x0 / period,
        e_hat=1.0 / (1.0 + 0.007 * (TUNGSTEN.z - SILICON.z)),
    )
