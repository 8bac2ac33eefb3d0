"""Reads one shard of a packed set, and verifies it; what it holds is in layout.py."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepjax import InputError
from hepjax.formats.coarse import expand
from hepjax.formats.damage import reading
from hepjax.formats.images import Grid, unsound
from hepjax.formats.packed.layout import BLOCK_EVENTS, IMAGE_COLUMNS, MAGIC, METADATA, Columns
from hepjax.formats.packed.manifest import Meaning, Shard, checksum, parse_meaning
from hepjax.formats.sparse import SparseImages


def describe_shard(path: Path) -> tuple[Shard, Meaning]:
    """Read a whole shard, which verifies it; its entry of the manifest and what it means.

    Raises:
      InputError: damaged, or not a shard.
    """
    reader = ShardReader(path)
    largest = cells = 0
    labels = np.zeros(0, np.int64)
    for k in range(reader.blocks):
        images, columns = reader.read(k)
        largest = max(largest, images.largest)
        cells += len(images.cell)
        labels = np.concatenate([labels, columns.get("label", labels[:0])])
    ids, counts = np.unique(labels, return_counts=True)
    entry = Shard(
        file=path.name,
        events=reader.events,
        cells=cells,
        largest=largest,
        coarsening=tuple(channel.coarsening for channel in reader.meaning.grid.channels),
        label_events={str(label): int(count) for label, count in zip(ids, counts, strict=True)},
        bytes=path.stat().st_size,
        sha256=checksum(path),
    )
    return entry, reader.meaning


class ShardReader:
    """Blocks of one shard; knows its metadata, opens the file anew for each block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, "Parquet", MAGIC), pq.ParquetFile(path) as file:
            self._metadata = file.metadata
            schema = file.schema_arrow
            about = json.loads((schema.metadata or {})[METADATA])
            self.meaning = parse_meaning(about)
            if {name: schema.field(name).type for name in IMAGE_COLUMNS} != IMAGE_COLUMNS:
                raise ValueError("cells are not list<uint32>, or values not list<float>")

    @property
    def events(self) -> int:
        """Events of the shard."""
        return int(self._metadata.num_rows)

    @property
    def blocks(self) -> int:
        """Blocks of the shard."""
        return int(self._metadata.num_row_groups)

    def read(self, k: int) -> tuple[SparseImages, Columns]:
        """Images and columns of block ``k``, on the grid of the shard.

        Raises:
          InputError: damaged, or images that are none.
        """
        with reading(self.path, "Parquet", MAGIC):
            table = self._read(k, [*IMAGE_COLUMNS, *self.meaning.columns])
            cell, value = (table.column(name).combine_chunks() for name in IMAGE_COLUMNS)
            first = cell.offsets.to_numpy().astype(np.int64)
            if not np.array_equal(first, value.offsets.to_numpy()):
                raise ValueError("an event has another number of values than of cells")
            images = SparseImages(first, cell.values.to_numpy(), value.values.to_numpy())
            if problem := unsound(images, self.meaning.grid):
                raise ValueError(f"{problem} of block {k}")
            return images, {name: _numbers(table, name) for name in self.meaning.columns}

    def column(self, name: str) -> np.ndarray:
        """One column of all blocks."""
        with reading(self.path, "Parquet", MAGIC):
            return np.concatenate(
                [_numbers(self._read(k, [name]), name) for k in range(self.blocks)]
            )

    def _read(self, k: int, columns: list[str]) -> pa.Table:
        with pq.ParquetFile(
            self.path, metadata=self._metadata, page_checksum_verification=True
        ) as file:
            # One thread: batches are read side by side already.
            return file.read_row_group(k, columns=columns, use_threads=False)


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    column = table.column(name)
    if column.null_count:
        raise ValueError(f"column {name!r} has empty rows")
    return column.to_numpy()


def on_grid(path: Path, images: SparseImages, own: Grid, grid: Grid) -> SparseImages:
    """Images of a shard on the grid of its set, which has the same pixels, finer channels perhaps.

    Raises:
      InputError: other pixels or channels.
    """
    if (own.shape, own.names) != (grid.shape, grid.names):
        raise InputError(
            f"{path}: expected images of {grid.shape} pixels and channels {', '.join(grid.names)} "
            f"as the manifest says, found {own.shape} and {', '.join(own.names)}; pack again"
        )
    return expand(images, own, grid)


def largest_event(path: Path, grid: Grid) -> int:
    """Cells of the event of a shard that has most, once it is expanded to a finer grid."""
    reader = ShardReader(path)
    return max(
        on_grid(path, reader.read(k)[0], reader.meaning.grid, grid).largest
        for k in range(reader.blocks)
    )


class VerifiedShard:
    """A shard that is verified against the manifest before anything is read from it.

    Raises:
      InputError: no such file, or one of another size.
    """

    def __init__(self, path: Path, entry: Shard) -> None:
        self.path, self.entry = path, entry
        try:
            size = path.stat().st_size
        except OSError as error:
            raise InputError(f"{path}: expected a shard, found {error.strerror}") from None
        if size != entry.bytes:
            raise InputError(
                f"{path}: expected a shard of {entry.bytes} bytes, found {size}; copy it again"
            )
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._reader: ShardReader | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "entry": self.entry}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    @property
    def blocks(self) -> int:
        """Blocks of the shard."""
        return -(-self.entry.events // BLOCK_EVENTS)

    def reader(self) -> ShardReader:
        """The shard for reading; its first use verifies the whole file, as sha256sum does.

        The check costs about a tenth of decoding the shard once.

        Raises:
          InputError: the checksum differs.
        """
        with self._lock:
            if self._reader is None:
                if checksum(self.path) != self.entry.sha256:
                    raise InputError(
                        f"{self.path}: expected the checksum of the manifest, found another; "
                        "copy the shard again"
                    )
                self._reader = ShardReader(self.path)
            return self._reader
