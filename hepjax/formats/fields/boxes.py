"""HDF5 files with one box: N-body and hydrodynamic fields, as crops files or by Nyx.

Crops: datasets ``Nbody`` (4, n, n, n) and, where known, ``Hydro`` (5, n, n, n), float32, channels
as in ``box.DARK`` and ``box.GAS`` (the layout of the tutorial of NERSC at SC21, whose own files
hold scaled fields; hepjax wants and writes physical ones). Attributes ``cell`` (Mpc/h),
``redshift`` and ``omega_m`` are optional.

Nyx: groups ``native_fields`` (dark_matter_density, baryon_density, temperature, velocity_x, ...),
``universe`` and ``domain``. Velocities are those of the gas, in cm/s; Nyx keeps none of dark
matter, so they are inputs too.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hepjax import InputError, __version__
from hepjax.formats.atomic import replacing
from hepjax.formats.fields.box import DARK, GAS, BoxFile, Facts, require_cube, require_sound
from hepjax.formats.files import Paths
from hepjax.formats.hdf5 import is_hdf5, keys, list_files, numeric_dataset, open_hdf5

NBODY, HYDRO, NATIVE = "Nbody", "Hydro", "native_fields"
NYX = ("dark_matter_density", "baryon_density", "temperature")
VELOCITIES = (("velocity_x", "velocity_y", "velocity_z"), ("vx", "vy", "vz"))
CM = 1e-5
"""km of a cm."""


def is_boxes(path: Path) -> bool:
    """Whether a file holds a box, or the first HDF5 file of a folder does."""
    if path.is_dir():
        found = sorted(p for p in path.glob("*") if p.suffix in (".h5", ".hdf5"))
        return bool(found) and is_boxes(found[0])
    if not path.is_file() or not is_hdf5(path):
        return False
    with open_hdf5(path) as file:
        return bool({NBODY, HYDRO, NATIVE} & set(keys(file)))


def open_box(path: Path) -> BoxFile:
    """The header of a file with a box.

    Raises:
      InputError: damaged, of another layout, without the fields it needs, or no cube.
    """
    with open_hdf5(path) as file:
        names = set(keys(file))
        if NATIVE in names:
            return _nyx(file, path)
        if NBODY not in names:
            raise InputError(
                f"{path}: expected {NBODY} (and {HYDRO}) or the group {NATIVE} of Nyx, found "
                f"{', '.join(sorted(names)) or 'nothing'}"
            )
        cells = _cube(file, path, NBODY, DARK)
        if HYDRO in names and _cube(file, path, HYDRO, GAS) != cells:
            raise InputError(
                f"{path}: expected {NBODY} and {HYDRO} of one size, found {file[NBODY].shape} and "
                f"{file[HYDRO].shape}"
            )
        facts = Facts(*(_number(file.attrs, key, path) for key in Facts._fields))
        return BoxFile(path, "crops", cells, HYDRO in names, facts)


def list_boxes(paths: Paths) -> list[BoxFile]:
    """The boxes of files and folders, sorted by path.

    Raises:
      InputError: see ``open_box``; or boxes whose cells differ in size.
    """
    files = [open_box(path) for path in list_files(paths)]
    sizes = {round(f.facts.cell, 6): f for f in files if f.facts.cell is not None}
    if len(sizes) > 1:
        (a, first), (b, second) = list(sizes.items())[:2]
        raise InputError(
            f"{second.path}: expected cells of {a:g} Mpc/h as in {first.path}, found {b:g}; a "
            "network knows one size of cells"
        )
    return files


def read_box(
    box: BoxFile, start: Sequence[int] = (0, 0, 0), size: int | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Dark matter (4, size, size, size) and gas (5, ...) of a cube of cells, float32, checked.

    Args:
      start: its first cell, also outside of the box, which is periodic. size: by default all.
    Raises:
      InputError: damaged, not finite, or negative densities.
    """
    size = box.cells if size is None else size
    with open_hdf5(box.path) as file:
        if box.layout == "crops":
            dark = _cut(file[NBODY], start, size)
            gas = _cut(file[HYDRO], start, size) if box.targets else None
        else:
            dark, gas = _read_nyx(file, box, start, size)
    require_sound(box.path, "dark matter", dark, DARK)
    if gas is not None:
        require_sound(box.path, "gas", gas, GAS)
    return dark, gas


def write_box(path: Path, dark: np.ndarray, gas: np.ndarray | None, facts: Facts) -> None:
    """Write (4, n, n, n) and (5, n, n, n) as a crops file, whole or not at all.

    Raises:
      InputError: it cannot be written.
    """
    with replacing(path) as partial, h5py.File(partial, "w", libver=("v110", "v110")) as file:
        file.create_dataset(NBODY, data=np.asarray(dark, np.float32))
        if gas is not None:
            file.create_dataset(HYDRO, data=np.asarray(gas, np.float32))
        file.attrs["creator"] = np.bytes_(f"hepjax {__version__}".encode())
        for key, value in facts._asdict().items():
            if value is not None:
                file.attrs[key] = float(value)


def _cube(file: h5py.File, path: Path, key: str, names: tuple[str, ...]) -> int:
    dataset = numeric_dataset(file, path, key)
    if dataset.ndim != 4 or len(dataset) != len(names):
        raise InputError(
            f"{path}: expected ({len(names)}, n, n, n) in {key!r}: {', '.join(names)}, found "
            f"{dataset.shape}"
        )
    return require_cube(path, repr(key), dataset.shape[1:])


def _number(attributes: Any, key: str, path: Path) -> float | None:
    if key not in attributes:
        return None
    value = np.asarray(attributes[key])
    if value.size != 1 or value.dtype.kind not in "fiu" or not np.isfinite(value).all():
        raise InputError(f"{path}: expected a number in the attribute {key!r}, found {value!r}")
    number = float(value.reshape(-1)[0])
    if key in ("cell", "omega_m") and number <= 0:
        raise InputError(f"{path}: expected {key} above 0, found {number:g}")
    return number


def _nyx(file: h5py.File, path: Path) -> BoxFile:
    group = file[NATIVE]
    names = set(group) if isinstance(group, h5py.Group) else set()
    velocities = next((v for v in VELOCITIES if set(v) <= names), None)
    missing = [n for n in NYX if n not in names] + ([] if velocities else ["velocity_x, _y, _z"])
    if "dark_matter_density" in missing or not velocities:
        raise InputError(
            f"{path}: expected {', '.join(missing)} in {NATIVE}, found "
            f"{', '.join(sorted(names)) or 'nothing'}"
        )
    wanted = [n for n in (*NYX, *velocities) if n in names]
    shapes = {n: numeric_dataset(group, path, n).shape for n in wanted}
    cells = {require_cube(path, f"{NATIVE}/{n}", shape) for n, shape in shapes.items()}
    if len(cells) > 1:
        raise InputError(f"{path}: expected fields of one size in {NATIVE}, found {shapes}")
    number = cells.pop()
    universe: Any = file["universe"].attrs if "universe" in file else {}
    domain: Any = file["domain"].attrs if "domain" in file else {}
    length = None
    if "size" in domain:  # Mpc, not over h
        h = _number(universe, "hubble" if "hubble" in universe else "h", path) or 1.0
        length = float(np.asarray(domain["size"], float).reshape(-1)[0]) * (h if h < 2 else 1.0)
    facts = Facts(
        None if length is None else length / number, _number(universe, "redshift", path),
        _number(universe, "omega_m", path),
    )  # fmt: skip
    return BoxFile(path, "nyx", number, not missing, facts)


def _read_nyx(
    file: h5py.File, box: BoxFile, start: Sequence[int], size: int
) -> tuple[np.ndarray, np.ndarray | None]:
    group = file[NATIVE]
    names = next(v for v in VELOCITIES if set(v) <= set(group))
    velocity = [CM * _cut(group[n], start, size) for n in names]
    dark = np.stack([_cut(group[NYX[0]], start, size), *velocity])
    if not box.targets:
        return dark, None
    return dark, np.stack([*(_cut(group[n], start, size) for n in NYX[1:]), *velocity])


def _cut(dataset: h5py.Dataset, start: Sequence[int], size: int) -> np.ndarray:
    """A cube of the last three axes, wrapped around their ends, float32."""
    cells = dataset.shape[-1]
    lead = dataset.shape[:-3]
    made = np.empty((*lead, size, size, size), np.float32)
    pieces = [list(_pieces(s, size, cells)) for s in start]
    for place in itertools.product(*pieces):
        into = tuple(slice(at, at + n) for at, _, n in place)
        out_of = tuple(slice(first, first + n) for _, first, n in place)
        every = (slice(None),) * len(lead)
        made[(*every, *into)] = dataset[(*every, *out_of)]
    return made


def _pieces(start: int, size: int, cells: int) -> Iterator[tuple[int, int, int]]:
    """Where a piece goes, where it begins in the box, and its length."""
    done = 0
    while done < size:
        first = (start + done) % cells
        length = min(size - done, cells - first)
        yield done, first, length
        done += length
