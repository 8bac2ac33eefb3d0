"""What CLIC-like shower files are: datasets and units of the two published layouts, no reading.

``fixed`` is normal incidence, ``angle`` a variable polar angle. The chunk of a file and how it is
compressed are the writer's own business (writer.py): readers take any.
"""

from typing import Literal

from hepjax.formats.images import Channel

Layout = Literal["fixed", "angle"]
Unit = Literal["auto", "GeV", "0.02 GeV", "TeV", "MeV", "keV", "eV"]
"""Of cells; ``auto`` is what the file says or shows, see ``file.describe``."""
UNIT_HINT = "say it: --unit (inspect, pack) or data.unit (train)"
"""The way out of an error about the unit."""

PDG = {"Ele": 11, "Gamma": 22, "Pi0": 111, "ChPi": 211}
"""Particle names of the published files and their codes (Particle Data Group scheme)."""
CELL_UNIT: dict[Layout, str] = {"fixed": "GeV", "angle": "0.02 GeV"}
"""Published unit of the cells; the variable-angle files hold GeV x 50."""

CELLS = "ECAL"
"""(n, x, y, z) cell energies. Each layout has further datasets, one row an event: ``target`` (n, 2)
of particle code and energy in the fixed one; ``energy``, ``theta``, ``mtheta`` and ``sum`` in the
other."""
GENERATED_ENERGY, GENERATED_ANGLE = "Target", "Angle"
"""(n,) incident energies, GeV, and polar angles, rad, in files that svalleco/3Dgan generates."""


def dataset_units(layout: Layout) -> dict[str, str]:
    """Units of the datasets that either layout has; ``sum`` has the unit of the cells."""
    cells = CELL_UNIT[layout]
    return {
        CELLS: cells, "target": "code, GeV", "energy": "GeV", "sum": cells,
        "theta": "rad", "mtheta": "rad",
    }  # fmt: skip


CHANNEL = Channel(CELLS, "GeV")
"""Of showers that are packed as images."""
COLUMN_UNITS = {"energy": "GeV", "theta": "rad", "mtheta": "rad", "visible": "GeV"}
"""Columns of packed showers; ``visible`` is the stored sum of the cells, if there is one."""
