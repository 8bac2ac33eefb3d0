"""Converts the arrays of image files to sparse images and to columns with standard names and types.

Everything is checked here, so that readers only fetch numbers; nothing is opened.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.formats.images import Grid
from hepjax.formats.jets.meaning import Meaning
from hepjax.formats.notes import note
from hepjax.formats.sparse import SparseImages, by_event

Columns = dict[str, np.ndarray]

DENSE_BYTES = 16 * 2**20
"""Most dense pixels that are decoded at a time, unless a single event is larger."""

CANONICAL = {"y": "label", "label": "label", "m0": "mass", "m": "mass", "mass": "mass"}
"""Published names of columns that have another name here."""


@dataclass(frozen=True)
class Piece:
    """Where some events come from, for errors."""

    path: Path
    grid: Grid
    labels: dict[int, str]
    start: int
    """Number of the first event."""


def ranges(start: int, stop: int, batch: int, event_bytes: int) -> Iterator[tuple[int, int]]:
    """``start`` to ``stop`` in pieces of at most ``batch`` events and ``DENSE_BYTES``."""
    step = events_at_once(batch, event_bytes)
    for low in range(start, stop, step):
        yield low, min(low + step, stop)


def events_at_once(batch: int, event_bytes: int) -> int:
    """Events decoded together: at most ``batch``, at most ``DENSE_BYTES``, at least one."""
    return max(1, min(batch, DENSE_BYTES // max(event_bytes, 1)))


def from_dense(piece: Piece, pixels: np.ndarray, *, channels_last: bool) -> SparseImages:
    """Images stored in full.

    Args:
      pixels: n events of ``grid.size`` numbers in any shape: channels, rows, columns, or rows,
        columns, channels.
    Returns:
      the non-zero pixels as float32; zeros of either sign are not kept.
    Raises:
      InputError: a pixel that is not finite (in float32).
    """
    size, channels = piece.grid.size, len(piece.grid.channels)
    flat = np.ascontiguousarray(pixels).reshape(-1)
    if flat.dtype.kind != "f" or flat.dtype.itemsize < 4:
        flat = flat.astype(np.float32)
    hit = np.flatnonzero(flat != 0)  # ten times faster than of the numbers themselves
    events = len(flat) // size
    first, cell = by_event(hit, events, size)
    with np.errstate(over="ignore"):
        value = flat[hit].astype(np.float32)
    if channels_last and channels > 1:
        pixel, channel = np.divmod(cell, channels)
        event = np.repeat(np.arange(events), np.diff(first))
        plane = event * channels + channel
        # Numbers of two bytes are sorted by radix.
        short = np.uint16 if (events + 1) * channels < 2**16 else np.int64
        order = np.argsort(plane.astype(short), kind="stable")
        cell, value = (channel * (size // channels) + pixel)[order], value[order]
    return _sound(piece, SparseImages(first, cell.astype(np.uint32), value))


def from_pairs(
    piece: Piece, first: np.ndarray, cell: np.ndarray, value: np.ndarray
) -> SparseImages:
    """Images stored as pairs of flat cell and value; sorted here if the file does not.

    Args:
      first: (n + 1,) where the pairs of each event start.
      cell: (pairs,) integers, channel * rows * columns + row * columns + column.
      value: (pairs,) numbers.
    Raises:
      InputError: a cell outside the grid or twice in an event, a value that is not finite.
    """
    size = piece.grid.size
    outside = np.flatnonzero((cell < 0) | (cell >= size))
    if outside.size:
        raise InputError(
            f"{piece.path}: expected pixel indices from 0 to {size - 1}, found "
            f"{cell[outside[0]]} in event {_event(piece, first, outside[0])}"
        )
    first = np.asarray(first, np.int64)
    value = np.asarray(value, np.float32)
    key = np.repeat(np.arange(len(first) - 1) * size, np.diff(first)) + cell
    step = np.diff(key)
    if (step <= 0).any():
        order = np.argsort(key, kind="stable")
        key, cell, value = key[order], cell[order], value[order]
        twice = np.flatnonzero(np.diff(key) == 0)
        if twice.size:
            raise InputError(
                f"{piece.path}: expected each pixel once, found index {cell[twice[0]]} twice in "
                f"event {_event(piece, first, twice[0])}"
            )
    return _sound(piece, SparseImages(first, cell.astype(np.uint32), value))


def canonical(piece: Piece, stored: Mapping[str, np.ndarray]) -> Columns:
    """Columns of some events under the names and in the types that hepjax uses.

    Returns:
      ``label`` int32; ``pt``, ``mass`` (GeV), ``eta``, ``phi`` in the type of the file; ``event``
      int64; every other column as it is.
    Raises:
      InputError: a label outside the declared meaning, two columns of one meaning, a whole number
        that is not one, a quantity of the jet that is not finite.
    """
    columns: Columns = {}
    for name, values in stored.items():
        known = canonical_name(name)
        if known in columns:
            other = next(n for n in stored if canonical_name(n) == known)
            raise InputError(
                f"{piece.path}: expected one column for the {known}, found two: {other}, {name}; "
                "leave one out"
            )
        values = np.asarray(values)
        columns[known] = values.reshape(len(values)).astype(
            np.uint8 if values.dtype.kind == "b" else values.dtype, copy=False
        )
    for name, dtype in (("label", np.int32), ("event", np.int64)):
        if name in columns:
            columns[name] = _whole(piece, name, columns[name], dtype)
    for name in ("pt", "mass", "eta", "phi"):
        if name in columns:
            bad = np.flatnonzero(~np.isfinite(columns[name]))
            _refuse(piece, columns[name], bad, f"a finite {name}")
    if piece.labels and "label" in columns:  # no meaning at a first look
        unknown = np.flatnonzero(~np.isin(columns["label"], list(piece.labels)))
        meaning = ", ".join(f"{k}={v}" for k, v in piece.labels.items())
        _refuse(piece, columns["label"], unknown, f"a label out of {meaning}")
    return columns


def canonical_name(name: str) -> str:
    """The name that hepjax uses for a column of a file."""
    return CANONICAL.get(name, name)


def scalars_of(path: Path, columns: Mapping[str, str | None], asked: Meaning) -> tuple[str, ...]:
    """Columns that are read: those with one number an event. The others are noted.

    Args:
      columns: of the file, without the image: None for one number (or truth value) an event, else
        what it holds, in words: text, a list, shape (9, 2).
    Raises:
      InputError: no label, or one that is not a number an event; prediction needs none, and a first
        look only wants to know.
    """
    label = next((name for name in columns if canonical_name(name) == "label"), None)
    if label is None and not (asked.unlabelled or asked.first_look):
        raise InputError(
            f"{path}: expected a column y or label, found {', '.join(columns) or 'none'}"
        )
    if label is not None and columns[label] is not None and not asked.unlabelled:
        raise InputError(
            f"{path}: expected one whole number an event in {label}, found {columns[label]}; write "
            "the number of its class"
        )
    unread = [f"{name} ({holds})" for name, holds in columns.items() if holds is not None]
    if unread:
        note(
            f"{path}: not one number an event, so not read: {', '.join(unread)}",
            key=("columns", tuple(unread)),
        )
    return tuple(name for name, holds in columns.items() if holds is None)


LARGEST_NUMBER = 8
"""Bytes of a number in a table: Parquet knows no larger ones."""


def words_of(dtype: np.dtype, row: tuple[int, ...]) -> str | None:
    """What a column of arrays holds, for ``scalars_of``.

    Args:
      row: the shape of what each event has.
    """
    kinds = {"U": "text", "T": "text", "S": "bytes", "O": "text or objects", "c": "complex numbers"}
    if dtype.kind not in "fiub":
        return kinds.get(dtype.kind, str(dtype))
    if dtype.itemsize > LARGEST_NUMBER:
        return f"numbers of {8 * dtype.itemsize} bits"
    return None if row in ((), (1,)) else f"{' x '.join(map(str, row))} numbers an event"


def _whole(piece: Piece, name: str, values: np.ndarray, dtype: type) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        whole: np.ndarray = values.astype(dtype)
    _refuse(piece, values, np.flatnonzero(whole != values), f"a whole number as {name}")
    return whole


def _refuse(piece: Piece, values: np.ndarray, bad: np.ndarray, expected: str) -> None:
    if bad.size:
        raise InputError(
            f"{piece.path}: expected {expected}, found {values[bad[0]]} in event "
            f"{piece.start + bad[0]}"
        )


def _sound(piece: Piece, images: SparseImages) -> SparseImages:
    """Check that all values are finite, and drop stored zeros."""
    first, value = images.first, images.value
    bad = np.flatnonzero(~np.isfinite(value))
    if bad.size:
        channel = np.searchsorted(piece.grid.starts, images.cell[bad[0]], side="right") - 1
        raise InputError(
            f"{piece.path}: expected finite pixels, found {value[bad[0]]} in event "
            f"{_event(piece, first, bad[0])}, channel {piece.grid.names[channel]}"
        )
    kept = value != 0
    if kept.all():
        return images
    before = np.concatenate([[0], np.cumsum(kept)])
    return SparseImages(before[first], images.cell[kept], value[kept])


def _event(piece: Piece, first: np.ndarray, pair: int) -> int:
    return int(piece.start + np.searchsorted(first, pair, side="right") - 1)
