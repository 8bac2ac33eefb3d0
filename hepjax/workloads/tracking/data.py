"""Events of hits as graphs of one of a few sizes, and which of them train and judge a run."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.engine.workload import Sources
from hepjax.formats.source import Batch, divided
from hepjax.formats.tracking.event import Event
from hepjax.formats.tracking.reader import Place, list_events, read_event
from hepjax.workloads.tracking.config import TrackingConfig
from hepjax.workloads.tracking.graphs import Known, bucket_of, known, padded
from hepjax.workloads.tracking.stages import graph_of

CACHED = 400
"""Events whose graphs are kept in memory, about 1 MB each of 5,000 hits."""


class GraphSource:
    """Graphs of ``files``; a ``Source`` with buckets.

    Batches are those of ``graphs.padded`` with ``event`` (n,), the number among the files.
    """

    def __init__(self, cfg: TrackingConfig, files: Sequence[Place]) -> None:
        self.cfg, self.files = cfg, tuple(files)
        self.blocks = np.arange(len(self.files) + 1, dtype=np.int64)
        self._kept: dict[int, Known] = {}
        self._lock = threading.Lock()
        self.bucket = np.array([self._bucket(k) for k in range(len(self.files))], np.int32)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in ("_kept", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state | {"_kept": {}, "_lock": threading.Lock()})

    def __len__(self) -> int:
        return len(self.files)

    def event(self, number: int) -> Event:
        """The hits of an event, with their truth."""
        return self.known(number).event

    def known(self, number: int) -> Known:
        """An event with its graph."""
        with self._lock:
            found = self._kept.get(number)
        if found is not None:
            return found
        event = read_event(self.files[number])
        made = known(self.cfg, event, graph_of(self.cfg, event))
        with self._lock:
            while len(self._kept) >= CACHED:
                self._kept.pop(next(iter(self._kept)))
            self._kept[number] = made
        return made

    def _bucket(self, number: int) -> int:
        made = self.known(number)
        return bucket_of(self.cfg, self.files[number], made.event, made.graph)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return self.padded(indices, int(self.bucket[indices].max(initial=0)))

    def padded(self, indices: np.ndarray, bucket: int) -> Batch:
        """Events padded to the sizes of ``bucket``."""
        rows = [self.known(int(number)) for number in np.asarray(indices)]
        return padded(self.cfg, bucket, rows) | {"event": np.asarray(indices, np.int32)}


def open_events(cfg: TrackingConfig, paths: Sequence[str | Path]) -> GraphSource:
    """Graphs of these files.

    Raises:
      InputError: see ``reader.read_event``; or a graph larger than the largest bucket.
    """
    return GraphSource(cfg, list_events(list(paths)))


def sources(cfg: TrackingConfig) -> Sources:
    """Training and validation events, which need their truth.

    Raises:
      InputError: see ``open_events``; or events without truth.
    """
    source = open_events(cfg, cfg.data.files)
    _require_truth(source)
    if cfg.data.validation_files:
        other = open_events(cfg, cfg.data.validation_files)
        _require_truth(other)
        return Sources(source, other)
    return Sources(*divided(source, cfg.data.validation_fraction, "events", cfg.data.rotate))


def _require_truth(source: GraphSource) -> None:
    for number, path in enumerate(source.files):
        event = source.event(number)
        if event.particle is None or event.identifier is None:
            missing = "truth" if event.particle is None else "particles"
            raise InputError(
                f"{path}: expected the tables truth and particles beside it to train on, found no "
                f"{missing}"
            )


def graphs(source: Any) -> GraphSource:
    """The events of a run behind a part of them."""
    return source if isinstance(source, GraphSource) else graphs(source.source)
