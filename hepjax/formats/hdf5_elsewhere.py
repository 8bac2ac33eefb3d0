"""HDF5 data that lie in other files: external links, virtual datasets, raw external storage.

HDF5 reads zeros, or names no file, where such a file is missing or too short. Here they are looked
for first, so that what is read is whole and what is missing has a name.
"""

import itertools
import os
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import h5py

from hepjax import InputError
from hepjax.formats.files import kind_of

BLOCK = "%b"
Shape = Callable[[Path, str], tuple[int, ...] | None]
"""Opens a file and gives the shape of a dataset, checked to be whole; None if it has none."""


def require_target(file: h5py.Group, path: Path, key: str, shape_of: Shape) -> None:
    """Refuse a link whose target is missing.

    Raises:
      InputError: with the name of the target.
    """
    try:
        file[key]
        return
    except (KeyError, OSError):
        link = file.get(key, getlink=True)
    if isinstance(link, h5py.SoftLink):
        raise InputError(
            f"{path}: expected data in {key!r}, found a link to {link.path!r}, which is not there"
        )
    if not isinstance(link, h5py.ExternalLink):
        return  # damage, which reading it tells
    found = _find(path, link.filename)
    if found is None:
        raise InputError(
            f"{path}: expected data in {key!r}, found a link to the file {link.filename}, which "
            "is missing; copy it beside this one"
        )
    if shape_of(found, link.path) is None:
        raise InputError(
            f"{path}: expected data in {key!r}, found a link to {link.path!r} in {found}, which "
            "has none"
        )


def require_sources(dataset: h5py.Dataset, path: Path, key: str, shape_of: Shape) -> None:
    """Check that a virtual dataset is whole, as far as its sources say.

    Raises:
      InputError: a source that is missing, too short or not whole itself, or parts without source.
    """
    expected = f"{path}: expected all events of virtual dataset {key!r}, found that"
    home, size = Path(dataset.file.filename), prod(dataset.shape)
    covered = 0
    sources = dataset.virtual_sources()
    for source in sources:
        # Names with %b stand for one file a block, as many as there are.
        pattern = BLOCK in source.file_name or BLOCK in source.dset_name
        for block in itertools.count():
            file_name = source.file_name.replace(BLOCK, str(block))
            name = source.dset_name.replace(BLOCK, str(block))
            where = home if file_name == "." else _find(home, file_name)
            if where is None:
                raise InputError(
                    f"{expected} the file {file_name}, which holds part of them, is missing; "
                    "copy it beside this one"
                )
            if where == home and name.strip("/") == dataset.name.strip("/"):
                raise InputError(f"{expected} it is its own source")
            stored = shape_of(where, name)
            if stored is None:
                raise InputError(f"{expected} {where} has no dataset {name!r}")
            if _is_short(source, stored):
                raise InputError(
                    f"{expected} {name!r} in {where} has shape {stored}, less than is asked of it"
                )
            covered += _numbers(source.src_space if pattern else source.vspace, size)
            if not pattern or covered >= size:
                break
    if covered < size:
        raise InputError(f"{expected} its {len(sources)} sources hold {covered} of {size} numbers")


def _is_short(source: Any, stored: tuple[int, ...]) -> bool:
    """Whether a dataset is smaller than a virtual one takes of it."""
    space = source.src_space
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        asked = space if BLOCK in source.file_name else source.vspace
        return prod(stored) < _numbers(asked, 0)
    if _grows(space):
        return False
    _, last = space.get_select_bounds()
    return any(n >= size for n, size in zip(last, stored, strict=False))


def _numbers(space: Any, most: int) -> int:
    """How many a selection takes; ``most`` if it takes all that come."""
    return most if _grows(space) else int(space.get_select_npoints())


def _grows(space: Any) -> bool:
    """Whether a selection is unlimited."""
    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        return False
    _, _, counts, blocks = space.get_regular_hyperslab()
    return h5py.h5s.UNLIMITED in (*counts, *blocks)


def require_raw_files(dataset: h5py.Dataset, path: Path, key: str) -> None:
    """Check that the raw files of a dataset are there and long enough.

    Raises:
      InputError: one is not; with its name.
    """
    needed = dataset.nbytes
    for name, offset, size in dataset.external:
        part = min(size, needed)
        # HDF5 looks in the working directory, or where this variable says.
        prefix = os.environ.get("HDF5_EXTFILE_PREFIX", "").replace("${ORIGIN}", str(path.parent))
        raw = Path(prefix, name)
        if kind_of(raw) != "file":
            beside = (path.parent / name).exists()
            hint = "HDF5_EXTFILE_PREFIX='${ORIGIN}' finds it beside this one" if beside else (
                "copy it to the working directory, or say where it is with HDF5_EXTFILE_PREFIX"
            )  # fmt: skip
            raise InputError(
                f"{path}: expected the events of dataset {key!r} in the file {name}, found none "
                f"of this name; {hint}"
            )
        stored = raw.stat().st_size - offset
        if stored < part:
            raise InputError(
                f"{path}: expected {part} bytes of dataset {key!r} in {raw}, found {stored}; copy "
                "it again"
            )
        needed -= part


def _find(path: Path, name: str) -> Path | None:
    """Where HDF5 finds a file that ``path`` names: prefixes, beside it, as it is; else None."""
    prefixes = [os.environ.get(key, "") for key in ("HDF5_VDS_PREFIX", "HDF5_EXT_PREFIX")]
    folders = [p.replace("${ORIGIN}", str(path.parent)) for p in ":".join(prefixes).split(":")]
    for folder in (*[f for f in folders if f], str(path.parent), "."):
        candidate = Path(folder, name)
        if kind_of(candidate) == "file":
            return candidate
    for candidate in (path.parent / Path(name).name,):
        if kind_of(candidate) == "file":
            return candidate
    return None
