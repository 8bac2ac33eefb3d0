"""The ``Source`` protocol: random access to events, which every reader provides."""

from typing import Protocol

import numpy as np

from hepjax import InputError

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


class Bucketed(Source, Protocol):
    """Events of different lengths, padded to one of a few."""

    @property
    def bucket(self) -> np.ndarray:
        """(n,) int32: which of the lengths, in rising order, is the smallest that holds it."""
        ...

    def padded(self, indices: np.ndarray, bucket: int) -> Batch:
        """Events ``indices`` (n,) padded to the length of ``bucket``, which holds them all."""
        ...


class Streamed(Source, Protocol):
    """More events than a list of their order has room for, each read once.

    The source says itself which events a batch has; that depends on the number of the batch alone.
    """

    @property
    def fingerprint(self) -> str:
        """What tells these events from others, without reading them."""
        ...

    def updates(self, batch_size: int) -> int:
        """Batches in which every event comes once; the last ones may have places without any."""
        ...

    def batch(
        self, number: int, batch_size: int, window: int, seed: int, process: int, processes: int
    ) -> Batch:
        """Rows of a batch that are ``process``'s, of as many ``processes``, all the same number.

        Args:
          window: events that are shuffled together.
        """
        ...


def streamed(source: Source) -> "Streamed | None":
    """The source itself if its events are streamed."""
    return source if hasattr(source, "fingerprint") else None  # type: ignore[return-value]


def locate(blocks: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The block of each event (n,) and its place in the block (n,).

    Args:
      blocks: see ``Source.blocks``.
      indices: (n,) events.
    Raises:
      IndexError: no such event.
    """
    indices = np.asarray(indices)
    if len(indices) and (indices.min() < 0 or indices.max() >= blocks[-1]):
        raise IndexError(f"events 0 to {blocks[-1] - 1} exist, asked for {indices}")
    block_of = np.searchsorted(blocks, indices, side="right") - 1
    return block_of, indices - blocks[block_of]


def buckets_of(source: Source) -> np.ndarray | None:
    """The bucket of each event, or None for a source whose events have one length."""
    return getattr(source, "bucket", None)


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

    @property
    def bucket(self) -> np.ndarray | None:
        """Buckets of the events, if the whole source has them."""
        bucket = buckets_of(self.source)
        return None if bucket is None else bucket[self.start : self.stop]

    def padded(self, indices: np.ndarray, bucket: int) -> Batch:
        """See ``Bucketed``."""
        return self.source.padded(  # type: ignore[attr-defined]
            np.asarray(indices) + self.start, bucket
        )


class Without:
    """The events of another source but ``start`` to ``stop``, as a source."""

    def __init__(self, source: Source, start: int, stop: int) -> None:
        self.source, self.start, self.stop = source, start, stop

    @property
    def blocks(self) -> np.ndarray:
        """Blocks of the whole source, cut at the gap."""
        edges = np.unique(np.concatenate([self.source.blocks, [self.start, self.stop]]))
        before, after = edges[edges <= self.start], edges[edges >= self.stop]
        return np.unique(np.concatenate([before, after - (self.stop - self.start)]))

    def __len__(self) -> int:
        return len(self.source) - (self.stop - self.start)

    def _there(self, indices: np.ndarray) -> np.ndarray:
        indices = np.asarray(indices)
        return np.where(indices < self.start, indices, indices + self.stop - self.start)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return self.source[self._there(indices)]

    @property
    def bucket(self) -> np.ndarray | None:
        """Buckets of the events, if the whole source has them."""
        bucket = buckets_of(self.source)
        return None if bucket is None else bucket[self._there(np.arange(len(self)))]

    def padded(self, indices: np.ndarray, bucket: int) -> Batch:
        """See ``Bucketed``."""
        return self.source.padded(  # type: ignore[attr-defined]
            self._there(indices), bucket
        )


def divided(
    source: Source, fraction: float, events: str, rotate: float = 0.0
) -> tuple[Source, Source]:
    """A source cut in two: training events, and a ``fraction`` for validation.

    Args:
      events: what the events are called in the error.
      rotate: how far before the end of the source, as a share of it, the validation events end;
        with multiples of ``fraction`` the parts of k-fold cross-validation.
    Raises:
      InputError: one of the two would be empty, or the rotated part lies over both ends.
    """
    cut = int(len(source) * (1.0 - fraction))
    if not 0 < cut < len(source):
        raise InputError(
            f"data.validation_fraction: expected to leave training and validation {events} of "
            f"{len(source)}, found {fraction}"
        )
    if rotate == 0:
        return Part(source, 0, cut), Part(source, cut, len(source))
    stop = round(len(source) * (1.0 - rotate))
    start = round(len(source) * (1.0 - rotate - fraction))
    if not 0 <= start < stop:
        raise InputError(
            f"data.rotate: expected 0 to {1 - fraction:.4g} with data.validation_fraction "
            f"{fraction:.4g} of {len(source)} {events}, found {rotate:.4g}"
        )
    return Without(source, start, stop), Part(source, start, stop)
