"""Reads packed sets: events by index, cells padded to one length for the compiled step.

What a shard holds is in layout.py, what a set says about itself in manifest.py.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepjax import InputError
from hepjax.formats.coarse import common_grid
from hepjax.formats.files import Paths, as_paths, each_once
from hepjax.formats.packed.layout import BLOCK_EVENTS
from hepjax.formats.packed.manifest import Manifest, Meaning, Shard, read_manifest
from hepjax.formats.packed.shard import VerifiedShard, largest_event, on_grid
from hepjax.formats.source import Batch
from hepjax.formats.sparse import (
    ROW_CELLS,
    Block,
    SparseBlocks,
    Views,
    as_columns,
    padded,
    padded_width,
)

if TYPE_CHECKING:
    import jax

CACHE_BYTES = 2 * 2**30
"""Decoded blocks kept; 200,000 jets of 1,220 cells."""
BLOCKS_AHEAD = 64


def open_packed(paths: Paths, *, cache_bytes: int = CACHE_BYTES) -> "PackedSource":
    """One or many packed sets as one source, sets in the order given, each once.

    Args:
      paths: folders with a manifest.
    Returns:
      batches of ``cell`` (n, width) int32, padded with ``grid.size``; ``value`` (n, width) float32,
      padded with 0; and every other column (n,). The width is the same for all batches.
    Raises:
      InputError: no packed set (or an interrupted one), shards that are missing or damaged, sets
        that do not go together. Reading raises it too, for shards whose checksum differs.
    """
    folders = each_once(as_paths(paths))
    if not folders:
        raise InputError("packed sets: expected at least one folder, found none")
    manifests = [read_manifest(folder) for folder in folders]
    grid = common_grid(manifest.meaning.grid for manifest in manifests)
    labels: dict[int, str] = {}
    for folder, manifest in zip(folders, manifests, strict=True):
        _require_alike(folder, manifest.meaning, manifests[0].meaning, labels)
        labels |= manifest.meaning.labels
    meaning = replace(manifests[0].meaning, grid=grid, labels=labels)
    files = [
        VerifiedShard(folder / shard.file, shard)
        for folder, manifest in zip(folders, manifests, strict=True)
        for shard in manifest.shards
    ]
    largest = max(_largest(*each, meaning) for each in zip(folders, manifests, strict=True))
    return PackedSource(files, meaning, largest, cache_bytes)


def _require_alike(folder: Path, found: Meaning, expected: Meaning, labels: dict[int, str]) -> None:
    clash = [k for k in found.labels if labels.get(k, found.labels[k]) != found.labels[k]]
    if clash:
        raise InputError(
            f"{folder}: expected label {clash[0]} to mean {labels[clash[0]]!r} as in the sets "
            f"before, found {found.labels[clash[0]]!r}; use them separately"
        )
    if found.columns != expected.columns:
        raise InputError(
            f"{folder}: expected the columns of the first set ({', '.join(expected.columns)}), "
            f"found {', '.join(found.columns)}; use them separately"
        )


def _largest(folder: Path, manifest: Manifest, meaning: Meaning) -> int:
    if manifest.meaning.grid == meaning.grid:
        return manifest.largest
    return max(largest_event(folder / shard.file, meaning.grid) for shard in manifest.shards)


class PackedSource:
    """The events of packed sets; made by ``open_packed``, a ``Source``.

    Threads share one cache of decoded blocks and decode different blocks at the same time. Files
    are open only while a block is read, so the source pickles and survives a fork.
    """

    def __init__(
        self, files: Sequence[VerifiedShard], meaning: Meaning, largest: int, cache_bytes: int
    ) -> None:
        self._files, self._meaning = tuple(files), meaning
        self.grid, self.labels, self.units = meaning.grid, meaning.labels, meaning.units
        self.width = padded_width(largest)
        """Cells of every event of a batch."""
        self._where = [(file, k) for file in files for k in range(file.blocks)]
        sizes = [min(BLOCK_EVENTS, file.entry.events - k * BLOCK_EVENTS) for file, k in self._where]
        self.blocks = np.cumsum([0, *sizes], dtype=np.int64)
        self._events = SparseBlocks(self.blocks, self._decode, self._record, cache_bytes)

    def __len__(self) -> int:
        return int(self.blocks[-1])

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns beside the image."""
        return tuple(self._meaning.columns)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        """Events ``indices`` (n,), see ``open_packed``."""
        views, values = self._events[indices]
        return padded(views, self.width, self.grid.size) | values

    def sparse(self, indices: np.ndarray) -> tuple[Views, Batch]:
        """Events ``indices`` (n,): cells and values of each, as they lie in memory, and columns."""
        return self._events[indices]

    @property
    def _record(self) -> np.dtype[np.void]:
        return np.dtype(list(self._meaning.columns.items()))

    def _decode(self, k: int) -> Block:
        file, number = self._where[k]
        reader = file.reader()
        images, values = reader.read(number)
        n = int(self.blocks[k + 1] - self.blocks[k])
        if len(images) != n or reader.meaning.columns != self._meaning.columns:
            raise InputError(
                f"{file.path}: expected {n} events in block {number} and the columns of the "
                f"manifest, found {len(images)} and {', '.join(values)}; pack again"
            )
        images = on_grid(file.path, images, reader.meaning.grid, self.grid)
        if images.largest > self.width:
            raise InputError(
                f"{file.path}: expected at most {self.width} cells an event as the manifest says, "
                f"found more in block {number}; pack again"
            )
        records = np.empty(n, self._record)
        for name, column in values.items():
            records[name] = column
        return Block(replace(images, cell=images.cell.view(np.int32)), records)

    def column(self, name: str) -> np.ndarray:
        """One column (n,) of all events, without reading the images.

        Raises:
          InputError: no such column, or a damaged shard.
        """
        if name not in self._meaning.columns:
            found = ", ".join(self._meaning.columns) or "none"
            raise InputError(f"{self._files[0].path}: expected a column {name!r}, found {found}")
        with ThreadPoolExecutor() as pool:  # to verify many shards side by side
            return np.concatenate(
                list(pool.map(lambda file: file.reader().column(name), self._files))
            )

    def resident(self) -> tuple[dict[str, np.ndarray], "Take"]:
        """All events in a few arrays, for the memory of a device.

        Returns:
          the arrays: ``cell`` and ``value`` in rows of ``ROW_CELLS``, each event padded to whole
          rows; ``first_row`` (n + 1,) int32; the columns. And ``take(arrays, indices (n,))``, pure,
          which gives the batch of these events, bit for bit as the source does.
        """
        # An upper bound, with one unfilled row an event; untouched pages take no memory.
        most = (
            1 + len(self) + sum(self._most_cells(file.entry) for file in self._files) // ROW_CELLS
        )
        cell, value = np.empty((most, ROW_CELLS), np.int32), np.empty((most, ROW_CELLS), np.float32)
        first_row, records = np.zeros(len(self) + 1, np.int32), np.empty(len(self), self._record)
        filled = 0
        for low, (counts, block, cells, values) in zip(self.blocks, self._all_rows(), strict=False):
            high = low + len(counts)
            first_row[low + 1 : high + 1] = filled + np.cumsum(counts)
            records[low:high] = block.records
            cell[filled : filled + len(cells)] = cells
            value[filled : filled + len(cells)] = values
            filled += len(cells)
        filled = max(1, filled)
        arrays = {"cell": cell[:filled], "value": value[:filled], "first_row": first_row}
        take = partial(_take, rows=self.width // ROW_CELLS, size=self.grid.size)
        return arrays | as_columns(records), take

    def _all_rows(self) -> Iterator[tuple[np.ndarray, Block, np.ndarray, np.ndarray]]:
        """``_rows_of_block`` of every block, decoded side by side but not far ahead."""
        blocks = range(len(self._where))
        with ThreadPoolExecutor() as pool:
            for start in blocks[::BLOCKS_AHEAD]:
                yield from pool.map(self._rows_of_block, blocks[start : start + BLOCKS_AHEAD])

    def _most_cells(self, shard: Shard) -> int:
        """At least the cells of a shard on the grid of the source."""
        mine = [channel.coarsening for channel in self.grid.channels]
        factor = max(a // b for a, b in zip(shard.coarsening, mine, strict=True))
        return shard.cells * factor ** len(self.grid.shape)

    def _rows_of_block(self, k: int) -> tuple[np.ndarray, Block, np.ndarray, np.ndarray]:
        """Rows of each event of a block, the block, and its cells and values in whole rows."""
        block = self._decode(k)
        images = block.images
        cells = np.diff(images.first)
        counts = -(-cells // ROW_CELLS)
        shape = int(counts.sum()), ROW_CELLS
        cell, value = np.full(shape, self.grid.size, np.int32), np.zeros(shape, np.float32)
        moved = ROW_CELLS * (np.cumsum(counts) - counts) - images.first[:-1]
        to = np.arange(len(images.cell)) + np.repeat(moved, cells)
        cell.reshape(-1)[to], value.reshape(-1)[to] = images.cell, images.value
        return counts, block, cell, value


Take = Callable[[dict[str, Any], "jax.Array"], dict[str, "jax.Array"]]
RESIDENT = ("cell", "value", "first_row")


def _take(
    arrays: dict[str, Any], indices: "jax.Array", *, rows: int, size: int
) -> dict[str, "jax.Array"]:
    """The batch of events ``indices`` from resident arrays, ``rows`` rows of cells an event."""
    import jax.numpy as jnp

    columns = {name: values for name, values in arrays.items() if name not in RESIDENT}
    first = arrays["first_row"][indices]
    count = arrays["first_row"][indices + 1] - first
    number = jnp.arange(rows, dtype=jnp.int32)
    inside = (number < count[:, None])[..., None]
    at = jnp.minimum(first[:, None] + number, len(arrays["cell"]) - 1)
    cell = jnp.where(inside, arrays["cell"][at], size).reshape(len(indices), -1)
    value = jnp.where(inside, arrays["value"][at], 0).reshape(len(indices), -1)
    return {"cell": cell, "value": value} | {k: v[indices] for k, v in columns.items()}
