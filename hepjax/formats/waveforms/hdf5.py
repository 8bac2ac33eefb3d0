"""Reads HDF5 files of waveforms: pulses by index, from many files as one source."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hepjax import InputError
from hepjax.formats.block_cache import BlockCache
from hepjax.formats.hdf5 import SUFFIXES, keys, list_files, numeric_dataset, open_hdf5, read_rows
from hepjax.formats.source import Batch, locate
from hepjax.formats.waveforms.layout import (
    COLUMNS,
    EVENT,
    FULL_SCALE,
    KINDS,
    MOST_SATURATED,
    SAMPLE_NS,
    SCALE,
    TRUTH,
    WAVEFORM,
)

BLOCK_EVENTS = 1024
CACHE_BYTES = 2**30


@dataclass(frozen=True)
class Meaning:
    """What files that are read together have in common."""

    samples: int
    dtype: str
    """Of the waveforms: int16 or float32."""
    scale: float
    """Photoelectrons a count."""
    columns: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """A file of waveforms."""

    path: Path
    events: int
    meaning: Meaning
    sample_ns: float | None


def is_waveforms(path: Path) -> bool:
    """Whether an HDF5 file has a dataset ``waveform``, or the first file of a folder has one."""
    try:
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES)
            return bool(files) and is_waveforms(files[0])
        if not (path.is_file() and h5py.is_hdf5(path)):
            return False
        with h5py.File(path, "r") as file:
            return WAVEFORM in file
    except (OSError, RuntimeError):  # whoever reads it says why it cannot be read
        return False


def describe(path: Path) -> File:
    """Shape, scale and columns of a file.

    Raises:
      InputError: unreadable, without waveforms, or with columns of another length.
    """
    with open_hdf5(path) as file:
        return _described(file, path)


def _described(file: h5py.File, path: Path) -> File:
    dataset = numeric_dataset(file, path, WAVEFORM)
    if dataset.ndim != 2 or dataset.shape[1] < 2:
        raise InputError(
            f"{path}: expected waveforms (n, samples) in dataset {WAVEFORM!r}, found "
            f"{dataset.shape}"
        )
    if dataset.dtype.kind in "iu" and dataset.dtype.itemsize > 2:
        raise InputError(
            f"{path}: expected 16-bit counts or floating-point photoelectrons in {WAVEFORM!r}, "
            f"found {dataset.dtype}; write them as int16 with the attribute {SCALE!r}"
        )
    scale = _number(dataset, path, SCALE)
    if dataset.dtype.kind in "iu" and scale is None:
        raise InputError(
            f"{path}: expected the attribute {SCALE!r} (photoelectrons a count) of dataset "
            f"{WAVEFORM!r}, found none; set it"
        )
    columns = tuple(name for name in COLUMNS if name in set(keys(file)))
    for name in columns:
        values = numeric_dataset(file, path, name)
        if values.shape != (len(dataset),):
            raise InputError(
                f"{path}: expected one number a pulse in dataset {name!r}, ({len(dataset)},), "
                f"found {values.shape}"
            )
    kind = "int16" if dataset.dtype.kind in "iu" else "float32"
    meaning = Meaning(int(dataset.shape[1]), kind, scale or 1.0, columns)
    return File(path, len(dataset), meaning, _number(dataset, path, SAMPLE_NS))


def _number(dataset: h5py.Dataset, path: Path, key: str) -> float | None:
    if key not in dataset.attrs:
        return None
    try:
        value = float(dataset.attrs[key])
    except (TypeError, ValueError):
        value = float("nan")
    if not 0 < value < float("inf"):
        raise InputError(
            f"{path}: expected a positive number as {key!r} of dataset {WAVEFORM!r}, found "
            f"{str(dataset.attrs[key])[:40]}"
        )
    return value


def read(file: h5py.File, about: File, start: int, stop: int) -> Batch:
    """Pulses ``start`` to ``stop`` of an open file, checked; ``event`` counts rows if absent.

    Raises:
      InputError: waveforms that are not finite or mostly saturated, or unknown kinds.
    """
    path, meaning = about.path, about.meaning
    values = read_rows(file[WAVEFORM], start, stop)
    if values.dtype == np.uint16 and values.max(initial=0) > FULL_SCALE:
        raise InputError(
            f"{path}: expected counts up to {FULL_SCALE:,} in {WAVEFORM!r}, found "
            f"{values.max():,}; subtract the baseline first"
        )
    values = values.astype(meaning.dtype, copy=False)
    check(values, path, start)
    batch = {WAVEFORM: values}
    for name in meaning.columns:
        column = file[name][start:stop]
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            row = start + int(np.argmin(np.isfinite(column)))
            raise InputError(f"{path}: expected finite numbers in {name!r}, found others in row "
                             f"{row}")  # fmt: skip
        batch[name] = column.astype(COLUMNS[name][0])
    if TRUTH in batch:
        known = (batch[TRUTH] >= 0) & (batch[TRUTH] < len(KINDS))
        if not known.all():
            raise InputError(
                f"{path}: expected kinds 0 to {len(KINDS) - 1} in dataset {TRUTH!r}, found "
                f"{batch[TRUTH][~known][0]} in row {start + int(np.argmin(known))}"
            )
    return batch if EVENT in batch else batch | {EVENT: np.arange(start, stop)}


def check(values: np.ndarray, path: Path, start: int = 0) -> None:
    """Refuse waveforms (n, samples) that nothing can be learnt from.

    Args:
      start: number of the first one, for the message.
    Raises:
      InputError: some are not finite, or most are saturated.
    """
    if values.dtype.kind == "f":
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            raise InputError(
                f"{path}: expected finite waveforms, found {np.count_nonzero(bad)} of {len(bad)} "
                f"with others, the first in row {start + int(bad.argmax())}; remove them"
            )
    share = saturated(values).mean() if len(values) else 0.0
    if share > MOST_SATURATED:
        raise InputError(
            f"{path}: expected at most {MOST_SATURATED:.0%} saturated pulses, found {share:.0%} at "
            f"{FULL_SCALE:,} counts from row {start} on; take the low-gain channel or mend the "
            "scale"
        )


def saturated(values: np.ndarray) -> np.ndarray:
    """Which waveforms (n,) touch the end of a 16-bit digitiser; none of floating-point ones."""
    if values.dtype.kind == "f":
        return np.zeros(len(values), bool)
    return np.asarray((values >= FULL_SCALE).any(axis=1) | (values < -FULL_SCALE).any(axis=1))


class Block:
    """Decoded pulses, for the cache."""

    def __init__(self, fields: Batch) -> None:
        self.fields = fields
        self.nbytes = sum(values.nbytes for values in fields.values())


class WaveformSource:
    """The pulses of some files; made by ``open_waveforms``, a ``Source``."""

    def __init__(self, files: Sequence[File]) -> None:
        self.files, self.meaning = tuple(files), files[0].meaning
        self._where = [(file, low) for file in files for low in range(0, file.events, BLOCK_EVENTS)]
        sizes = [min(BLOCK_EVENTS, file.events - low) for file, low in self._where]
        self.blocks = np.cumsum([0, *sizes], dtype=np.int64)
        self._cache: BlockCache[Block] = BlockCache(CACHE_BYTES)

    def __len__(self) -> int:
        return int(self.blocks[-1])

    def __getitem__(self, indices: np.ndarray) -> Batch:
        number, place = locate(self.blocks, indices)
        found = self._cache.get_all(number, self._decode)
        if not found:
            return {name: values[:0] for name, values in self._decode(0).fields.items()}
        batch: Batch = {}
        for name, like in next(iter(found.values())).fields.items():
            batch[name] = np.empty((len(number), *like.shape[1:]), like.dtype)
        for k, block in found.items():
            rows = np.flatnonzero(number == k)
            for name, values in block.fields.items():
                batch[name][rows] = values[place[rows]]
        return batch

    def _decode(self, k: int) -> Block:
        about, low = self._where[k]
        stop = min(low + BLOCK_EVENTS, about.events)
        with open_hdf5(about.path) as file:
            fields = read(file, about, low, stop)
        if EVENT not in about.meaning.columns:
            fields[EVENT] = np.arange(self.blocks[k], self.blocks[k + 1])
        return Block(fields)


def open_waveforms(paths: Any) -> WaveformSource:
    """Waveforms of one or many files as one source, files in sorted order.

    Returns:
      batches of ``waveform`` (n, samples), int16 counts or float32 photoelectrons
      (``source.meaning``), ``event`` (n,) int64 and the columns that the files have.
    Raises:
      InputError: unreadable files, or files that do not go together.
    """
    files = [describe(path) for path in list_files(paths)]
    require_alike(files)
    return WaveformSource(files)


def require_alike(files: Sequence[File]) -> None:
    """Refuse files of different samples, types, scales or columns.

    Raises:
      InputError: naming the first that differs.
    """
    first = files[0]
    for file in files:
        if file.meaning != first.meaning:
            raise InputError(
                f"{file.path}: expected {_words(first.meaning)} as in {first.path.name}, found "
                f"{_words(file.meaning)}; use them separately"
            )


def _words(meaning: Meaning) -> str:
    columns = ", ".join(meaning.columns) or "no columns"
    return f"{meaning.samples} samples ({meaning.dtype}, scale {meaning.scale:g}, {columns})"
