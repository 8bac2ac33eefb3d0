"""Jet and e/gamma images in npz files: ``x_train``, ``y_train`` and so on (training, validation and
test events in this order), or ``X`` or ``X_jets`` with ``y`` and further columns. Nothing is ever
unpickled.
"""

import re
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from hepjax import InputError
from hepjax.formats.damage import reading
from hepjax.formats.images import Grid, SparseImages
from hepjax.formats.jets.arrays import (
    LARGEST_NUMBER,
    Columns,
    Piece,
    canonical,
    from_dense,
    ranges,
    scalars_of,
    words_of,
)
from hepjax.formats.jets.meaning import Meaning, agree, make_grid
from hepjax.formats.notes import note

NPZ_MAGIC = b"PK"
_PART = re.compile(r"[xX]_\w+")
"""Images of a part of the sample; its columns end in the same way."""


@dataclass(frozen=True)
class _Part:
    """Arrays of the file that belong together."""

    events: int
    image: str
    columns: dict[str, str]
    """Column to array."""


@dataclass(frozen=True)
class NpzJets:
    """One file; made by ``describe_npz``."""

    path: Path
    events: int
    grid: Grid
    labels: dict[int, str]
    parts: tuple[_Part, ...]
    layout = "npz"

    def stream(
        self, batch: int = 256, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[SparseImages, Columns]]:
        """Events in order, at most ``batch`` at a time; those before ``start`` are inflated too.

        Raises:
          InputError: damage, or numbers that cannot be images, labels and jet quantities.
        """
        stop = self.events if stop is None else min(stop, self.events)
        before = 0
        for part in self.parts:
            low, high = max(start - before, 0), min(stop - before, part.events)
            if low < high:
                yield from self._stream(part, batch, low, high, before)
            before += part.events

    def _stream(
        self, part: _Part, batch: int, start: int, stop: int, before: int
    ) -> Iterator[tuple[SparseImages, Columns]]:
        with reading(self.path, "npz", NPZ_MAGIC), ExitStack() as stack:
            file = stack.enter_context(zipfile.ZipFile(self.path))
            image = _Rows(stack.enter_context(_open(file, part.image)), start)
            rows = {
                name: _Rows(stack.enter_context(_open(file, key)), start)
                for name, key in part.columns.items()
            }
            for low, high in ranges(start, stop, batch, image.row_bytes):
                piece = Piece(self.path, self.grid, self.labels, before + low)
                pixels = image.read(high - low)
                stored = {name: column.read(high - low) for name, column in rows.items()}
                if high == part.events:  # the end of each array, where its checksum is
                    for array in (image, *rows.values()):
                        array.read(1, end=True)
                yield from_dense(piece, pixels, channels_last=True), canonical(piece, stored)


def describe_npz(path: Path, asked: Meaning) -> NpzJets:
    """Arrays and meaning of a file, from their headers.

    Raises:
      InputError: no jet images, no labels, pickled or damaged arrays, or a meaning that nobody
        states.
    """
    with reading(path, "npz", NPZ_MAGIC), zipfile.ZipFile(path) as file:
        shapes = {
            name.removesuffix(".npy"): _shape(path, file, name)
            for name in file.namelist()
            if name.endswith(".npy")
        }
    parts = _parts(path, shapes, asked)
    forms = {shapes[part.image][1:] for part in parts}
    if len(forms) > 1 or len(next(iter(forms))) not in (2, 3):
        raise InputError(
            f"{path}: expected images (events, rows, columns, channels) of one size, found "
            f"{', '.join(f'{p.image} {shapes[p.image]}' for p in parts)}"
        )
    rows, width, *channels = forms.pop()
    meaning = agree(path, Meaning(), asked)
    grid = make_grid(path, meaning, channels[0] if channels else 1, (rows, width))
    events = sum(part.events for part in parts)
    return NpzJets(path, events, grid, meaning.labels or {}, parts)


def _parts(path: Path, shapes: dict[str, tuple[int, ...]], asked: Meaning) -> tuple[_Part, ...]:
    """The images and their columns, training events first.

    Raises:
      InputError: none, an image without its labels, or further images that would be left out.
    """
    whole = next((key for key in ("X_jets", "X") if key in shapes), None)
    images = [whole] if whole else sorted(filter(_PART.fullmatch, shapes), key=_order)
    said = ", ".join(f"{k} {v}" for k, v in shapes.items()) or "none"
    if not images:
        raise InputError(
            f"{path}: expected arrays X and y, or x_train, y_train, x_test and y_test, found {said}"
        )
    left = [key for key, shape in shapes.items() if key not in images and len(shape) > 2]
    if left:
        raise InputError(
            f"{path}: expected the images in {', '.join(images)}, found further arrays "
            f"{', '.join(f'{key} {shapes[key]}' for key in left)}; write them to another file, or "
            "call them x_train, x_val, x_test"
        )
    parts = []
    for image in images:
        suffix = "" if whole else image[1:]
        columns = {
            key.removesuffix(suffix): _words(shape)
            for key, shape in shapes.items()
            if key != image and key.endswith(suffix)
        }
        if "y" not in columns and whole is None and not asked.unlabelled | asked.first_look:
            raise InputError(
                f"{path}: expected arrays X and y, or x_train, y_train, x_test and y_test, found "
                f"{said}"
            )
        scalars = {name: name + suffix for name in scalars_of(path, columns, asked)}
        _require_rows(path, shapes, image, scalars)
        parts.append(_Part(shapes[image][0], image, scalars))
    common = set.intersection(*(set(part.columns) for part in parts))
    read = {key for part in parts for name, key in part.columns.items() if name in common}
    unread = [key for key in shapes if key not in (*images, *read) and _words(shapes[key]) is None]
    if unread:
        note(
            f"{path}: columns of no image, or not of all parts, so not read: {', '.join(unread)}",
            key=("columns", tuple(unread)),
        )
    return tuple(
        replace(part, columns={k: v for k, v in part.columns.items() if k in common})
        for part in parts
    )


def _words(shape: tuple[int, ...]) -> str | None:
    """What an array holds, see ``scalars_of``."""
    return words_of(np.dtype(np.float32), shape[1:]) if shape else "one value for all"


def _order(image: str) -> tuple[int, str]:
    """Training, validation, test, then parts of other names."""
    names = ("train", "training", "val", "valid", "validation", "test")
    part = image[2:].lower()
    return names.index(part) if part in names else len(names), image


def _require_rows(
    path: Path, shapes: dict[str, tuple[int, ...]], image: str, columns: dict[str, str]
) -> None:
    for key in columns.values():
        if shapes[key][:1] != shapes[image][:1]:
            raise InputError(
                f"{path}: expected as many numbers in {key} as images in {image}, found "
                f"{shapes[key]} and {shapes[image]}"
            )
    if 0 in shapes[image]:
        raise InputError(f"{path}: expected events, found {image} of shape {shapes[image]}")


def _open(file: zipfile.ZipFile, key: str) -> IO[bytes]:
    return file.open(f"{key}.npy")


def _header(array: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and type; text of at most 10,000 bytes, no pickle."""
    version = np.lib.format.read_magic(array)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(array)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(array)
    raise ValueError(f"npy version {version}")


def _shape(path: Path, file: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """Shape of an array, whose header has to agree with the size of its data."""
    with file.open(name) as array:
        shape, by_columns, dtype = _header(array)
        found = file.getinfo(name).file_size - array.tell()
    key = name.removesuffix(".npy")
    if dtype.kind not in "fiub" and (key in ("y", "label") or key.startswith("y_")):
        raise InputError(
            f"{path}: expected one whole number an event in {key}, found "
            f"{words_of(dtype, ())}; write the number of its class"
        )
    kinds = "fiu" if len(shape) > 2 else "fiub"
    if dtype.itemsize > LARGEST_NUMBER and dtype.kind in kinds:
        raise InputError(
            f"{path}: expected numbers of at most 64 bits in {name}, found {dtype}; save it as "
            "float32"
        )
    if dtype.kind not in kinds or (by_columns and max(shape[1:], default=1) > 1):
        order = " in Fortran order" if by_columns else ""
        raise InputError(
            f"{path}: expected numbers in C order in {name}, found {dtype}{order}; save it with "
            "numpy.savez from plain arrays"
        )
    if prod(shape) * dtype.itemsize != found or min(shape, default=0) < 0:
        raise InputError(
            f"{path}: expected {found} bytes in {name} as they are stored, found a header of shape "
            f"{shape} and type {dtype}; copy it again"
        )
    return shape


class _Rows:
    """The rows of an array in order, a few at a time."""

    def __init__(self, array: IO[bytes], start: int) -> None:
        self._array = array
        shape, _, self._dtype = _header(array)
        self._form = shape[1:]
        self.row_bytes = prod(self._form) * self._dtype.itemsize
        array.seek(array.tell() + start * self.row_bytes)

    def read(self, rows: int, end: bool = False) -> np.ndarray:
        """The next rows; with ``end``, no row may be left."""
        data = self._array.read(rows * self.row_bytes)
        if len(data) != (0 if end else rows * self.row_bytes):
            raise ValueError(f"{len(data)} bytes of an array where {rows} rows should be")
        return np.frombuffer(data, self._dtype).reshape(-1, *self._form)
