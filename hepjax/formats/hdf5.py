"""HDF5 access with a clear ``InputError`` for missing, truncated and damaged files.

What the datasets mean is in the families: showers/file.py, jets/hdf5.py, particleflow/hdf5.py.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from hepjax import InputError

SUFFIXES = (".h5", ".hdf5")


def list_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files of ``paths``, sorted, each once; a folder stands for its HDF5 files.

    Raises:
      InputError: a path does not exist, a folder has no HDF5 files, or there are no paths.
    """
    files: set[Path] = set()
    for path in [Path(paths)] if isinstance(paths, str | Path) else map(Path, paths):
        if path.is_dir():
            inside = [p for p in path.iterdir() if p.suffix in SUFFIXES and p.name[0] != "."]
            if not inside:
                raise InputError(f"{path}: expected a folder with *.h5 files, found none in it")
            files.update(inside)
        elif path.exists():
            files.add(path)
        else:
            raise InputError(f"{path}: expected a file or folder, found none of this name")
    if not files:
        raise InputError("files: expected at least one file or folder, found none")
    return sorted(files)


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file for reading.

    Raises:
      InputError: it cannot be opened, or anything that HDF5 cannot do inside the block; on damaged
        files the library raises nearly every exception there is.
    """
    try:
        # Damaged numbers are found by their checks, not told as warnings.
        with h5py.File(path, "r") as file, np.errstate(invalid="ignore", over="ignore"):
            yield file
    except InputError:
        raise
    except (Exception, MemoryError) as error:
        raise InputError(f"{path}: {_cause(path, error)}") from error


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
    if not is_hdf5:
        return "expected an HDF5 file, found another format"
    if "truncated file" in str(error):
        return f"expected a whole HDF5 file, found one cut short at {size} bytes; copy it again"
    return f"expected a sound HDF5 file, found a damaged one ({error}); copy it again"


def numeric_dataset(file: h5py.File, path: Path, key: str) -> h5py.Dataset:
    """Dataset ``key``, which must exist, hold numbers and be stored in full.

    Raises:
      InputError: it is none of this.
    """
    if key not in file:
        found = ", ".join(sorted(file)) or "an empty file"
        raise InputError(f"{path}: expected a dataset {key!r}, found {found}")
    dataset = file[key]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiu":
        kind = dataset.dtype if isinstance(dataset, h5py.Dataset) else "a group"
        raise InputError(f"{path}: expected numbers in dataset {key!r}, found {kind}")
    if dataset.ndim == 0 or len(dataset) == 0:
        raise InputError(f"{path}: expected events in dataset {key!r}, found none")
    if _is_incomplete(dataset):
        raise InputError(
            f"{path}: expected all events of dataset {key!r}, found that some were never written"
        )
    return dataset


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


def text_attribute(dataset: h5py.Dataset, key: str) -> str | None:
    """An attribute of fixed length, as hepjax writes them, or None.

    Texts of variable length lie where no checksum guards them; damage there hangs the library.
    """
    if key not in dataset.attrs or dataset.attrs.get_id(key).dtype.kind != "S":
        return None
    return bytes(dataset.attrs[key]).decode(errors="replace")


def read_rows(dataset: h5py.Dataset, start: int, stop: int) -> np.ndarray:
    """Rows ``start`` to ``stop`` in the type they are stored in.

    Chunks with the gzip filter alone are inflated here, as fast as by HDF5 and outside its lock, so
    that threads need not wait for one another.
    """
    if not _is_plain_gzip(dataset):
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
                "compression": dataset.compression,
                "unit": text_attribute(dataset, "unit"),
            }
            for key, dataset in sorted(file.items())
            if isinstance(dataset, h5py.Dataset)
        }
