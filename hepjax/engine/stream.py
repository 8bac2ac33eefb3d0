"""A single pass over shards that no node could hold: each event once, its place from the step.

Shards lie in lanes, in an order that the seed gives: lane l has every n-th of it from the l-th on.
A batch takes the same number of rows from each lane, and a process reads whole lanes, so no shard
is read by two processes and the number of processes does not change which events a batch has. In a
lane, consecutive shards fill a window, inside which events are permuted. What is left of the state
is the number of the batch.

A shard that cannot be read loses its rows, not the pass: they are there with ``lost`` set, so that
all other events keep their places. More lost shards than a share of them end the pass.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.notes import note
from hepjax.formats.source import Batch, locate

SHARD, LOST, THERE = "shard", "lost", "there"
"""Fields of every batch: number of the shard, whether its events could not be read, and whether the
row has an event at all; rows after the end of a lane have none and are not lost."""
READERS = 2


@dataclass(frozen=True)
class Shards:
    """Shards by number, and what to do with those that fail."""

    events: np.ndarray
    """(n,) of each shard."""
    read: Callable[[int], Batch]
    """All events of a shard; raises InputError if it cannot."""
    empty: Callable[[int], Batch]
    """The same fields with so many events of zeros."""
    fingerprint: str
    most_lost: float = 0.0
    """Share of a process's shards that may fail."""


@dataclass
class _Lane:
    """The shards of a lane in order, cut into windows."""

    shards: np.ndarray
    first: np.ndarray
    """(windows + 1,) first shard of each window, as a place in ``shards``."""
    start: np.ndarray
    """(windows + 1,) events of the lane before each window."""


def lanes(events: np.ndarray, count: int, window: int, seed: int) -> list[_Lane]:
    """The shards of each lane and their windows of at least ``window`` / ``count`` events.

    Raises:
      InputError: fewer shards than lanes.
    """
    if len(events) < count:
        raise InputError(
            f"data.lanes: expected at most the {len(events)} shards, found {count}; take fewer, or "
            "pack smaller shards"
        )
    order = np.random.default_rng((seed, len(events))).permutation(len(events))
    made = []
    for lane in range(count):
        mine = order[lane::count]
        before = np.concatenate([[0], np.cumsum(events[mine], dtype=np.int64)])
        number = before[:-1] // max(1, window // count)
        first = np.concatenate([np.flatnonzero(np.diff(number, prepend=-1)), [len(mine)]])
        made.append(_Lane(mine, first, before[first]))
    return made


@dataclass
class Stream:
    """Shards as one source whose batches are streamed, see ``formats.source.Streamed``."""

    shards: Shards
    count: int
    """Lanes."""
    _lanes: dict[tuple[int, int], list[_Lane]] = field(default_factory=dict)
    _windows: dict[tuple[int, int], "Future[Batch]"] = field(default_factory=dict)
    _failed: set[int] = field(default_factory=set)
    _lock: Any = field(default_factory=threading.Lock)
    _pool: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"shards": self.shards, "count": self.count}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @property
    def fingerprint(self) -> str:
        """See ``Streamed``."""
        return self.shards.fingerprint

    @property
    def blocks(self) -> np.ndarray:
        """First event of each shard, in the order of the manifest."""
        return np.concatenate([[0], np.cumsum(self.shards.events, dtype=np.int64)])

    def __len__(self) -> int:
        return int(self.shards.events.sum())

    def __getitem__(self, indices: np.ndarray) -> Batch:
        number, place = locate(self.blocks, indices)
        shards = {k: self._shard(k, len(self.shards.events)) for k in np.unique(number).tolist()}
        rows = [
            {name: values[p : p + 1] for name, values in shards[k].items()}
            for k, p in zip(number.tolist(), place.tolist(), strict=True)
        ]
        return _joined(rows or [self._blank(0)])

    def updates(self, batch_size: int) -> int:
        """See ``Streamed``: until the longest lane ends that any seed could make.

        Raises:
          InputError: a batch that lanes cannot share evenly.
        """
        if batch_size % self.count:
            raise InputError(
                f"train.batch_size: expected a multiple of the {self.count} data.lanes, found "
                f"{batch_size}"
            )
        most = -(-len(self.shards.events) // self.count)
        longest = int(np.sort(self.shards.events)[-most:].sum())
        return -(-longest * self.count // batch_size)

    def batch(
        self, number: int, batch_size: int, window: int, seed: int, process: int, processes: int
    ) -> Batch:
        """See ``Streamed``.

        Raises:
          InputError: processes that cannot share the lanes evenly, or too many lost shards.
        """
        if self.count % processes:
            raise InputError(
                f"data.lanes: expected a multiple of the {processes} processes, found {self.count}"
            )
        share, rows = self.count // processes, batch_size // self.count
        mine = self._of(window, seed)[process * share : (process + 1) * share]
        parts = [
            part
            for k, lane in enumerate(mine, start=process * share)
            for part in self._rows(lane, k, number * rows, (number + 1) * rows, seed, share)
        ]
        return _joined(parts)

    def _of(self, window: int, seed: int) -> list[_Lane]:
        if (window, seed) not in self._lanes:
            self._lanes[window, seed] = lanes(self.shards.events, self.count, window, seed)
        return self._lanes[window, seed]

    def _rows(
        self, lane: _Lane, k: int, low: int, high: int, seed: int, share: int
    ) -> "Sequence[Batch]":
        """Events ``low`` to ``high`` of a lane, from the windows that have them."""
        parts = []
        while low < min(high, int(lane.start[-1])):
            w = int(np.searchsorted(lane.start, low, side="right")) - 1
            stop = min(high, int(lane.start[w + 1]))
            inside = slice(low - int(lane.start[w]), stop - int(lane.start[w]))
            loaded = self._window(lane, k, w, seed, share)
            parts.append({name: values[inside] for name, values in loaded.items()})
            low = stop
        return parts if low == high else [*parts, self._blank(high - low)]

    def _window(self, lane: _Lane, k: int, w: int, seed: int, share: int) -> Batch:
        """A window; the next one is read meanwhile, the one before the last is forgotten."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(READERS, "hepjax-stream")
            for ahead in (w, w + 1):
                if ahead < len(lane.first) - 1 and (k, ahead) not in self._windows:
                    self._windows[k, ahead] = self._pool.submit(
                        self._load, lane, k, ahead, seed, share
                    )
            for old in [key for key in self._windows if key[0] == k and key[1] < w - 1]:
                del self._windows[old]
            found = self._windows[k, w]
        return found.result()

    def _load(self, lane: _Lane, k: int, w: int, seed: int, share: int) -> Batch:
        mine = len(self.shards.events) * share / self.count
        numbers = lane.shards[lane.first[w] : lane.first[w + 1]].tolist()
        loaded = _joined([self._shard(number, mine) for number in numbers])
        order = np.random.default_rng((seed, k, w)).permutation(len(loaded[SHARD]))
        return {name: values[order] for name, values in loaded.items()}

    def _shard(self, number: int, mine: float) -> Batch:
        """A shard, or what stands for it if it cannot be read.

        Args:
          mine: shards of this process, some of which may be lost.
        """
        events = int(self.shards.events[number])
        try:
            fields, lost = self.shards.read(number), False
        except InputError as error:
            fields, lost = self.shards.empty(events), True
            self._lose(number, error, mine)
        return fields | {
            SHARD: np.full(events, number, np.int32), LOST: np.full(events, lost),
            THERE: np.full(events, not lost),
        }  # fmt: skip

    def _lose(self, number: int, error: InputError, mine: float) -> None:
        with self._lock:
            self._failed.add(number)
            failed, most = len(self._failed), int(self.shards.most_lost * mine)
        if failed > most:
            raise InputError(
                f"{error}; data.most_lost: expected at most {most} such shards of {mine:g}, found "
                f"{failed}"
            )
        note(f"{error}; skipped, {failed} of at most {most} shards")

    def _blank(self, events: int) -> Batch:
        """Places after the end of a lane."""
        return self.shards.empty(events) | {
            SHARD: np.zeros(events, np.int32), LOST: np.zeros(events, bool),
            THERE: np.zeros(events, bool),
        }  # fmt: skip


def _joined(parts: "Sequence[Batch]") -> Batch:
    if len(parts) == 1:
        return dict(parts[0])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def held_out(events: np.ndarray, share: float) -> np.ndarray:
    """Which events (n,) never train, by a hash of their numbers (SplitMix64).

    It depends on the number alone, so an event is held out in every pass.
    """
    x = np.asarray(events).astype(np.uint64)
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) / 2.0**53 < share
