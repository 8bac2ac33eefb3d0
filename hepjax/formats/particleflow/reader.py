"""MLPF events of any layout as one source: random access, padded to a few lengths (buckets).

Each length is one compiled program, so there are few. Padding is zeros, which models mask.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from hepjax import InputError
from hepjax.formats.block_cache import BlockCache
from hepjax.formats.files import has_suffix, inside, kind_of, list_all
from hepjax.formats.hdf5 import SUFFIXES, is_hdf5, open_hdf5
from hepjax.formats.particleflow import hdf5, pickles, tfds
from hepjax.formats.particleflow.columns import ARRAYS
from hepjax.formats.particleflow.events import EventFile, Events
from hepjax.formats.particleflow.sound import fill_candidates, require_sound
from hepjax.formats.root.card import is_card, read_card
from hepjax.formats.root.tree import is_root
from hepjax.formats.source import Batch, locate
from hepjax.formats.tfrecord import is_tfrecord

CACHE_BYTES = 2**30
"""Decoded events kept: 2,000 with 200 pile-up collisions."""
DESCRIBE_THREADS = 4
"""Files looked into at the same time; each may take 1 GiB."""


def list_event_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files of ``paths``, sorted, each once; a folder stands for the event files in it.

    A TFDS data set is one file: the folder of its version, see tfds.py.

    Raises:
      InputError: a path does not exist, a folder has no event files or the same events in two
        layouts, or there are no paths.
    """
    return list_all(paths, _inside, tfds.is_tfds)


def _by_kind(folder: Path) -> dict[str, list[Path]]:
    """The event files in a folder, as far as names tell."""
    entries = inside(folder)
    sets = sorted(p.parent for p in folder.glob("*/*/dataset_info.json"))
    return {
        "*.pkl.bz2 files": [p for p in entries if pickles.is_named_so(p)],
        "*.h5 files": [p for p in entries if has_suffix(p, SUFFIXES)],
        "TFDS data sets": [p for p in sets if p.name[0] != "."],
    }


def _inside(folder: Path) -> list[Path]:
    kinds = _by_kind(folder)
    found = [kind for kind, paths in kinds.items() if paths]
    if len(found) != 1:
        raise InputError(
            f"{folder}: expected a folder with either of {', '.join(kinds)}, "
            f"found {' and '.join(found) or 'none'}"
        )
    return kinds[found[0]]


def holds_events(path: Path) -> bool:
    """Whether ``path`` is a file, a data set or a folder (by its first files) of MLPF events."""
    if tfds.is_tfds(path):
        return tfds.is_events(path)
    if is_card(path):
        return read_card(path).kind == "particleflow"
    kind = kind_of(path)
    if kind == "folder":
        return any(holds_events(paths[0]) for paths in _by_kind(path).values() if paths)
    if kind is None:
        return False
    if not is_hdf5(path):
        return pickles.is_named_so(path) or (not is_tfrecord(path) and pickles.is_pickle(path))
    try:
        with open_hdf5(path) as file:
            return hdf5.is_events(file)
    except InputError:
        return False


def describe(path: Path) -> EventFile:
    """What one file holds.

    Raises:
      InputError: unreadable, damaged or of another layout.
    """
    if tfds.is_tfds(path):
        return tfds.describe(path)
    if is_card(path) or is_root(path):
        from hepjax.formats.root.events import describe_root_events

        return describe_root_events(path)
    if not is_hdf5(path) and (pickles.is_named_so(path) or pickles.is_pickle(path)):
        return pickles.describe(path)
    return hdf5.describe(path)


def describe_all(paths: str | Path | Sequence[str | Path]) -> list[EventFile]:
    """What each file of ``paths`` holds, see ``describe``."""
    with ThreadPoolExecutor(DESCRIBE_THREADS) as pool:
        return list(pool.map(describe, list_event_files(paths)))


def read_sound(file: EventFile, start: int, stop: int) -> Events:
    """Events ``start`` to ``stop`` of a file, checked, momenta and energies of candidates filled.

    Raises:
      InputError: see ``sound.require_sound``.
    """
    events = file.read(start, stop)
    require_sound(events, file.path, start)
    return Events(events.first, events.X, events.ygen, fill_candidates(events.ycand))


def open_events(
    paths: str | Path | Sequence[str | Path],
    *,
    buckets: Sequence[int],
    too_long: Literal["error", "truncate"] = "error",
    cache_bytes: int = CACHE_BYTES,
) -> "EventSource":
    """Events of one or many files as one source, files in sorted order.

    Args:
      paths: files, or folders that stand for the event files in them.
      buckets: rising lengths in elements; an event is padded to the smallest that holds it.
      too_long: what to do with an event longer than the largest bucket. Cut events lose their last
        elements, which are towers, as files list tracks first; ``cut_events`` counts them.
    Returns:
      batches of ``X`` (n, L, 12), ``ygen`` and ``ycand`` (n, L, 7) float32 and ``n`` (n,) int32,
      the number of elements; rows from there on are 0. Columns: columns.py.
    Raises:
      InputError: unreadable or unsuitable files, an event without elements or longer than the
        largest bucket. Reading raises it too, for rows that are not sound.
    """
    files = describe_all(paths)
    for file in files:
        _require_lengths(file, buckets[-1] if too_long == "error" else None)
    return EventSource(files, np.asarray(buckets), cache_bytes)


def _require_lengths(file: EventFile, longest: int | None) -> None:
    empty = np.flatnonzero(file.elements == 0)
    if len(empty):
        raise InputError(f"{file.path}: expected elements, found none in event {empty[0]}")
    if longest is None:
        return
    over = np.flatnonzero(file.elements > longest)
    if len(over):
        raise InputError(
            f"{file.path}: expected at most {longest} elements, the largest of data.buckets, found "
            f"{file.elements[over[0]]} in event {over[0]} ({len(over)} of {len(file)} events); "
            "add a bucket, or set data.too_long=truncate"
        )


class EventSource:
    """The events of ``files``; made by ``open_events``, a ``Source`` with buckets."""

    def __init__(self, files: Sequence[EventFile], buckets: np.ndarray, cache_bytes: int) -> None:
        self.files, self.buckets = tuple(files), buckets
        self.elements = np.concatenate([file.elements for file in files])
        kept = np.minimum(self.elements, buckets[-1])
        self.bucket = np.searchsorted(buckets, kept).astype(np.int32)
        """(events,) int32: index of the bucket of each event."""
        starts = np.cumsum([0, *map(len, files)])
        self.blocks = np.concatenate(
            [[0], *(s + f.blocks[1:] for s, f in zip(starts[:-1], files, strict=True))]
        ).astype(np.int64)
        self._where = [
            (f, int(a), int(b))
            for f in files
            for a, b in zip(f.blocks[:-1], f.blocks[1:], strict=True)
        ]
        self._cache: BlockCache[Events] = BlockCache(cache_bytes)

    def require_targets(self) -> None:
        """Refuse events that can only be predicted.

        Raises:
          InputError: a file without targets.
        """
        for file in self.files:
            if file.without_targets:
                raise InputError(
                    f"{file.path}: expected targets of {file.without_targets} to train on or to "
                    "judge by, found none; hepjax predict needs none"
                )

    @property
    def cut_events(self) -> int:
        """Events longer than the largest bucket."""
        return int((self.elements > self.buckets[-1]).sum())

    @property
    def cut_elements(self) -> int:
        """Elements that these lose."""
        return int(np.maximum(self.elements - self.buckets[-1], 0).sum())

    def __len__(self) -> int:
        return len(self.elements)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        """Events ``indices`` (n,), padded to the smallest bucket that holds them all."""
        return self.padded(indices, int(self.bucket[indices].max(initial=0)))

    def padded(self, indices: np.ndarray, bucket: int) -> Batch:
        """Events ``indices`` (n,), padded to the length of ``bucket``, see ``open_events``."""
        block_of, event_of = locate(self.blocks, indices)
        length = int(self.buckets[bucket])
        batch: Batch = {
            key: np.zeros((len(block_of), length, columns), np.float32)
            for key, columns in ARRAYS.items()
        }
        batch["n"] = np.minimum(self.elements[indices], self.buckets[-1]).astype(np.int32)
        blocks = self._cache.get_all(block_of, self._decode)
        for row, (k, event, n) in enumerate(zip(block_of, event_of, batch["n"], strict=True)):
            events = blocks[int(k)]
            inside = slice(events.first[event], events.first[event] + n)
            for key in ARRAYS:
                batch[key][row, :n] = getattr(events, key)[inside]
        return batch

    def _decode(self, k: int) -> Events:
        return read_sound(*self._where[k])

    def stream(self) -> Iterator[Events]:
        """All events in order, a block at a time and past the cache."""
        for k in range(len(self._where)):
            yield self._decode(k)
