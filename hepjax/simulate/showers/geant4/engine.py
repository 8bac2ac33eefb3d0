"""One Geant4 in this process: showers of given energies, angles, impact points and seeds."""

import math
import re
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hepjax import HepjaxError
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.simulate.showers.geant4.data import about, import_geant4
from hepjax.simulate.showers.geant4.detector import Detector, centred
from hepjax.simulate.showers.geometry import active_centres_mm

PARTICLES = {"electron": "e-", "photon": "gamma"}
PHYSICS = "G4EmStandardPhysics_option3"
"""The electromagnetic physics with the finest steps in thin plates that runs on the written tables.
With options 1 and 2 half a millimetre of silicon sees a fifth less."""
FRONT_MM = 1.0
"""Particles start this far before the front face."""


@dataclass(frozen=True)
class Setup:
    """Everything an engine is built from; it pickles."""

    calorimeter: Calorimeter
    particle: str
    steepest: float
    """Largest angle from normal incidence, rad."""
    cut_mm: float
    """Range below which no secondary particles are made."""
    data: Path | None
    """G4EMLOW; None writes tables from formulas."""


class Shot(NamedTuple):
    """One particle to shoot."""

    energy: float  # GeV
    theta: float  # rad; pi/2 is normal, below it y grows with depth
    impact: tuple[float, float]  # mm on the front face, from the middle of the window
    seed: int  # 31 bits, not 0


class Showers(NamedTuple):
    """What came of n shots, float32."""

    ecal: np.ndarray  # (n, *calorimeter.shape), deposits over ``divided_by``, GeV
    absorber: np.ndarray  # (n, layers), deposits in the absorber, GeV
    outside: np.ndarray  # (n,) deposits in active plates outside the cells, GeV
    leaked: np.ndarray  # (n,) energy that left the calorimeter, GeV
    cpu_seconds: np.ndarray  # (n,) processor time of a shower


class Engine:
    """Geant4 with the calorimeter built; only one can ever be made in a process.

    Args:
      scratch: empty folder for what Geant4 reads.
    """

    def __init__(self, setup: Setup, scratch: Path) -> None:
        self.setup = setup
        self.g4 = g4 = import_geant4(setup.data, setup.calorimeter, scratch)
        self.detector = Detector(g4, setup.calorimeter, setup.steepest)
        self.centres = active_centres_mm(setup.calorimeter)
        self.todo: list[Shot] = []
        self.done: list[Showers] = []
        self._began = 0.0
        self._manager = g4.G4RunManagerFactory.CreateRunManager(g4.G4RunManagerType.Serial)
        for part in _parts(g4, self):
            self._manager.SetUserInitialization(part)
        # A cut set in the physics list is silently without effect; the command works.
        for command in (
            "/process/em/verbose 0", "/process/verbose 0", "/run/verbose 0",
            f"/run/setCut {setup.cut_mm} mm", "/process/em/fluo false",
        ):  # fmt: skip
            g4.G4UImanager.GetUIpointer().ApplyCommand(command)
        self._manager.Initialize()
        self._manager.BeamOn(0)  # builds the tables of the processes

    def about(self) -> dict[str, str]:
        """Engine, physics and tables, for the metadata of files."""
        release = _release(str(self._manager.GetVersionString()))
        return {
            "engine": f"{release}, geant4-pybind {version('geant4-pybind')}",
            "physics": f"{PHYSICS} without fluorescence, cut {self.setup.cut_mm:g} mm",
            "tables": about(self.setup.data),
        }

    def run(self, shots: list[Shot]) -> Showers:
        """Simulate; a shower depends on its own shot alone."""
        self.todo, self.done = shots, []
        self._manager.BeamOn(len(shots))
        if len(self.done) != len(shots):
            raise HepjaxError(f"Geant4: expected {len(shots)} showers, found {len(self.done)}")
        return Showers(
            *(np.stack(part).astype(np.float32) for part in zip(*self.done, strict=True))
        )

    def start(self, number: int, gun: Any) -> Shot:
        """Seed, energy, place and direction of a shower, when Geant4 asks for them."""
        shot, g4 = self.todo[number], self.g4
        g4.G4Random.setTheSeed(shot.seed)
        incidence = math.pi / 2 - shot.theta
        x, y = shot.impact
        gun.SetParticleEnergy(shot.energy * g4.GeV)
        gun.SetParticleMomentumDirection(
            g4.G4ThreeVector(0, math.sin(incidence), math.cos(incidence))
        )
        gun.SetParticlePosition(g4.G4ThreeVector(x, y - FRONT_MM * math.tan(incidence), -FRONT_MM))
        self._began = time.process_time()
        return shot

    def finish(self, number: int, collections: list[list[tuple[int, float]]]) -> None:
        """Sums of a shower, scorer by scorer, when it is over."""
        shot, calorimeter = self.todo[number], self.setup.calorimeter
        absorber = np.zeros(len(calorimeter.layers))
        active, cells = 0.0, np.zeros(0)
        images = []
        for scored, pairs in zip(self.detector.scored, collections, strict=True):
            sums = np.zeros(math.prod(scored.shape))
            if pairs:
                index, value = zip(*pairs, strict=True)
                sums[list(index)] = np.asarray(value) / self.g4.GeV
            if scored.kind == "absorber":
                absorber += sums
                continue
            active += sums.sum()
            if scored.kind == "cells":
                images.append(sums.reshape(scored.shape))
        incidence = math.pi / 2 - shot.theta
        if calorimeter.box:
            cells = centred(calorimeter, sum(images[1:], images[0]), incidence, self.centres)
        else:
            cells = _voxels(calorimeter, images)
        spent = time.process_time() - self._began
        numbers = (active - cells.sum(), shot.energy - active - absorber.sum(), spent)
        self.done.append(
            Showers(cells / calorimeter.divided_by, absorber, *map(np.asarray, numbers))
        )


def _voxels(calorimeter: Calorimeter, images: list[np.ndarray]) -> np.ndarray:
    """(voxels,) of a cylinder from the sums of its scorers, (layer, sector, ring) each."""
    flat = np.zeros(calorimeter.voxels)
    offsets = calorimeter.offsets
    for image in images:
        for number, layer in enumerate(calorimeter.layers):
            if image.shape[1:] == (layer.sectors, len(layer.rings) - 1):
                flat[offsets[number] : offsets[number + 1]] += image[number].reshape(-1)
    return flat


def _release(text: str) -> str:
    """Such as ``Geant4 11.4.1`` of `` Geant4 version Name: geant4-11-04-patch-01 [MT] ...``."""
    found = re.search(r"geant4-(\d+)-(\d+)(?:-patch-(\d+))?", text)
    if found is None:
        return text.strip() or "Geant4"
    return "Geant4 " + ".".join(str(int(part)) for part in found.groups() if part)


def _parts(g4: Any, engine: Engine) -> list[Any]:
    """Detector, physics and actions as the classes that Geant4 wants."""

    class Construction(g4.G4VUserDetectorConstruction):
        def Construct(self) -> Any:  # noqa: N802
            return engine.detector.world()

        def ConstructSDandField(self) -> None:  # noqa: N802
            engine.detector.attach_scorers(self.SetSensitiveDetector)

    class Physics(g4.G4VModularPhysicsList):
        def __init__(self) -> None:
            super().__init__()
            self.SetVerboseLevel(0)
            self.RegisterPhysics(getattr(g4, PHYSICS)())

    class Generator(g4.G4VUserPrimaryGeneratorAction):
        def __init__(self) -> None:
            super().__init__()
            self.gun = g4.G4ParticleGun(1)
            table = g4.G4ParticleTable.GetParticleTable()
            self.gun.SetParticleDefinition(table.FindParticle(PARTICLES[engine.setup.particle]))

        def GeneratePrimaries(self, event: Any) -> None:  # noqa: N802
            engine.start(event.GetEventID(), self.gun)
            self.gun.GeneratePrimaryVertex(event)

    class Readout(g4.G4UserEventAction):
        def EndOfEventAction(self, event: Any) -> None:  # noqa: N802
            found = event.GetHCofThisEvent()
            count = range(len(engine.detector.scored))
            engine.finish(event.GetEventID(), [list(found.GetHC(i)) for i in count])

    class Actions(g4.G4VUserActionInitialization):
        def Build(self) -> None:  # noqa: N802
            self.SetUserAction(Generator())
            self.SetUserAction(Readout())

    return [Construction(), Physics(), Actions()]
