"""What shower files are: datasets and units of the published layouts, no reading.

``fixed`` is a box at normal incidence, ``angle`` one at a variable polar angle, ``calochallenge`` a
cylinder whose layers have their own bins. The chunk of a file and how it is compressed are the
writer's own business (writer.py): readers take any.
"""

from typing import Literal

from hepjax.formats.images import Channel
from hepjax.formats.showers.calorimeter import Calorimeter

Layout = Literal["fixed", "angle", "calochallenge"]
Unit = Literal["auto", "GeV", "0.02 GeV", "TeV", "MeV", "keV", "eV"]
"""Of cells; ``auto`` is what the file says or shows, see ``file.describe``."""
UNIT_HINT = "say it: --unit (inspect, pack), --generated-unit (evaluate) or data.unit (train)"
GEOMETRY_HINT = "say it: --geometry (inspect, pack, evaluate) or data.calorimeter (train)"
"""The ways out of errors about the unit and the calorimeter; commands name their own alone."""

PDG = {"Ele": 11, "Gamma": 22, "Pi0": 111, "ChPi": 211}
"""Particle names of the published files and their codes (Particle Data Group scheme)."""
CELL_UNIT: dict[Layout, str] = {"fixed": "GeV", "angle": "0.02 GeV", "calochallenge": "MeV"}
"""Published unit of the cells; the variable-angle files hold GeV x 50."""

CELLS = "ECAL"
"""(n, x, y, z) cell energies. Each layout has further datasets, one row an event: ``target`` (n, 2)
of particle code and energy in the fixed one; ``energy``, ``theta``, ``mtheta`` and ``sum`` in the
other."""
VOXELS, INCIDENT = "showers", "incident_energies"
"""(n, voxels) and (n, 1) of a CaloChallenge file, both MeV."""
GEOMETRY = "geometry"
"""Attribute of a file: the YAML text of its calorimeter, unless the shape of a shower names it."""
TRUTH = {"impact": "mm", "absorber": "GeV", "outside": "GeV", "leaked": "GeV", "cpu_seconds": "s"}
"""What a full simulation knows besides, and units, see docs/reference/layouts.md."""
GENERATED_ENERGY, GENERATED_ANGLE = "Target", "Angle"
"""(n,) incident energies, GeV, and polar angles, rad, in files that svalleco/3Dgan generates."""


def dataset_units(layout: Layout) -> dict[str, str]:
    """Units of the datasets that either layout has; ``sum`` has the unit of the cells."""
    cells = CELL_UNIT[layout]
    return TRUTH | {
        CELLS: cells, "target": "code, GeV", "energy": "GeV", "sum": cells,
        "theta": "rad", "mtheta": "rad", VOXELS: cells, INCIDENT: "MeV",
    }  # fmt: skip


def cells_of(layout: Layout) -> str:
    """The dataset of the cells."""
    return VOXELS if layout == "calochallenge" else CELLS


def layout_of(calorimeter: Calorimeter) -> Layout:
    """The layout that showers of a calorimeter are written in."""
    if not calorimeter.box:
        return "calochallenge"
    return "fixed" if calorimeter.normal else "angle"


CHANNEL = Channel(CELLS, "GeV")
"""Of showers that are packed as images."""
COLUMN_UNITS = {"energy": "GeV", "theta": "rad", "mtheta": "rad", "visible": "GeV"}
"""Columns of packed showers; ``visible`` is the stored sum of the cells, if there is one."""
