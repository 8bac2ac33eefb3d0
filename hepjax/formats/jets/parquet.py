"""Jet images in Parquet: nested lists (channels, rows, columns), flat lists (channels last), or
pairs of flat pixel and value. Arrow lists are taken as arrays; no Python list is ever made.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hepjax import InputError
from hepjax.formats.damage import reading
from hepjax.formats.images import Grid, SparseImages
from hepjax.formats.jets.arrays import (
    Columns,
    Piece,
    canonical,
    events_at_once,
    from_dense,
    from_pairs,
    scalars_of,
)
from hepjax.formats.jets.meaning import Meaning, agree, flat_shape, from_metadata, make_grid

IMAGE_COLUMNS = ("X_jets", "X_jet", "X")
PAIR_COLUMNS = ("idx", "val")

DELPHES_COLUMNS = {
    *("label", "pt", "eta", "phi", "m", "m_sd", "tau1", "tau2", "tau3", "event", "nt"),
    *PAIR_COLUMNS,
}
"""Columns of the one layout of pairs whose channels are known without being stored: jets of Pythia
and Delphes with 8 x 125 x 125 pixels of 0.0174 x 1 degree."""

DELPHES = Meaning(
    (
        *("pT:GeV", "d0:mm", "dz:mm", "ECAL:GeV", "HCAL:GeV"),
        *("BPIX1:hits", "BPIX2:hits", "BPIX3:hits"),
    ),
    shape=(125, 125),
)

READ_BYTES = 2**20
"""Bytes of a column read ahead."""


@dataclass(frozen=True)
class ParquetJets:
    """One file; made by ``describe_parquet``."""

    path: Path
    layout: str
    """nested, flat or pairs."""
    events: int
    grid: Grid
    labels: dict[int, str]
    image: tuple[str, ...]
    """Columns of the file that hold the image."""
    scalars: tuple[str, ...]
    """Numeric columns of the file with one number an event."""

    def stream(
        self, batch: int = 256, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[SparseImages, Columns]]:
        """Events in order, at most ``batch`` at a time.

        Raises:
          InputError: damage, or numbers that cannot be images, labels and jet quantities.
        """
        stop = self.events if stop is None else min(stop, self.events)
        rows = batch if self.layout == "pairs" else events_at_once(batch, 4 * self.grid.size)
        with open_parquet(self.path) as file:
            groups, skip = _row_groups(file, start, stop)
            done = start - skip
            for read in file.iter_batches(
                rows, row_groups=groups, columns=[*self.image, *self.scalars], use_threads=False
            ):
                low, high = max(start - done, 0), min(stop - done, len(read))
                done += len(read)
                if low < high:
                    yield self._decode(read.slice(low, high - low), done - len(read) + low)
            if done < stop:
                raise InputError(
                    f"{self.path}: expected {self.events} events, found {done}; copy it again"
                )

    def _decode(self, read: pa.RecordBatch, start: int) -> tuple[SparseImages, Columns]:
        piece = Piece(self.path, self.grid, self.labels, start)
        stored = {name: _numbers(piece, name, read.column(name)) for name in self.scalars}
        columns = canonical(piece, stored)
        if self.layout == "pairs":
            return _pairs(piece, *(read.column(name) for name in self.image)), columns
        rows, width = self.grid.shape
        channels = len(self.grid.channels)
        nested = self.layout == "nested"
        lengths = (channels, rows, width) if nested else (self.grid.size,)
        pixels = _leaves(piece, self.image[0], read.column(self.image[0]), lengths)
        return from_dense(piece, pixels, channels_last=not nested), columns


def describe_parquet(path: Path, asked: Meaning) -> ParquetJets:
    """Layout, counts and meaning of a file, from its footer and its first event.

    Raises:
      InputError: no jet images, no labels, no events, damage, or a meaning that nobody states.
    """
    with open_parquet(path) as file:
        schema = file.schema_arrow
        text = {k.decode(): v.decode(errors="replace") for k, v in (schema.metadata or {}).items()}
        said = from_metadata(path, text)
        pairs = set(PAIR_COLUMNS) <= set(schema.names)
        name = next((name for name in IMAGE_COLUMNS if name in schema.names), None)
        image = PAIR_COLUMNS if pairs else (name,)
        columns = {f.name: _words(f.type) for f in schema if f.name not in image}
        events = _count_events(file, path)
        scalars = scalars_of(path, columns, asked)
        if pairs:
            if set(schema.names) == DELPHES_COLUMNS and said == Meaning():
                said = DELPHES
            meaning = agree(path, said, asked)
            if meaning.shape is None:
                raise InputError(
                    f"{path}: expected the shape of the images, found pairs of pixel and value "
                    "without it; say which: --shape ROWS,COLUMNS"
                )
            grid = make_grid(path, meaning, None, meaning.shape)
            return ParquetJets(
                path, "pairs", events, grid, meaning.labels or {}, PAIR_COLUMNS, scalars
            )
        depth, leaf = _nesting(schema.field(name).type) if name else (0, None)
        if depth not in (1, 3) or not _is_number(leaf):
            raise InputError(
                f"{path}: expected images as lists of numbers in X_jets, X_jet or X, or as idx and "
                f"val, found {', '.join(f'{f.name} ({f.type})' for f in schema)}"
            )
        meaning = agree(path, said, asked)
        lengths = _first_lengths(file, path, str(name), depth)
        channels, *shape = lengths if depth == 3 else flat_shape(path, meaning, lengths[0])
        grid = make_grid(path, meaning, channels, (shape[0], shape[1]))
        layout = "nested" if depth == 3 else "flat"
        return ParquetJets(path, layout, events, grid, meaning.labels or {}, (str(name),), scalars)


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file for reading; page checksums are checked where there are any.

    Raises:
      InputError: it cannot be opened, or anything that Arrow cannot do inside the block.
    """
    with (
        reading(path, "Parquet", b"PAR1"),
        pq.ParquetFile(
            path, pre_buffer=False, buffer_size=READ_BYTES, page_checksum_verification=True
        ) as file,
    ):
        yield file


def _count_events(file: pq.ParquetFile, path: Path) -> int:
    """Events by the two counts of the footer, which have to agree."""
    stated = file.metadata.num_rows
    found = sum(file.metadata.row_group(k).num_rows for k in range(file.num_row_groups))
    if found != stated:
        raise InputError(
            f"{path}: expected {stated} events as the footer states, found {found} in its row "
            "groups; copy the file again"
        )
    if not found:
        raise InputError(f"{path}: expected events, found none")
    return found


def _row_groups(file: pq.ParquetFile, start: int, stop: int) -> tuple[list[int], int]:
    """Row groups with events ``start`` to ``stop``, and how many events they have before it."""
    sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    first = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    groups = np.flatnonzero((first[1:] > start) & (first[:-1] < stop))
    return groups.tolist(), int(start - first[groups[0]]) if groups.size else 0


def _is_number(kind: pa.DataType | None) -> bool:
    return kind is not None and (pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _words(kind: pa.DataType) -> str | None:
    """What a column holds, see ``scalars_of``."""
    if _is_number(kind) or pa.types.is_boolean(kind):
        return None
    if pa.types.is_dictionary(kind):
        return _words(kind.value_type) or str(kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "bytes"
    return f"a {kind}" if _is_list(kind) else str(kind)


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _nesting(kind: pa.DataType) -> tuple[int, pa.DataType]:
    """How many lists lie in each other, and what the innermost holds."""
    depth = 0
    while _is_list(kind):
        depth, kind = depth + 1, kind.value_type
    return depth, kind


def _first_lengths(file: pq.ParquetFile, path: Path, name: str, depth: int) -> list[int]:
    """Lengths of the lists of the first event, from the outermost inwards."""
    array = next(file.iter_batches(1, columns=[name], use_threads=False)).column(0)
    lengths = []
    for _ in range(depth):
        length = pc.list_value_length(array)
        if not len(length) or not length[0].as_py():
            raise InputError(f"{path}: expected pixels in column {name}, found none in event 0")
        lengths.append(length[0].as_py())
        array = array.flatten()
    return lengths


def _leaves(piece: Piece, name: str, array: pa.Array, lengths: tuple[int, ...]) -> np.ndarray:
    """The numbers of a column of nested lists whose lengths are the same in all events."""
    events = len(array)
    for axis, length in enumerate(lengths):
        found = _numbers(piece, name, pc.list_value_length(array), events)
        wrong = np.flatnonzero(found != length)
        if wrong.size:
            what = "x".join(map(str, lengths))
            raise InputError(
                f"{piece.path}: expected {what} numbers in column {name}, found a list of "
                f"{found[wrong[0]]} on axis {axis} in event "
                f"{piece.start + wrong[0] * events // len(found)}"
            )
        array = array.flatten()
    return _numbers(piece, name, array, events)


def _numbers(piece: Piece, name: str, array: pa.Array, events: int | None = None) -> np.ndarray:
    """An Arrow array of numbers without gaps; ``events`` of them, or equal parts of events."""
    if array.null_count:
        gap = np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0]
        event = piece.start + gap * (len(array) if events is None else events) // len(array)
        raise InputError(
            f"{piece.path}: expected a number, found none in column {name}, event {event}"
        )
    return array.to_numpy(zero_copy_only=False)


def _pairs(piece: Piece, cells: pa.Array, values: pa.Array) -> SparseImages:
    counts = [_numbers(piece, "idx/val", pc.list_value_length(a)) for a in (cells, values)]
    ragged = np.flatnonzero(counts[0] != counts[1])
    if ragged.size:
        k = ragged[0]
        raise InputError(
            f"{piece.path}: expected as many values as indices, found {counts[1][k]} and "
            f"{counts[0][k]} in event {piece.start + k}"
        )
    first = np.concatenate([[0], np.cumsum(counts[0], dtype=np.int64)])
    flat = (cells.flatten(), values.flatten())
    if flat[0].null_count or flat[1].null_count or not pa.types.is_integer(flat[0].type):
        raise InputError(
            f"{piece.path}: expected whole numbers in idx and numbers in val, found "
            f"{cells.type} and {values.type} with {flat[0].null_count + flat[1].null_count} gaps "
            f"from event {piece.start} on"
        )
    return from_pairs(piece, first, *(a.to_numpy(zero_copy_only=False) for a in flat))
