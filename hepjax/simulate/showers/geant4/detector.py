"""The calorimeter as volumes of Geant4, whose energies are summed in C++ cell by cell.

Plates lie along z, front to back from z = 0, centred on x = y = 0. Every active plate holds its
cells as volumes: replicas along x and y in a box, tubes that are divided in azimuth in a cylinder.
A scorer sums the energy of each; Python is not called on the way of a particle.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hepjax.formats.showers.calorimeter import Calorimeter, Layer, Slab
from hepjax.formats.showers.materials import MATERIALS

HALF_MM = 500.0
"""Least distance of the edge of the plates from their middle."""
MARGIN_MM = 200.0
"""Least width of the plates beyond the cells."""


class Window(NamedTuple):
    """Cells of a box that are summed: those of the calorimeter, and more along y for tilts."""

    nx: int
    ny: int
    extra: int
    """Rows on each side."""


def window(calorimeter: Calorimeter, steepest: float) -> Window:
    """Cells to sum for showers of up to ``steepest`` rad from normal incidence."""
    assert calorimeter.cells is not None
    depth = sum(slab.mm for slab in calorimeter.stack)
    extra = math.ceil(depth * math.tan(steepest) / calorimeter.cell_mm[1])
    nx, ny = calorimeter.cells
    return Window(nx, ny + 2 * extra, extra)


class Scored(NamedTuple):
    """How the collection of one scorer is read: position of its first index in the whole."""

    kind: str
    """``cells``, ``outside`` (active, no cell) or ``absorber``."""
    shape: tuple[int, ...]
    """Of a collection: (x, y, layer), (layer, sector, ring) or (layer,)."""


class Detector:
    """Builds the volumes; ``world`` and ``attach_scorers`` are what Geant4 asks for.

    Args:
      g4: the module ``geant4_pybind``.
      steepest: largest angle from normal incidence, rad.
    """

    def __init__(self, g4: Any, calorimeter: Calorimeter, steepest: float) -> None:
        self.g4, self.calorimeter, self.steepest = g4, calorimeter, steepest
        self.scored: list[Scored] = []
        self._cells: list[tuple[Any, Scored, tuple[int, int, int]]] = []
        self._outside: list[Any] = []
        self._absorbers: dict[tuple[str, float], Any] = {}
        self._planes: dict[Any, Any] = {}
        self._kept: list[Any] = []  # what Geant4 holds pointers to

    def world(self) -> Any:
        """The world with all plates placed."""
        depth = sum(slab.mm for slab in self.calorimeter.stack)
        half = self._half(depth)
        world = self._volume("world", self._box(half + 10, half + 10, depth + 20), "air")
        z = 0.0
        for number, layer in enumerate(self.calorimeter.layers):
            for slab in layer.slabs * layer.periods:
                if slab.active or not slab.constants.gas:  # the world is full of air
                    plate = self._plate(layer, slab, half)
                    self._place(plate, world, z + slab.mm / 2, number)
                z += slab.mm
        return self._keep(
            self.g4.G4PVPlacement(None, self.g4.G4ThreeVector(), world, "world", None, False, 0)
        )

    def _half(self, depth: float) -> float:
        tilt = depth * math.tan(self.steepest)
        if self.calorimeter.cells is not None:
            cells, sizes = self.calorimeter.cells, self.calorimeter.cell_mm
            reach = max(n * size / 2 for n, size in zip(cells, sizes, strict=True))
        else:
            reach = max(layer.rings[-1] for layer in self.calorimeter.layers)
        # The cells that are summed reach as far as the tilt, twice.
        return max(HALF_MM, reach + 2 * tilt + MARGIN_MM)

    def _plate(self, layer: Layer, slab: Slab, half: float) -> Any:
        """The logical volume of a plate; plates alike share one."""
        if not slab.active:
            key = (slab.material, slab.mm)
            if key not in self._absorbers:
                self._absorbers[key] = self._volume(
                    f"{slab.material}{slab.mm:g}", self._box(half, half, slab.mm / 2), slab.material
                )
            return self._absorbers[key]
        kind = (slab.material, slab.mm, layer.rings, layer.sectors)
        if kind not in self._planes:
            name = f"active{len(self._planes)}"
            plane = self._volume(name, self._box(half, half, slab.mm / 2), slab.material)
            divide = self._boxes if self.calorimeter.box else self._rings
            divide(name, plane, slab, layer)
            self._outside.append(plane)
            self._planes[kind] = plane
        return self._planes[kind]

    def _boxes(self, name: str, plane: Any, slab: Slab, layer: Layer) -> None:
        """Columns along x, cells along y in them."""
        g4, (cx, cy) = self.g4, self.calorimeter.cell_mm
        nx, ny, _ = window(self.calorimeter, self.steepest)
        dz = slab.mm / 2
        frame = self._volume(f"{name}f", self._box(nx * cx / 2, ny * cy / 2, dz), slab.material)
        column = self._volume(f"{name}x", self._box(cx / 2, ny * cy / 2, dz), slab.material)
        cell = self._volume(f"{name}y", self._box(cx / 2, cy / 2, dz), slab.material)
        self._place(frame, plane, 0.0, 0)
        self._keep(g4.G4PVReplica(f"{name}x", column, frame, g4.kXAxis, nx, cx))
        self._keep(g4.G4PVReplica(f"{name}y", cell, column, g4.kYAxis, ny, cy))
        # A cell lies in a column in the frame in the plane, whose number is the layer.
        layers = len(self.calorimeter.layers)
        self._cells.append((cell, Scored("cells", (nx, ny, layers)), (1, 0, 3)))

    def _rings(self, name: str, plane: Any, slab: Slab, layer: Layer) -> None:
        """Tubes about the axis, sectors in them."""
        g4, layers, rings = self.g4, len(self.calorimeter.layers), len(layer.rings) - 1
        for number, (low, high) in enumerate(zip(layer.rings[:-1], layer.rings[1:], strict=True)):
            solid = g4.G4Tubs(f"{name}r{number}", low, high, slab.mm / 2, 0.0, 2 * math.pi)
            ring = self._volume(f"{name}r{number}", solid, slab.material)
            self._place(ring, plane, 0.0, number)
            shape = Scored("cells", (layers, layer.sectors, rings))
            if layer.sectors == 1:
                # The world, two steps up, has number 0.
                self._cells.append((ring, shape, (1, 2, 0)))
                continue
            width = 2 * math.pi / layer.sectors
            wedge = g4.G4Tubs(f"{name}s{number}", low, high, slab.mm / 2, -width / 2, width)
            sector = self._volume(f"{name}s{number}", wedge, slab.material)
            self._keep(
                g4.G4PVReplica(
                    f"{name}s{number}", sector, ring, g4.kPhi, layer.sectors, width, -math.pi
                )
            )
            self._cells.append((sector, shape, (2, 0, 1)))

    def attach_scorers(self, attach: Callable[[Any, Any], None]) -> None:
        """One scorer for cells of one shape, one for the rest of the plates, one for absorbers.

        Args:
          attach: ``SetSensitiveDetector`` of the construction.
        """
        g4, layers = self.g4, len(self.calorimeter.layers)
        alike: dict[Any, list[Any]] = {}
        for volume, scored, depths in self._cells:
            alike.setdefault((scored, depths), []).append(volume)
        for (scored, depths), volumes in alike.items():
            self._attach(
                attach, volumes, scored, g4.G4PSEnergyDeposit3D("e", *scored.shape, *depths)
            )
        rest = {"outside": self._outside, "absorber": list(self._absorbers.values())}
        for kind, volumes in rest.items():
            if volumes:
                scorer = g4.G4PSEnergyDeposit("e", 0)
                self._attach(attach, volumes, Scored(kind, (layers,)), scorer)

    def _attach(
        self,
        attach: Callable[[Any, Any], None],
        volumes: Sequence[Any],
        scored: Scored,
        scorer: Any,
    ) -> None:
        detector = self.g4.G4MultiFunctionalDetector(f"{scored.kind}{len(self.scored)}")
        self.g4.G4SDManager.GetSDMpointer().AddNewDetector(detector)
        detector.RegisterPrimitive(scorer)
        for volume in volumes:
            attach(volume, detector)
        self._kept += [detector, scorer]
        self.scored.append(scored)

    def _box(self, x: float, y: float, z: float) -> Any:
        return self.g4.G4Box("box", x, y, z)

    def _volume(self, name: str, solid: Any, material: str) -> Any:
        nist = self.g4.G4NistManager.Instance()
        found = nist.FindOrBuildMaterial(MATERIALS[material].geant4)
        self._keep(solid)
        return self._keep(self.g4.G4LogicalVolume(solid, found, name))

    def _place(self, child: Any, mother: Any, z: float, number: int) -> None:
        at = self.g4.G4ThreeVector(0, 0, z)
        self._keep(self.g4.G4PVPlacement(None, at, child, child.GetName(), mother, False, number))

    def _keep(self, thing: Any) -> Any:
        self._kept.append(thing)
        return thing


def centred(
    calorimeter: Calorimeter, wide: np.ndarray, incidence: float, centres: np.ndarray
) -> np.ndarray:
    """The window of the calorimeter about a shower: shifted by whole cells along y.

    The axis of the shower, weighted with the energy of each layer, ends up in the central cell but
    for the impact point, as in the shower model.

    Args:
      wide: (nx, ny + 2 * extra, layers) energies.
      incidence: rad from normal, positive if y grows with depth.
      centres: (layers,) depth of the active slabs, mm.
    """
    assert calorimeter.cells is not None
    ny = calorimeter.cells[1]
    axis = centres * math.tan(incidence) / calorimeter.cell_mm[1]
    by_layer = wide.sum((0, 1))
    total = by_layer.sum()
    shift = int(np.round(by_layer @ axis / total)) if total > 0 else 0
    extra = (wide.shape[1] - ny) // 2
    start = extra + shift
    return wide[:, start : start + ny]
