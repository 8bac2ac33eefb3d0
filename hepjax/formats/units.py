"""Units that files state, and what they are in GeV and rad: one table for all readers of HDF5."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from hepjax import InputError
from hepjax.formats.hdf5_text import text_attribute

ENERGY = {"GeV": 1.0, "0.02 GeV": 50.0, "TeV": 1e-3, "MeV": 1e3, "keV": 1e6, "eV": 1e9}
"""How many of the unit make 1 GeV."""
ANGLE = {"rad": 1.0, "deg": 180 / np.pi}
"""How many of the unit make 1 rad."""
KEYS = ("unit", "units")
"""Attributes that state it, in any case."""
SPELT = {
    "gevx50": "0.02 GeV", "gev*50": "0.02 GeV",
    "radian": "rad", "radians": "rad", "degree": "deg", "degrees": "deg", "°": "deg",
}  # fmt: skip
"""Other spellings, in lower case and without blanks."""


def stated(dataset: h5py.Dataset) -> tuple[str, str] | None:
    """The attribute that states the unit of a dataset, and what it says; None if there is none."""
    for key in (name for name in dataset.attrs if name.lower() in KEYS):
        text = text_attribute(dataset, key)
        if text is None and not isinstance(value := _value(dataset, key), h5py.Empty):
            text = str(value)  # a number, which is no unit
        if text:
            return key, text
    return None


def _value(dataset: h5py.Dataset, key: str) -> object:
    return h5py.Empty("f4") if dataset.attrs.get_id(key).shape is None else dataset.attrs[key]


def named(text: str, table: Mapping[str, float]) -> str | None:
    """The unit that ``text`` means, as a key of ``table``; None for another."""
    plain = "".join(text.lower().split())
    plain = "".join(SPELT.get(plain, plain).lower().split())
    return next((name for name in table if plain == "".join(name.lower().split())), None)


def unit_of(
    dataset: h5py.Dataset, path: Path, key: str, table: Mapping[str, float], hint: str = ""
) -> str | None:
    """The unit of a dataset as a key of ``table``; None if the file does not state it.

    Args:
      table: ``ENERGY`` or ``ANGLE``.
      hint: the way out if the unit is unknown.
    Raises:
      InputError: a unit that is not in the table.
    """
    found = stated(dataset)
    if found is None:
        return None
    attribute, text = found
    # Of "code, GeV", which hepjax writes for columns of different meaning, the last counts.
    unit = named(text.rpartition(",")[2], table)
    if unit is None:
        raise InputError(
            f"{path}: expected {', '.join(table)} as {attribute!r} of dataset {key!r}, found "
            f"{text[:40]!r}; write it as one of these" + (hint and f", or {hint}")
        )
    return unit


def converted(
    values: np.ndarray, dataset: h5py.Dataset, path: Path, key: str, table: Mapping[str, float]
) -> np.ndarray:
    """Values of a dataset in GeV or rad."""
    unit = unit_of(dataset, path, key, table)
    return values if unit is None or table[unit] == 1.0 else values / table[unit]
