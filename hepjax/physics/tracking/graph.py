"""The graph of an event: hits, and edges between hits on neighbouring layers that may belong
together.

An edge goes outwards. Two layers are neighbours if particles go from one to the other in simulated
events (layer_map.py).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from hepjax.formats.tracking.detector import SURFACES
from hepjax.formats.tracking.event import NOISE, Event
from hepjax.physics.tracking.layer_map import FOLLOWS


class Cuts(NamedTuple):
    """Which pairs of hits are edges."""

    slope: float = 6.5e-4
    """rad / mm."""
    offset: float = 0.02
    """rad; the azimuths of both hits differ by less than slope x dr + offset."""
    z0: float = 250.0
    """mm; the line through both hits passes the beam no further away from the centre."""


@dataclass(frozen=True)
class Graph:
    """Edges (e,) of an event: hits that they begin and end at, and what is true of them."""

    senders: np.ndarray
    receivers: np.ndarray
    true: np.ndarray
    """Whether both hits follow each other on one particle; all False without truth."""
    missed: np.ndarray
    """(m, 2) pairs of hits that follow each other on one particle, without an edge."""


DEFAULT = Cuts()


def build(event: Event, cuts: Cuts = DEFAULT) -> Graph:
    """The graph of an event."""
    xyz = event.xyz.astype(np.float64)
    r, phi, z = np.hypot(xyz[:, 0], xyz[:, 1]), np.arctan2(xyz[:, 1], xyz[:, 0]), xyz[:, 2]
    order = np.lexsort((phi, event.surface))
    first = np.searchsorted(event.surface[order], np.arange(len(SURFACES) + 1))
    parts = []
    for a, following in FOLLOWS.items():
        inner = order[first[a] : first[a + 1]]
        for b in following:
            outer = order[first[b] : first[b + 1]]
            if len(inner) and len(outer):
                parts.append(_between(inner, outer, r, phi, z, cuts))
    return of_pairs(event, np.concatenate(parts) if parts else np.zeros((0, 2), np.int64))


def of_pairs(event: Event, pairs: np.ndarray) -> Graph:
    """The graph with these pairs (e, 2) of hits as edges."""
    if event.particle is None:
        nothing = np.zeros(len(pairs), bool), np.zeros((0, 2), np.int64)
        return Graph(pairs[:, 0], pairs[:, 1], *nothing)
    truth = true_pairs(event)
    key = _key(pairs, len(event))
    known = np.sort(_key(truth, len(event)))
    place = np.clip(np.searchsorted(known, key), 0, max(len(known) - 1, 0))
    true = known[place] == key if len(known) else np.zeros(len(pairs), bool)
    missed = truth[~np.isin(_key(truth, len(event)), key)]
    return Graph(pairs[:, 0], pairs[:, 1], true, missed)


def near(event: Event, points: np.ndarray, radius: float) -> np.ndarray:
    """Pairs (e, 2) of hits on different layers whose points (n, d) are within ``radius``.

    The hit nearer to the centre of the detector comes first.
    """
    pairs: np.ndarray = cKDTree(points).query_pairs(radius, output_type="ndarray")
    pairs = pairs[event.surface[pairs[:, 0]] != event.surface[pairs[:, 1]]].astype(np.int64)
    distance = np.linalg.norm(event.xyz, axis=1)
    inwards = distance[pairs[:, 0]] > distance[pairs[:, 1]]
    pairs[inwards] = pairs[inwards][:, ::-1]
    return pairs


def _key(pairs: np.ndarray, hits: int) -> np.ndarray:
    return pairs[:, 0].astype(np.int64) * hits + pairs[:, 1]


def _between(
    inner: np.ndarray, outer: np.ndarray, r: np.ndarray, phi: np.ndarray, z: np.ndarray,
    cuts: Cuts,
) -> np.ndarray:  # fmt: skip
    """Pairs (e, 2) of hits of two layers, each sorted by azimuth, within the cuts."""
    spans = (r[outer].max() - r[inner].min(), r[outer].min() - r[inner].max())
    reach = cuts.slope * max(map(abs, spans)) + cuts.offset
    around = np.concatenate([phi[outer] - 2 * np.pi, phi[outer], phi[outer] + 2 * np.pi])
    low, high = (np.searchsorted(around, phi[inner] + sign * reach) for sign in (-1, 1))
    count = high - low
    a = np.repeat(inner, count)
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    b = outer[(np.repeat(low, count) + place) % len(outer)]
    dr, dz = r[b] - r[a], z[b] - z[a]
    dphi = np.abs(np.mod(phi[b] - phi[a] + np.pi, 2 * np.pi) - np.pi)
    with np.errstate(divide="ignore", invalid="ignore"):
        z0 = z[a] - r[a] * dz / dr
    near = dphi < cuts.slope * np.abs(dr) + cuts.offset
    inside = near & (np.abs(z0) < cuts.z0) & (dr > 0)
    return np.stack([a[inside], b[inside]], axis=1)


def true_pairs(event: Event) -> np.ndarray:
    """Pairs (t, 2) of hits of one particle on layers that follow each other, outwards.

    Hits are ordered by their distance from the particle's vertex (from the centre where it is not
    known). Where a layer has several hits of a particle each counts.
    """
    assert event.particle is not None
    hits, group = _in_order(event)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    sizes = np.diff(np.append(starts, len(hits)))
    particle = event.particle[hits][starts]
    follows = np.zeros(len(starts), bool)
    follows[:-1] = particle[1:] == particle[:-1]
    times = np.where(follows, np.append(sizes[1:], 0), 0)[group]
    a = np.repeat(np.arange(len(hits)), times)
    place = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
    b = np.append(starts, len(hits))[group[a] + 1] + place
    return np.stack([hits[a], hits[b]], axis=1)


def places(event: Event) -> np.ndarray:
    """A number (n,) of each hit that rises by one from layer to layer of its particle, -1 of noise.

    Hits of one particle follow each other if their numbers differ by one.
    """
    hits, group = _in_order(event)
    found = np.full(len(event), -1, np.int32)
    found[hits] = group
    return found


def _in_order(event: Event) -> tuple[np.ndarray, np.ndarray]:
    """Hits of particles, particle by particle and outwards, and the number of the crossed layer."""
    assert event.particle is not None
    vertex = (
        event.of_hits(event.vertex.astype(np.float64))
        if event.vertex is not None else np.zeros((len(event), 3))
    )  # fmt: skip
    distance = np.linalg.norm(event.xyz - vertex, axis=1)
    hits = np.flatnonzero(event.particle != NOISE)
    hits = hits[np.lexsort((distance[hits], event.particle[hits]))]
    particle, surface = event.particle[hits], event.surface[hits]
    new = np.ones(len(hits), bool)
    new[1:] = (particle[1:] != particle[:-1]) | (surface[1:] != surface[:-1])
    return hits, np.cumsum(new) - 1
