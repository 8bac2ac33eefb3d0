"""Sparse events in memory: ragged blocks of (first, cell, value), gathered by event.

Showers, jets and packed sets share it. What a cell means is in images.py; nothing is opened here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hepjax.formats.block_cache import BlockCache
from hepjax.formats.source import Batch, locate

ROW_CELLS = 128
"""Events are padded to a multiple of this many cells."""

Views = list[tuple[np.ndarray, np.ndarray]]
"""Cells and values of each event, as they lie in the memory of their block."""

NOTHING = np.empty(0, np.int32), np.empty(0, np.float32)


@dataclass(frozen=True)
class SparseImages:
    """Non-zero cells of n events: those of event i are ``first[i]:first[i + 1]``."""

    first: np.ndarray
    """(n + 1,) int64."""
    cell: np.ndarray
    """(cells,) unsigned, flat cell of a ``Grid``: channel, then row-major pixel; ascending."""
    value: np.ndarray
    """(cells,) float32."""

    def __len__(self) -> int:
        return len(self.first) - 1

    def views(self, events: np.ndarray) -> "Views":
        """Cells and values of events (n,), as they lie in memory."""
        low, high = self.first[events].tolist(), self.first[np.asarray(events) + 1].tolist()
        return [(self.cell[a:b], self.value[a:b]) for a, b in zip(low, high, strict=True)]

    @property
    def event(self) -> np.ndarray:
        """(cells,) int64: the event of each cell."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    @property
    def largest(self) -> int:
        """Cells of the event that has most; 0 without events."""
        return int(np.diff(self.first).max(initial=0))

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return self.first.nbytes + self.cell.nbytes + self.value.nbytes


def by_event(position: np.ndarray, events: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each event begins among ascending positions, and the cells in the events.

    Args:
      position: (cells,) int64, event * size + cell.
      size: cells of an event.
    Returns:
      ``first`` (events + 1,) and ``cell`` (cells,), both int64.
    """
    starts = np.arange(events + 1) * size
    first = np.searchsorted(position, starts)
    return first, position - np.repeat(starts[:-1], np.diff(first))


def padded_width(largest: int) -> int:
    """Cells of every event of a batch if no event has more than ``largest``."""
    return max(1, -(-largest // ROW_CELLS)) * ROW_CELLS


def padded(views: Views, width: int, outside: int) -> Batch:
    """Events side by side, for a compiled step.

    Returns:
      ``cell`` (n, width) int32, padded with ``outside``; ``value`` (n, width) float32, padded with
      0.
    """
    cell = np.empty((len(views), width), np.int32)
    value = np.empty((len(views), width), np.float32)
    # Copies of a few kB each: faster than gathering all cells of the batch by index.
    for row, (cells, values) in enumerate(views):
        cell[row, : len(cells)] = cells
        cell[row, len(cells) :] = outside
        value[row, : len(cells)] = values
        value[row, len(cells) :] = 0
    return {"cell": cell, "value": value}


def dense(views: Views, size: int) -> np.ndarray:
    """(n, size) float32: all cells of the events."""
    cells = np.zeros((len(views), size), np.float32)
    for row, (cell, value) in enumerate(views):
        cells[row, cell] = value
    return cells


def scatter(cell: np.ndarray, value: np.ndarray, size: int) -> np.ndarray:
    """(n, size) float32: all cells of events from ``padded``, whose padding is ``size``."""
    cells = np.zeros((len(cell), size + 1), np.float32)
    np.put_along_axis(cells, cell.astype(np.int64), value, axis=1)
    return cells[:, :size]


@dataclass(frozen=True)
class Block:
    """Events that were decoded together."""

    images: SparseImages
    records: np.ndarray
    """(n,) everything else, one record an event; the fields may be none."""

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return self.images.nbytes + self.records.nbytes


class SparseBlocks:
    """Events by index from blocks that are decoded when needed and kept up to a number of bytes.

    Threads share the decoded blocks and decode different ones at the same time.

    Args:
      blocks: (n_blocks + 1,), see ``Source.blocks``.
      decode: gives block k.
      record: type of the records of all blocks.
    """

    def __init__(
        self,
        blocks: np.ndarray,
        decode: Callable[[int], Block],
        record: np.dtype[np.void],
        cache_bytes: int,
    ) -> None:
        self.blocks, self._decode, self._record = blocks, decode, record
        self._cache = BlockCache[Block](cache_bytes)

    @property
    def nbytes(self) -> int:
        """Bytes of the blocks that are kept."""
        return self._cache.nbytes

    def __getitem__(self, indices: np.ndarray) -> tuple[Views, dict[str, np.ndarray]]:
        """Events ``indices`` (n,), any order: their cells, and the columns of the records."""
        block_of, event_of = locate(self.blocks, indices)
        blocks = self._cache.get_all(block_of, self._decode)
        records = np.empty(len(block_of), self._record)
        views: Views = [NOTHING] * len(block_of)
        for k, block in blocks.items():
            rows = np.flatnonzero(block_of == k)
            records[rows] = block.records[event_of[rows]]
            for row, view in zip(rows, block.images.views(event_of[rows]), strict=True):
                views[row] = view
        return views, as_columns(records)


def as_columns(records: np.ndarray) -> dict[str, np.ndarray]:
    """The fields of records, an array each."""
    return {name: np.ascontiguousarray(records[name]) for name in records.dtype.names or ()}
