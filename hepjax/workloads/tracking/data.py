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
from hepjax.physics.tracking.graph import Graph, build
from hepjax.workloads.tracking.config import TrackingConfig

CACHED = 400
"""Events whose graphs are kept in memory, about 1 MB each of 5,000 hits."""


class GraphSource:
    """Graphs of ``files``; a ``Source`` with buckets.

    Batches have ``xyz`` (n, N, 3) mm, ``surface`` (n, N), ``hits`` (n,), ``senders`` and
    ``receivers`` (n, E), ``edges`` (n,), ``true`` and ``signal`` (n, E) bool, ``missed`` (n,)
    signal edges that the graph does not have, and ``event`` (n,) its number among the files. Padded
    edges go from the last hit to itself, which is padding too.
    """

    def __init__(self, cfg: TrackingConfig, files: Sequence[Place]) -> None:
        self.cfg, self.files = cfg, tuple(files)
        self.blocks = np.arange(len(self.files) + 1, dtype=np.int64)
        self._kept: dict[int, tuple[Event, Graph, np.ndarray, int]] = {}
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
        return self._graph(number)[0]

    def _graph(self, number: int) -> tuple[Event, Graph, np.ndarray, int]:
        with self._lock:
            known = self._kept.get(number)
        if known is not None:
            return known
        event = read_event(self.files[number])
        graph = build(event, self.cfg.data.cuts)
        signal = signal_hits(event, self.cfg)
        of_edges = graph.true & signal[graph.senders]
        made = event, graph, of_edges, int(signal[graph.missed[:, 0]].sum())
        with self._lock:
            while len(self._kept) >= CACHED:
                self._kept.pop(next(iter(self._kept)))
            self._kept[number] = made
        return made

    def _bucket(self, number: int) -> int:
        event, graph, _, _ = self._graph(number)
        data = self.cfg.data
        for k, (hits, edges) in enumerate(zip(data.hits, data.edges, strict=True)):
            if len(event) < hits and len(graph.senders) <= edges:
                return k
        raise InputError(
            f"{self.files[number]}: expected fewer than {data.hits[-1]:,} hits and at most "
            f"{data.edges[-1]:,} edges, the largest of data.hits and data.edges, found "
            f"{len(event):,} and {len(graph.senders):,}; add a size, or narrow data.slope, "
            "data.offset and data.z0"
        )

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return self.padded(indices, int(self.bucket[indices].max(initial=0)))

    def padded(self, indices: np.ndarray, bucket: int) -> Batch:
        """Events padded to the sizes of ``bucket``."""
        count = len(indices)
        hits, edges = self.cfg.data.hits[bucket], self.cfg.data.edges[bucket]
        batch: Batch = {
            "xyz": np.zeros((count, hits, 3), np.float32),
            "surface": np.zeros((count, hits), np.int32),
            "senders": np.full((count, edges), hits - 1, np.int32),
            "receivers": np.full((count, edges), hits - 1, np.int32),
            "true": np.zeros((count, edges), bool), "signal": np.zeros((count, edges), bool),
            "hits": np.zeros(count, np.int32), "edges": np.zeros(count, np.int32),
            "missed": np.zeros(count, np.int32), "event": np.asarray(indices, np.int32),
        }  # fmt: skip
        for row, number in enumerate(np.asarray(indices)):
            event, graph, signal, missed = self._graph(int(number))
            n, e = len(event), len(graph.senders)
            batch["xyz"][row, :n], batch["surface"][row, :n] = event.xyz, event.surface
            batch["senders"][row, :e], batch["receivers"][row, :e] = graph.senders, graph.receivers
            batch["true"][row, :e], batch["signal"][row, :e] = graph.true, signal
            batch["hits"][row], batch["edges"][row], batch["missed"][row] = n, e, missed
        return batch


def signal_hits(event: Event, cfg: TrackingConfig) -> np.ndarray:
    """Which hits (n,) are of particles that count: hard and long enough."""
    if event.particle is None:
        return np.zeros(len(event), bool)
    _, place, count = np.unique(event.particle, return_inverse=True, return_counts=True)
    long = (count[place] >= cfg.objective.min_hits) & (event.particle != 0)
    if event.identifier is None:
        return long
    return long & (event.of_hits(event.pt) >= cfg.objective.min_pt)


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
