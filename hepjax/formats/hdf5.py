"""HDF5 access with a clear ``InputError`` for missing, truncated and damaged files.

What the datasets mean is in the families: showers/file.py, jets/hdf5.py, particleflow/hdf5.py. Data
that lie in other files (links, virtual datasets, raw files) are followed in hdf5_elsewhere.py,
attributes read in hdf5_text.py.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from hepjax import InputError
from hepjax.formats import hdf5_elsewhere, hdf5_filters
from hepjax.formats.files import Paths, has_suffix, inside, list_all
from hepjax.formats.units import stated

SUFFIXES = (".h5", ".hdf5")
NO_LOCKS = (37, 38, 95, 524)
"""errno of file systems that cannot lock: ENOLCK, ENOSYS, EOPNOTSUPP, ENOTSUPP (NFS)."""


def list_files(paths: Paths) -> list[Path]:
    """The files of ``paths``, sorted, each once; a folder stands for its HDF5 files.

    Raises:
      InputError: a path does not exist, a folder has no HDF5 files, or there are no paths.
    """
    return list_all(paths, _files_in)


def _files_in(folder: Path) -> list[Path]:
    found = [path for path in inside(folder) if has_suffix(path, SUFFIXES)]
    if not found:
        raise InputError(f"{folder}: expected a folder with *.h5 files, found none in it")
    return found


def is_hdf5(path: Path) -> bool:
    """Whether it is an HDF5 file, by its first bytes.

    Raises:
      InputError: it may not be read.
    """
    try:
        return bool(h5py.is_hdf5(path))
    except OSError as error:  # without the name of the file, and with a page of HDF5 in its place
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(f"{path}: expected a readable file, found: {reason}") from error


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file for reading.

    Raises:
      InputError: it cannot be opened, or anything that HDF5 cannot do inside the block; on damaged
        files the library raises nearly every exception there is.
    """
    try:
        # Damaged numbers are found by their checks, not told as warnings.
        with _open(path) as file, np.errstate(invalid="ignore", over="ignore"):
            yield file
    except InputError:
        raise
    except (Exception, MemoryError) as error:
        raise InputError(f"{path}: {_cause(path, error)}") from error


def _open(path: Path) -> h5py.File:
    """Open for reading; a lock is taken only where the file system has locks.

    The lock keeps out a writer while we read. Some file systems of clusters have none.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if error.errno not in NO_LOCKS and "file locking flag values" not in str(error):
            raise
    # Another thread that came here before has the file open without a lock.
    return h5py.File(path, "r", locking=False)


def _cause(path: Path, error: Exception) -> str:
    try:
        size = path.stat().st_size
        is_hdf5 = h5py.is_hdf5(path)
    except OSError as failed:
        return f"expected a readable file, found {failed.strerror}"
    if isinstance(error, PermissionError):
        return "expected a readable file, found no permission to read it"
    if size == 0:
        return "expected an HDF5 file, found an empty one"
    if "unable to lock file" in str(error):
        return (
            "expected a file that nobody writes, found one that another program has open for "
            "writing; close it there, or set HDF5_USE_FILE_LOCKING=FALSE to read it all the same"
        )
    if not is_hdf5:
        return "expected an HDF5 file, found another format"
    if "already open for" in str(error):
        return (
            "expected a file that its writer closed, found one that is still open for writing or "
            f"whose writer crashed; close it there, or if nobody writes: h5clear -s {path}"
        )
    if "truncated file" in str(error):
        return (
            f"expected a whole HDF5 file, found one cut short at {size} bytes; copy it again, or "
            "write it again if its writer never closed it"
        )
    return f"expected a sound HDF5 file, found a damaged one ({error}); copy it again"


def keys(file: h5py.Group) -> list[str]:
    """Names in the file, sorted; also those of links whose target is missing."""
    return sorted(file)


def numeric_dataset(file: h5py.Group, path: Path, key: str, kinds: str = "fiu") -> h5py.Dataset:
    """Dataset ``key``, which must exist, hold numbers and be stored in full.

    Args:
      kinds: of numbers, as NumPy calls them.
    Raises:
      InputError: it is none of this, lies in a file that is missing, or is compressed with a
        filter that is not installed.
    """
    if key not in set(file):
        found = ", ".join(keys(file)) or "an empty file"
        raise InputError(f"{path}: expected a dataset {key!r}, found {found}")
    hdf5_elsewhere.require_target(file, path, key, _shape_of)
    dataset = file[key]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in kinds:
        kind = dataset.dtype if isinstance(dataset, h5py.Dataset) else "a group"
        raise InputError(f"{path}: expected numbers in dataset {key!r}, found {kind}")
    if dataset.ndim == 0 or len(dataset) == 0:
        raise InputError(f"{path}: expected events in dataset {key!r}, found none")
    hdf5_filters.require_filters(dataset, path, key)
    if dataset.is_virtual:
        hdf5_elsewhere.require_sources(dataset, path, key, _shape_of)
    elif dataset.external:
        hdf5_elsewhere.require_raw_files(dataset, path, key)
    elif _is_incomplete(dataset):
        raise InputError(
            f"{path}: expected all events of dataset {key!r}, found that some were never written; "
            "write the file again"
        )
    return dataset


def _shape_of(path: Path, name: str) -> tuple[int, ...] | None:
    with open_hdf5(path) as file:
        if name not in file:
            return None
        parent, _, key = name.rpartition("/")
        return numeric_dataset(file[parent or "/"], path, key, "fiub").shape


def _is_incomplete(dataset: h5py.Dataset) -> bool:
    if dataset.chunks is None:
        return dataset.id.get_storage_size() < dataset.nbytes
    grid = [-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)]
    return dataset.id.get_num_chunks() < np.prod(grid, dtype=float)


def column(file: h5py.File, path: Path, key: str, events: int) -> np.ndarray:
    """A dataset with one row an event, float64.

    Raises:
      InputError: absent, not numeric, or not one row for each of the ``events`` of ``ECAL``.
    """
    dataset = numeric_dataset(file, path, key)
    if len(dataset) != events:
        raise InputError(
            f"{path}: expected as many rows in {key!r} as showers ({events}), found {len(dataset)}"
        )
    if dataset.nbytes > 1e9:
        raise InputError(
            f"{path}: expected a few numbers an event in {key!r}, found {dataset.shape}"
        )
    return np.asarray(dataset[...], np.float64)


def read_rows(dataset: h5py.Dataset, start: int, stop: int) -> np.ndarray:
    """Rows ``start`` to ``stop`` in the type they are stored in.

    Chunks with the gzip filter alone are inflated here, as fast as by HDF5 and outside its lock, so
    that threads need not wait for one another.
    """
    if not _is_plain_gzip(dataset):
        # Also in a process of its own, which has not yet loaded the filters.
        hdf5_filters.require_filters(dataset, Path(dataset.file.filename), dataset.name)
        return dataset[start:stop]
    chunk = dataset.chunks
    nbytes = int(np.prod(chunk)) * dataset.dtype.itemsize
    read = np.empty((stop - start, *chunk[1:]), dataset.dtype)
    for row in range(start - start % chunk[0], stop, chunk[0]):
        skipped, stored = dataset.id.read_direct_chunk((row,) + (0,) * (dataset.ndim - 1))
        data = stored if skipped else zlib.decompress(stored, bufsize=nbytes)
        if len(data) != nbytes:
            raise ValueError(f"a chunk of {len(data)} bytes, not {nbytes}")
        low, high = max(start, row), min(stop, row + chunk[0])
        inflated = np.frombuffer(data, dataset.dtype).reshape(chunk)
        read[low - start : high - start] = inflated[low - row : high - row]
    return read


def _is_plain_gzip(dataset: h5py.Dataset) -> bool:
    if dataset.chunks is None or dataset.chunks[1:] != dataset.shape[1:]:
        return False
    filters = dataset.id.get_create_plist()
    return filters.get_nfilters() == 1 and filters.get_filter(0)[0] == h5py.h5z.FILTER_DEFLATE


def list_datasets(path: Path) -> dict[str, dict[str, object]]:
    """Shape, type and storage of the top-level datasets of a file, by name."""
    with open_hdf5(path) as file:
        return {
            key: {
                "shape": list(dataset.shape),
                "dtype": str(dataset.dtype),
                "chunks": list(dataset.chunks) if dataset.chunks else None,
                "compression": hdf5_filters.compression(dataset),
                "unit": said[1] if (said := stated(dataset)) else None,
            }
            for key in keys(file)
            if isinstance(dataset := file.get(key), h5py.Dataset)
        }
