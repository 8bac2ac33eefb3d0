"""A calorimeter as data: what its layers are made of, how they are read out, and its range.

Every reader, simulator, network and report takes a ``Calorimeter`` and knows no detector by heart.
calorimeters.py reads one from YAML, from a binning XML, or by name. Lengths mm, energies GeV.
"""

import itertools
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from hepjax import InputError
from hepjax.formats.showers.materials import MATERIALS, Material

Particle = Literal["electron", "photon", "pion"]


class Slab(NamedTuple):
    """A plate of one material; energy in an ``active`` one is read out."""

    material: str
    mm: float
    active: bool = False

    @property
    def constants(self) -> Material:
        return MATERIALS[self.material]


class Layer(NamedTuple):
    """What is read out as one layer, front to back: ``periods`` times the slabs."""

    slabs: tuple[Slab, ...] = ()
    """Empty if only the cells are known: such a calorimeter cannot be simulated."""
    periods: int = 1
    rings: tuple[float, ...] = ()
    """Edges of the radial bins about the shower axis, mm; only in a cylinder."""
    sectors: int = 1
    """Equal bins of the azimuth over (-pi, pi); only in a cylinder."""
    number: int = 0
    """What the experiment calls this layer."""

    @property
    def voxels(self) -> int:
        """Of a cylinder's layer."""
        return self.sectors * (len(self.rings) - 1)

    @property
    def period_mm(self) -> float:
        return sum(slab.mm for slab in self.slabs)


@dataclass(frozen=True)
class Calorimeter:
    """A box of equal cells (x, y, layer), or a cylinder whose layers have their own rings.

    A shower in a box is (x, y, layer), in a cylinder (voxels,): layer by layer, in it azimuth by
    azimuth, with the radius fastest, as CaloChallenge files have it.
    """

    name: str
    layers: tuple[Layer, ...]
    cells: tuple[int, int] | None = None
    """Cells along x and y of a box; None in a cylinder."""
    cell_mm: tuple[float, float] = (1.0, 1.0)
    """Size of the cells of a box along x and y."""
    particle: Particle = "electron"
    energy: tuple[float, float] = (10.0, 500.0)
    """Range of incident energies, GeV."""
    angle: tuple[float, float] = (90.0, 90.0)
    """Range of the polar angle, degrees; 90 is normal incidence."""
    threshold: float = 1e-6
    """Cells below count as empty, GeV."""
    hit: float = 3e-4
    """Cells above are hits in the reports, GeV."""
    divided_by: float = 1.0
    """Cells are deposits divided by this, a sampling fraction; 1 if they are deposits."""
    medium: int = 0
    """Index of the layer whose slabs stand for the whole stack in the shower model."""
    sampling: float = 0.1
    """Fluctuation of a layer's deposit in the shower model, sqrt(GeV): variance over mean is its
    square."""

    def __post_init__(self) -> None:
        for layer in self.layers:
            _check_layer(self, layer)
        simulable = {bool(layer.slabs) for layer in self.layers}
        low, high = self.angle
        checks = (
            (len(self.layers) > 0, "layers", "at least one", len(self.layers)),
            (len(simulable) < 2, "slabs", "slabs in every layer or in none", "both"),
            (self.cells is None or min(self.cells) > 0, "cells", "at least 1", self.cells),
            (min(self.cell_mm) > 0, "cell", "a positive size in mm", self.cell_mm),
            (0 < self.energy[0] <= self.energy[1], "energy", "0 < low <= high", self.energy),
            (0 < low <= high < 180, "angle", "0 < low <= high < 180 degrees", self.angle),
            (self.threshold >= 0, "threshold", "0 or more", self.threshold),
            (0 <= self.medium < len(self.layers), "medium", "the index of a layer", self.medium),
            (self.divided_by > 0, "divided_by", "a positive number", self.divided_by),
            (0 <= self.sampling <= 1, "sampling", "0 to 1 sqrt(GeV)", self.sampling),
        )
        for fine, key, expected, found in checks:
            if not fine:
                raise InputError(f"{self.name}: {key}: expected {expected}, found {found}")

    @property
    def box(self) -> bool:
        """Whether it has equal cells in all layers."""
        return self.cells is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one shower: (x, y, layers) in a box, (voxels,) in a cylinder."""
        if self.cells is not None:
            return (*self.cells, len(self.layers))
        return (sum(layer.voxels for layer in self.layers),)

    @property
    def voxels(self) -> int:
        """Cells of one shower."""
        return int(np.prod(self.shape))

    @property
    def regular(self) -> tuple[int, int, int] | None:
        """(layers, sectors, rings) of a cylinder whose layers are all binned alike, else None."""
        if self.box or len({(layer.rings, layer.sectors) for layer in self.layers}) > 1:
            return None
        first = self.layers[0]
        return (len(self.layers), first.sectors, len(first.rings) - 1)

    @property
    def offsets(self) -> tuple[int, ...]:
        """(layers + 1,) voxels of a cylinder at which a layer begins; the last is the total."""
        return tuple(itertools.accumulate((layer.voxels for layer in self.layers), initial=0))

    @property
    def thirds(self) -> tuple[tuple[int, int], ...]:
        """Layers [first, end) of the three parts in depth whose energy fractions are R1, R2, R3."""
        n = len(self.layers)
        third = max(1, n // 3)
        return (0, min(third, n)), (min(third, n), min(2 * third, n)), (min(2 * third, n), n)

    @property
    def normal(self) -> bool:
        """Whether showers come in at normal incidence only."""
        return self.angle == (90.0, 90.0)

    @property
    def stack(self) -> tuple[Slab, ...]:
        """All slabs, front to back; none if only the cells are known."""
        return tuple(slab for layer in self.layers for slab in layer.slabs * layer.periods)

    def require_stack(self) -> None:
        """Refuse a description without slabs.

        Raises:
          InputError: only the cells are known.
        """
        if not self.stack:
            raise InputError(
                f"{self.name}: expected slabs in its layers to simulate showers, found cells only"
            )


def _check_layer(calorimeter: Calorimeter, layer: Layer) -> None:
    where = f"{calorimeter.name}: layer {layer.number}"
    for slab in layer.slabs:
        if slab.material not in MATERIALS:
            raise InputError(
                f"{where}: expected one of {', '.join(sorted(MATERIALS))}, found {slab.material!r}"
            )
        if not 0 < slab.mm < 1e5:
            raise InputError(
                f"{where}: {slab.material}: expected a positive thickness in mm, found {slab.mm:g}"
            )
    if layer.slabs and not any(slab.active for slab in layer.slabs):
        raise InputError(f"{where}: expected a slab with 'active: true', found none")
    if layer.periods < 1 or layer.sectors < 1:
        found = f"periods {layer.periods}, sectors {layer.sectors}"
        raise InputError(f"{where}: expected periods and sectors of at least 1, found {found}")
    rising = all(a < b for a, b in itertools.pairwise(layer.rings))
    if calorimeter.cells is None and (len(layer.rings) < 2 or layer.rings[0] < 0 or not rising):
        raise InputError(
            f"{where}: expected rising edges of rings in mm, at least two, from 0 on, "
            f"found {list(layer.rings)}"
        )
    if calorimeter.cells is not None and layer.rings:
        raise InputError(f"{where}: expected cells (a box) or rings (a cylinder), found both")
