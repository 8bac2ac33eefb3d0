"""Batches of events for the step, through Grain. The only state is the number of the step.

Batch ``i`` is a pure function of (source, seed, batch size, window, i), whatever the number of
threads or processes; resuming is starting at another ``i``. Grain handles batches, not events: its
cost per element would otherwise exceed that of reading an event.

Events of different lengths lie in buckets (formats/source.py), each with one padded length and so
one compiled step. Inside a window batches are filled bucket by bucket from the shortest; what is
left of a bucket shares a batch with the next one and is padded to its length, so none is lost.

Events that are too many for a list of their order are streamed (engine/stream.py).
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import grain
import jax
import numpy as np
from jax.sharding import NamedSharding

from hepjax import InputError
from hepjax.engine.config import InputConfig
from hepjax.formats.source import Batch, Source, buckets_of, streamed

EVALUATION_WINDOW = 2048
"""Events among which those of one bucket are gathered; more would be decoded more than once."""


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


def by_bucket(
    order: np.ndarray,
    bucket: np.ndarray,
    batch_size: int,
    window: int,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """``order`` (n,) with events of one bucket side by side, as many whole batches as a window has.

    Args:
      bucket: of each event of the source; within a bucket the order stays.
      rng: mixes the batches of a window, or else they rise in length; n must be whole batches.
    """
    order = order.copy()
    size = max(1, window // batch_size) * batch_size
    for low in range(0, len(order), size):
        part = order[low : low + size]
        part = part[np.argsort(bucket[part], kind="stable")]
        if rng is not None:
            part = rng.permutation(part.reshape(-1, batch_size)).reshape(-1)
        order[low : low + size] = part
    return order


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
        if (stream := streamed(self.source)) is not None:
            return stream.batch(
                int(i), self.batch_size, self.window, self.seed, self.process, self.processes
            )
        epoch, batch = divmod(int(i), per_epoch(self.source, self.batch_size))
        events = self._order(epoch)[batch * self.batch_size : (batch + 1) * self.batch_size]
        start = self.process * self.batch_size // self.processes
        stop = (self.process + 1) * self.batch_size // self.processes
        return _read(self.source, events, slice(start, stop))

    def _order(self, epoch: int) -> np.ndarray:
        bucket = buckets_of(self.source)
        return _cached_order(
            self.source.blocks.tobytes(), self.window, self.seed, epoch,
            None if bucket is None else bucket.tobytes(), self.batch_size,
        )  # fmt: skip


@functools.lru_cache(maxsize=2)
def _cached_order(
    blocks: bytes, window: int, seed: int, epoch: int, bucket: bytes | None, batch_size: int
) -> np.ndarray:
    order = shuffled(np.frombuffer(blocks, np.int64), window, seed, epoch)
    if bucket is None:
        return order
    # The events of the incomplete batch are left out before the sort, lest they be the longest.
    order = order[: len(order) // batch_size * batch_size]
    rng = np.random.default_rng((seed, epoch, 1))
    return by_bucket(order, np.frombuffer(bucket, np.int32), batch_size, window, rng)


def _read(source: Source, events: np.ndarray, rows: slice) -> Batch:
    """``rows`` of the global batch ``events``, padded as all of it needs."""
    bucket = buckets_of(source)
    if bucket is None:
        return source[events[rows]]
    return source.padded(events[rows], int(bucket[events].max()))  # type: ignore[attr-defined]


def per_epoch(source: Source, batch_size: int) -> int:
    """Batches in an epoch; the events of an incomplete one wait for the next epoch's shuffle.

    Raises:
      InputError: fewer events than one batch.
    """
    if (stream := streamed(source)) is not None:
        return stream.updates(batch_size)
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
    """All events, in order or bucket by bucket; the last batch repeats an event with ``mask`` 0."""
    order, bucket = np.arange(len(source)), buckets_of(source)
    if bucket is not None:
        order = by_bucket(order, bucket, batch_size, EVALUATION_WINDOW)
    share = batch_size // jax.process_count()
    rows = slice(jax.process_index() * share, (jax.process_index() + 1) * share)
    for start in range(0, len(source), batch_size):
        numbers = start + np.arange(batch_size)
        batch = _read(source, order[np.minimum(numbers, len(source) - 1)], rows)
        yield batch | {"mask": (numbers[rows] < len(source)).astype(np.float32)}


def to_mesh(batch: Batch, sharding: NamedSharding) -> dict[str, jax.Array]:
    """Put this process's rows of a global batch on the devices."""
    return {
        field: jax.make_array_from_process_local_data(sharding, rows)
        for field, rows in for_devices(batch).items()
    }


IN_32_BITS = {np.dtype(k): v for k, v in (("f8", "f4"), ("i8", "i4"), ("u8", "u4"))}


def for_devices(batch: Batch) -> Batch:
    """The fields that devices can hold, in at most 32 bits; texts stay on the host."""
    numbers = {k: v for k, v in batch.items() if v.dtype.kind in "fiub"}
    with np.errstate(over="ignore"):
        return {
            k: v.astype(IN_32_BITS.get(v.dtype, v.dtype), copy=False) for k, v in numbers.items()
        }
