"""What the shower model needs to know of a calorimeter: depths, shares, and its effective medium.

The calorimeter itself is data, see formats/showers/calorimeter.py.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from hepjax.formats.showers.calorimeter import Calorimeter, Layer, Slab


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
    """Effective medium of one period of the layer ``calorimeter.medium``.

    Source: Grindhammer and Peters, hep-ex/0001020, section 3. Weights by mass, without passive
    gases. A layer without absorber is homogeneous.
    """
    slabs = calorimeter.layers[calorimeter.medium].slabs
    period = 0.1 * sum(slab.mm for slab in slabs)  # cm
    heavy = [slab for slab in slabs if _counts(slab)]
    masses = [0.1 * slab.mm * slab.constants.density for slab in heavy]
    mass = sum(masses)
    pairs = [(m / mass, slab.constants) for m, slab in zip(masses, heavy, strict=True)]
    density = mass / period
    x0 = 1.0 / (density * math.fsum(w / m.x0 for w, m in pairs))  # cm
    loss = density * math.fsum(w * m.critical_energy / m.x0 for w, m in pairs)  # MeV/cm
    passive = [slab for slab in heavy if not slab.active]
    active = [slab for slab in heavy if slab.active]
    sandwich = bool(passive)
    return Medium(
        z=math.fsum(w * m.z for w, m in pairs),
        density=density,
        x0_mm=10.0 * x0,
        critical_energy=1e-3 * loss * x0,
        moliere_mm=10.0 * 21.2 / loss,
        periods_per_x0=x0 / period if sandwich else math.inf,
        e_hat=1.0 / (1.0 + 0.007 * (_mean_z(passive) - _mean_z(active))) if sandwich else 1.0,
    )


def _mean_z(slabs: list[Slab]) -> float:
    """Atomic number by mass."""
    if len(slabs) == 1:
        return slabs[0].constants.z
    masses = [slab.mm * slab.constants.density for slab in slabs]
    return math.fsum(m * s.constants.z for m, s in zip(masses, slabs, strict=True)) / sum(masses)


def boundaries_x0(calorimeter: Calorimeter) -> np.ndarray:
    """(layers + 1,) depths at normal incidence between which a layer's energy is deposited."""
    depth = [
        layer.periods * math.fsum(slab.mm / slab.constants.x0_mm for slab in layer.slabs)
        for layer in calorimeter.layers
    ]
    return np.concatenate([[0.0], np.cumsum(depth)])


def active_centres_mm(calorimeter: Calorimeter) -> np.ndarray:
    """(layers,) distance of the middle of the active slabs of a layer from the front face."""
    centres, front = [], 0.0
    for layer in calorimeter.layers:
        weights, middles, inside = [], [], 0.0
        for slab in layer.slabs:
            if slab.active:
                weights.append(slab.mm)
                middles.append(inside + 0.5 * slab.mm)
            inside += slab.mm
        middle = math.fsum(w * m for w, m in zip(weights, middles, strict=True)) / sum(weights)
        centres.append(front + middle + 0.5 * (layer.periods - 1) * layer.period_mm)
        front += layer.periods * layer.period_mm
    return np.asarray(centres)


def active_fractions(calorimeter: Calorimeter) -> np.ndarray:
    """(layers,) share of a minimum ionising particle's loss that falls in the active slabs."""
    return np.asarray(
        [
            _mip_loss(slab for slab in layer.slabs if slab.active) / _mip_loss(layer.slabs)
            for layer in calorimeter.layers
        ]
    )


def crossing_energies(calorimeter: Calorimeter) -> np.ndarray:
    """(layers,) what a minimum ionising particle leaves in one active slab, GeV."""
    return np.asarray([1e-3 * _crossing(layer) for layer in calorimeter.layers])


def _crossing(layer: Layer) -> float:
    active = [slab for slab in layer.slabs if slab.active]
    return _mip_loss(active) / len(active)


def _mip_loss(slabs: Iterable[Slab]) -> float:
    """MeV."""
    return math.fsum(0.1 * slab.mm * slab.constants.mip_loss for slab in slabs if _counts(slab))


def _counts(slab: Slab) -> bool:
    """Whether a slab has mass: passive gases have a thickness only."""
    return slab.active or not slab.constants.gas
