"""From scores of edges to tracks: connected hits, or a walk-through along the best edges."""

from typing import Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SHORTEST = 3
"""Hits of a track at least."""

Neighbours = list[list[tuple[float, int]]]
"""Of each hit: score and hit, the best first."""


def tracks(
    hits: int, senders: np.ndarray, receivers: np.ndarray, score: np.ndarray, cut: float,
    how: Literal["connected", "walk"] = "connected", add: float = 0.6, shortest: int = SHORTEST,
) -> np.ndarray:  # fmt: skip
    """The number of the track of each hit, -1 for none.

    ``connected``: hits joined by edges above the cut (connected components).

    ``walk``: the walk-through of the GNN4ITk project. From each start, inner hits first, paths go
    on to the best free neighbour above ``cut`` and to every further one above ``add``; the longest
    path is a track, of those of equal length the one with the largest sum of scores, and its hits
    are taken. Modules overlap, so a layer may have two hits of a particle and a path has one: here
    a free hit whose edges above ``add`` could put it in the place of a hit of the path joins it.

    Args:
      hits: how many there are.
      senders, receivers: (e,) of edges, which go outwards and close no circle.
      score: (e,) of edges.
    Returns:
      (hits,) int64.
    """
    kept = score >= cut
    a, b, s = senders[kept], receivers[kept], score[kept]
    label = _walked(hits, a, b, s, add) if how == "walk" else _connected(hits, a, b)
    size = np.bincount(label, minlength=1)
    found, number = np.unique(label, return_inverse=True)
    fine = size[found] >= shortest
    renumbered = np.where(fine, np.cumsum(fine) - 1, -1)
    return renumbered[number]


def _connected(hits: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(hits, hits))
    label: np.ndarray = connected_components(graph, directed=False)[1]
    return label


def _walked(hits: int, a: np.ndarray, b: np.ndarray, score: np.ndarray, add: float) -> np.ndarray:
    """A label (hits,) of the path of each hit."""
    onward, back = _neighbours(hits, a, b, score), _neighbours(hits, b, a, score)
    label, count = np.full(hits, -1, np.int64), 0
    free = [True] * hits
    for start in _inner_first(hits, a, b).tolist():
        if free[start]:
            path = _longest(start, onward, free, add)
            for hit in path:
                free[hit] = False
            members = path + _doubles(path, onward, back, free, add)
            for hit in members:
                free[hit] = False
            label[members] = count
            count += 1
    return label


def _neighbours(hits: int, a: np.ndarray, b: np.ndarray, score: np.ndarray) -> Neighbours:
    order = np.lexsort((b, -score))
    found: Neighbours = [[] for _ in range(hits)]
    for hit, s, other in zip(a[order].tolist(), score[order].tolist(), b[order].tolist(),
                             strict=True):  # fmt: skip
        found[hit].append((s, other))
    return found


def _inner_first(hits: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """All hits such that edges go forwards: by the number of edges on the longest way to each."""
    depth = np.zeros(hits, np.int64)
    for _ in range(hits):
        further = depth.copy()
        np.maximum.at(further, b, depth[a] + 1)
        if (further == depth).all():
            return np.argsort(depth, kind="stable")
        depth = further
    raise ValueError("edges: expected none that close a circle, found some")


def _longest(start: int, onward: Neighbours, free: list[bool], add: float) -> list[int]:
    """The longest path from a hit through free ones."""
    best: dict[int, tuple[int, float, int]] = {}  # hits and scores from here on, and the next hit
    stack = [start]
    while stack:
        hit = stack[-1]
        open_ = [(s, other) for s, other in onward[hit] if free[other]]
        following = open_[:1] + [(s, other) for s, other in open_[1:] if s >= add]
        unknown = [other for _, other in following if other not in best]
        if unknown:
            stack += unknown
            continue
        ways = ((best[o][0] + 1, best[o][1] + s, o) for s, o in following)
        best[hit] = max(ways, default=(1, 0.0, -1))
        stack.pop()
    path = [start]
    while (after := best[path[-1]][2]) >= 0:
        path.append(after)
    return path


def _doubles(
    path: list[int], onward: Neighbours, back: Neighbours, free: list[bool], add: float
) -> list[int]:
    """Free hits with edges above ``add`` from the hit before and to the hit after a place of the
    path; at its ends one of them has to do."""
    found = set()
    for place in range(len(path) if len(path) > 1 else 0):
        sides = []
        if place > 0:
            sides.append({o for s, o in onward[path[place - 1]] if s >= add and free[o]})
        if place + 1 < len(path):
            sides.append({o for s, o in back[path[place + 1]] if s >= add and free[o]})
        found |= set.intersection(*sides)
    return sorted(found)
