"""Batches of events for the step, through Grain. The only state is the number of the step.

Batch ``i`` is a pure function of (source, seed, batch size, window, i), whatever the number of
threads or processes; resuming is starting at another ``i``. Grain handles batches, not events: its
cost per element would otherwise exceed that of reading an event.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import grain
import jax
import numpy as np
from jax.sharding import NamedSharding

from hepjax.engine.config import InputConfig
from hepjax.errors import InputError
from hepjax.formats.source import Batch, Source


def shuffled(blocks: np.ndarray, window: int, seed: int, epoch: int) -> np.ndarray:
    """The order of events in one epoch, (n,) int64.

    Blocks come in random order and fill windows of at least ``window`` events, inside which events
    are permuted: each block is decoded once, and a window as large as the set is a full shuffle.
    """
    rng = np.random.default_rng((seed, epoch))
    shuffled_blocks = rng.permutation(len(blocks) - 1)
    events = np.concatenate([np.arange(blocks[k], blocks[k + 1]) for k in shuffled_blocks])
    sizes = np.diff(blocks)[shuffled_blocks]
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]]) // window  # the window a block starts in
    edges = np.concatenate([[0], np.cumsum(np.bincount(first, weights=sizes).astype(np.int64))])
    for low, high in itertools.pairwise(edges):
        events[low:high] = rng.permutation(events[low:high])
    return events


@dataclass(frozen=True)
class BatchReader:
    """Reads global batch ``i``, or this process's share of it."""

    source: Source
    batch_size: int
    window: int
    seed: int
    process: int = 0
    processes: int = 1

    def __call__(self, i: int) -> Batch:
        epoch, batch = divmod(int(i), per_epoch(self.source, self.batch_size))
        start = batch * self.batch_size + self.process * self.batch_size // self.processes
        stop = batch * self.batch_size + (self.process + 1) * self.batch_size // self.processes
        return self.source[self._order(epoch)[start:stop]]

    def _order(self, epoch: int) -> np.ndarray:
        return _cached_order(self.source.blocks.tobytes(), self.window, self.seed, epoch)


@functools.lru_cache(maxsize=2)
def _cached_order(blocks: bytes, window: int, seed: int, epoch: int) -> np.ndarray:
    return shuffled(np.frombuffer(blocks, np.int64), window, seed, epoch)


def per_epoch(source: Source, batch_size: int) -> int:
    """Batches in an epoch; the events of an incomplete one wait for the next epoch's shuffle.

    Raises:
      InputError: fewer events than one batch.
    """
    if len(source) < batch_size:
        raise InputError(
            f"train.batch_size: expected at most the {len(source)} training events, "
            f"found {batch_size}"
        )
    return len(source) // batch_size


def training_batches(
    source: Source, cfg: InputConfig, batch_size: int, seed: int, start: int, stop: int
) -> Iterator[Batch]:
    """This process's rows of the global batches ``start`` to ``stop``, read ahead."""
    read = BatchReader(
        source, batch_size, cfg.window, seed, jax.process_index(), jax.process_count()
    )
    dataset = grain.MapDataset.range(start, stop).map(read)
    return iter(
        dataset.to_iter_dataset(
            grain.ReadOptions(num_threads=cfg.threads, prefetch_buffer_size=cfg.prefetch)
        )
    )


def evaluation_batches(source: Source, batch_size: int) -> Iterator[Batch]:
    """All events in order; the last batch repeats its last event with ``mask`` 0."""
    share = batch_size // jax.process_count()
    for start in range(0, len(source), batch_size):
        rows = start + jax.process_index() * share + np.arange(share)
        batch = source[np.minimum(rows, len(source) - 1)]
        yield batch | {"mask": (rows < len(source)).astype(np.float32)}


def to_mesh(batch: Batch, sharding: NamedSharding) -> dict[str, jax.Array]:
    """Put this process's rows of a global batch on the devices."""
    return {
        field: jax.make_array_from_process_local_data(sharding, rows)
        for field, rows in batch.items()
    }
