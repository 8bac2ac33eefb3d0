"""From scores of edges to tracks: connected hits, or paths walked through them."""

from typing import Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SHORTEST = 3
"""Hits of a track at least."""


def tracks(
    hits: int, senders: np.ndarray, receivers: np.ndarray, score: np.ndarray, cut: float,
    how: Literal["connected", "walk"] = "connected", shortest: int = SHORTEST,
) -> np.ndarray:  # fmt: skip
    """The number of the track of each hit, -1 for none.

    ``connected``: hits joined by edges above the cut. ``walk``: of those, where a track branches,
    the longest path goes on, each hit to its best neighbour; what is left over is a track of its
    own. Hits are numbered outwards along edges, so paths do not close.

    Returns:
      (hits,) int64.
    """
    kept = score >= cut
    a, b, s = senders[kept], receivers[kept], score[kept]
    if how == "walk":
        a, b = _best(hits, a, b, s)
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(hits, hits))
    _, label = connected_components(graph, directed=False)
    size = np.bincount(label, minlength=1)
    found, number = np.unique(label, return_inverse=True)
    fine = size[found] >= shortest
    renumbered = np.where(fine, np.cumsum(fine) - 1, -1)
    return renumbered[number]


def _best(
    hits: int, a: np.ndarray, b: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Edges that are the best of both their ends: one on and one back of each hit."""
    order = np.argsort(-score, kind="stable")
    a, b = a[order], b[order]
    _, best_on = np.unique(a, return_index=True)
    _, best_back = np.unique(b, return_index=True)
    both = np.intersect1d(best_on, best_back)
    return a[both], b[both]
