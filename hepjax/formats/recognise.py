"""Which layout a file has, from the names of its datasets."""

from pathlib import Path
from typing import Literal

from hepjax.errors import InputError
from hepjax.formats import calochallenge
from hepjax.formats.hdf5 import open_hdf5


def recognise(path: Path) -> Literal["clic", "calochallenge"]:
    """The family of layouts of ``path``; ``describe`` of the module for it says the rest.

    Raises:
      InputError: not HDF5, damaged, or datasets of no known layout.
    """
    with open_hdf5(path) as file:
        if "ECAL" in file:
            return "clic"
        if calochallenge.is_calochallenge(file):
            return "calochallenge"
        found = ", ".join(sorted(file)) or "nothing"
    raise InputError(
        f"{path}: expected ECAL (CLIC) or incident_energies and showers (CaloChallenge), "
        f"found {found}"
    )
