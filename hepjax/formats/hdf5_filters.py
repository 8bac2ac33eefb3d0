"""Compression of HDF5 datasets: which filter, and whether it is installed.

gzip, LZF, shuffle and the like come with h5py, the others (Blosc, Zstandard, LZ4, bitshuffle and
more) with the optional package hdf5plugin, which is imported when a file needs it.
"""

import contextlib
import importlib
from pathlib import Path

import h5py

from hepjax import InputError

NAMES = {
    307: "bzip2", 32000: "LZF", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP",
    32015: "Zstandard", 32017: "SZ", 32018: "FCIDECOMP", 32024: "SZ3", 32026: "Blosc2",
    32028: "SPERR",
}  # fmt: skip
"""Registered numbers of filters (HDF Group, registered filter plugins)."""
PREPARING = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)
"""Shuffle and checksum, which compress nothing."""


def filters(dataset: h5py.Dataset) -> list[tuple[int, str]]:
    """Number and name of each filter."""
    plan = dataset.id.get_create_plist()
    found = []
    for k in range(plan.get_nfilters()):
        number, _, _, text = plan.get_filter(k)
        said = text.decode(errors="replace").split(";")[0].strip()
        found.append((number, NAMES.get(number, said or "unnamed")))
    return found


def compression(dataset: h5py.Dataset) -> str | None:
    """The name of the compression, for people; None if there is none."""
    if dataset.compression not in (None, "unknown"):
        return str(dataset.compression)
    names = [name for number, name in filters(dataset) if number not in PREPARING]
    return " and ".join(names) or None


def require_filters(dataset: h5py.Dataset, path: Path, key: str) -> None:
    """Refuse data whose filters are not installed.

    Raises:
      InputError: with the name of the filter.
    """
    missing = _missing(dataset)
    if missing:
        with contextlib.suppress(ImportError):  # hdf5plugin makes its filters known to HDF5
            importlib.import_module("hdf5plugin")
            missing = _missing(dataset)
    if missing:
        number, name = missing[0]
        raise InputError(
            f"{path}: expected dataset {key!r} in a compression that is installed, found {name} "
            f"(HDF5 filter {number}); pip install 'hepjax[hdf5plugin]'"
        )


def _missing(dataset: h5py.Dataset) -> list[tuple[int, str]]:
    return [entry for entry in filters(dataset) if not h5py.h5z.filter_avail(entry[0])]
