"""Where Geant4 finds its data: a G4EMLOW that the user has, or tables written from formulas."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

from hepjax import InputError, MissingExtraError
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.materials import MATERIALS
from hepjax.simulate.showers.geant4.tables import write_stopping, write_tables

FILES = (
    "brem_SB/br{z}", "epics2017/phot/pe-cs-{z}.dat", "epics2017/phot/pe-high-{z}.dat",
    "epics2017/phot/pe-low-{z}.dat", "epics2017/rayl/re-cs-{z}.dat",
)  # fmt: skip
"""Of G4EMLOW, read for each element."""
NUCLIDES = "1 1 0 - -1 1 0\n"
"""A table of nuclear levels that is read at the start and never used by these particles."""
FORMULAS = "built-in formulas (not G4EMLOW)"


def elements(calorimeter: Calorimeter) -> list[int]:
    """Atomic numbers of everything that the simulation holds, the air around it included."""
    materials = [slab.constants for slab in calorimeter.stack] + [MATERIALS["air"]]
    return sorted({z for material in materials for z in material.elements})


def in_compounds(calorimeter: Calorimeter) -> list[int]:
    """Atomic numbers of what its compounds are made of; air does not count."""
    materials = [slab.constants for slab in calorimeter.stack if slab.material != "air"]
    return sorted({z for m in materials if len(m.elements) > 1 for z in m.elements})


def installed(environment: Mapping[str, str], home: Path, needed: Iterable[int]) -> Path | None:
    """The folder of G4EMLOW to use; None if there is none.

    ``G4LEDATA`` counts first, then ``GEANT4_DATA_DIR`` and what geant4-pybind downloaded earlier.

    Args:
      needed: atomic numbers of elements.
    Raises:
      InputError: ``G4LEDATA`` names a folder that lacks files of an element.
    """
    needed = list(needed)
    if named := environment.get("G4LEDATA"):
        root = Path(named)
        if missing := _missing(root, needed):
            raise InputError(
                f"G4LEDATA: expected {len(FILES) * len(needed)} files of G4EMLOW for the materials "
                f"of this calorimeter in {root}, found no {missing[0]}; unset G4LEDATA to use "
                "tables from formulas"
            )
        return root
    folders = [environment.get("GEANT4_DATA_DIR"), str(home / ".geant4_pybind")]
    found = [path for folder in folders if folder for path in sorted(Path(folder).glob("G4EMLOW*"))]
    return next((path for path in reversed(found) if not _missing(path, needed)), None)


def _missing(root: Path, needed: Iterable[int]) -> list[str]:
    names = (name.format(z=z) for z in needed for name in FILES)
    return [name for name in names if not (root / name).is_file()]


def about(root: Path | None) -> str:
    """What the electromagnetic tables are, for the metadata of files."""
    return FORMULAS if root is None else root.name


def is_installed() -> bool:
    """Whether geant4-pybind is there, without importing it: its import would ask to download."""
    import importlib.util

    return importlib.util.find_spec("geant4_pybind") is not None


def import_geant4(root: Path | None, calorimeter: Calorimeter, scratch: Path) -> ModuleType:
    """The module ``geant4_pybind`` with its data folders set, in this process.

    Args:
      root: G4EMLOW; None writes tables from formulas into ``scratch``.
      scratch: empty folder that outlives the process's work.
    Raises:
      MissingExtraError: it is not installed.
    """
    for name in ("nuclides", "levels", "none"):
        (scratch / name).mkdir()
    (scratch / "nuclides" / "ENSDFSTATE.dat").write_text(NUCLIDES)
    # An existing folder keeps the import from asking on the terminal to download 2 GB.
    os.environ["GEANT4_DATA_DIR"] = str(scratch / "none")
    os.environ.setdefault("G4ENSDFSTATEDATA", str(scratch / "nuclides"))
    os.environ.setdefault("G4LEVELGAMMADATA", str(scratch / "levels"))
    try:
        import geant4_pybind
    except ImportError:
        raise MissingExtraError("showers from Geant4", "geant4") from None
    if root is None:
        write_tables(geant4_pybind, scratch, elements(calorimeter))
        write_stopping(scratch, in_compounds(calorimeter))
    os.environ["G4LEDATA"] = str(scratch if root is None else root)
    return geant4_pybind
