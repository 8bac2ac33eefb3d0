"""Graphs of events padded to one of a few sizes, and which hits and edges count."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hepjax import InputError
from hepjax.formats.source import Batch
from hepjax.formats.tracking.event import NOISE, Event
from hepjax.physics.tracking.graph import Graph, places
from hepjax.workloads.tracking.config import TrackingConfig


class Known(NamedTuple):
    """An event with its graph."""

    event: Event
    graph: Graph
    signal: np.ndarray
    """(n,) hits of particles that count."""


def known(cfg: TrackingConfig, event: Event, graph: Graph) -> Known:
    """An event with its graph, and its hits that count."""
    return Known(event, graph, signal_hits(event, cfg))


def signal_hits(event: Event, cfg: TrackingConfig) -> np.ndarray:
    """Which hits (n,) are of particles that count: hard and long enough."""
    if event.particle is None:
        return np.zeros(len(event), bool)
    _, place, count = np.unique(event.particle, return_inverse=True, return_counts=True)
    long = (count[place] >= cfg.objective.min_hits) & (event.particle != NOISE)
    if event.identifier is None:
        return long
    return long & (event.of_hits(event.pt) >= cfg.objective.min_pt)


def bucket_of(cfg: TrackingConfig, name: object, event: Event, graph: Graph) -> int:
    """Number of the smallest sizes in ``data.hits`` and ``data.edges`` that hold a graph.

    Args:
      name: of the event, for the message.
    Raises:
      InputError: none does.
    """
    data = cfg.data
    for k, (hits, edges) in enumerate(zip(data.hits, data.edges, strict=True)):
        if len(event) < hits and len(graph.senders) <= edges:
            return k
    raise InputError(
        f"{name}: expected fewer than {data.hits[-1]:,} hits and at most {data.edges[-1]:,} edges, "
        f"the largest of data.hits and data.edges, found {len(event):,} and "
        f"{len(graph.senders):,}; add a size, or narrow data.slope, data.offset and data.z0"
    )


def padded(cfg: TrackingConfig, bucket: int, rows: Sequence[Known]) -> Batch:
    """A batch of graphs with the sizes of ``bucket``.

    ``xyz`` (n, N, 3) mm, ``surface`` (n, N); of the truth ``particle`` (n, N), a number in the
    event from 1 on, 0 for noise, ``place`` (n, N), see ``graph.places``, and ``counts`` (n, N),
    hits of particles that count; ``senders``, ``receivers`` (n, E), ``true`` and ``signal`` (n, E)
    bool; ``hits``, ``edges`` (n,) and ``missed`` (n,), signal edges that the graph does not have.
    Padded edges go from the last hit to itself, which is padding too.
    """
    count, hits, edges = len(rows), cfg.data.hits[bucket], cfg.data.edges[bucket]
    batch: Batch = {
        "xyz": np.zeros((count, hits, 3), np.float32),
        "surface": np.zeros((count, hits), np.int32),
        "particle": np.zeros((count, hits), np.int32),
        "place": np.full((count, hits), -1, np.int32), "counts": np.zeros((count, hits), bool),
        "senders": np.full((count, edges), hits - 1, np.int32),
        "receivers": np.full((count, edges), hits - 1, np.int32),
        "true": np.zeros((count, edges), bool), "signal": np.zeros((count, edges), bool),
        "hits": np.zeros(count, np.int32), "edges": np.zeros(count, np.int32),
        "missed": np.zeros(count, np.int32),
    }  # fmt: skip
    for row, (event, graph, signal) in enumerate(rows):
        n, e = len(event), len(graph.senders)
        batch["xyz"][row, :n], batch["surface"][row, :n] = event.xyz, event.surface
        batch["counts"][row, :n] = signal
        if event.particle is not None:
            number = np.unique(event.particle, return_inverse=True)[1] + 1
            batch["particle"][row, :n] = np.where(event.particle == NOISE, 0, number)
            batch["place"][row, :n] = places(event)
        batch["senders"][row, :e], batch["receivers"][row, :e] = graph.senders, graph.receivers
        batch["true"][row, :e] = graph.true
        batch["signal"][row, :e] = graph.true & signal[graph.senders]
        batch["hits"][row], batch["edges"][row] = n, e
        batch["missed"][row] = signal[graph.missed[:, 0]].sum()
    return batch
