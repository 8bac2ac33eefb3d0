"""What every reader gives to the rest of hepjax: random access to events, and nothing else."""

from typing import Protocol

import numpy as np

Batch = dict[str, np.ndarray]


class Source(Protocol):
    """Events by index.

    Files decode whole blocks of events (an HDF5 chunk, a compressed shard) at a time, so a reader
    says where its blocks lie and the input pipeline shuffles by block, then inside a window of
    blocks. A source pickles without open handles and may be read from several threads.
    """

    @property
    def blocks(self) -> np.ndarray:
        """(n_blocks + 1,) int64: events ``blocks[k]:blocks[k + 1]`` are decoded together."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, indices: np.ndarray) -> Batch:
        """Events ``indices`` (n,), any order: one array per field, leading axis n, same order."""
        ...


class Part:
    """The events ``start`` to ``stop`` of another source, as a source."""

    def __init__(self, source: Source, start: int, stop: int) -> None:
        self.source, self.start, self.stop = source, start, stop

    @property
    def blocks(self) -> np.ndarray:
        """Blocks of the whole source, cut at both ends."""
        return np.unique(np.clip(self.source.blocks, self.start, self.stop)) - self.start

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return self.source[np.asarray(indices) + self.start]
