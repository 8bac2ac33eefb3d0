"""How many particles are found: edges, and tracks by the definitions in use.

A track and a particle match by the hits that they share. ``particle`` is the identifier of each
hit, 0 for noise; ``track`` the number of the track of each hit, -1 for none.

Sources: TrackML (Amrouche et al., arXiv:1904.06778); gnn_tracking (double majority, perfect, LHC);
acorn of the GNN4ITk project (ATLAS, one way and two way); colliderml 0.4.2.
"""

from typing import NamedTuple

import numpy as np

from hepjax.formats.tracking.event import NOISE

SHORTEST = 3
"""Hits of a particle and of a track that count, at least."""


class Shared(NamedTuple):
    """Pairs of track and particle with hits in common, and how long both are."""

    track: np.ndarray
    particle: np.ndarray
    shared: np.ndarray
    of_track: np.ndarray
    of_particle: np.ndarray


def shared(track: np.ndarray, particle: np.ndarray) -> Shared:
    """All pairs (m,) of track and particle with hits in common; noise is particle 0."""
    length = dict(zip(*np.unique(particle, return_counts=True), strict=True))
    inside = track >= 0
    pairs = np.stack([track[inside], particle[inside].astype(np.int64)])
    found, count = np.unique(pairs, axis=1, return_counts=True)
    of_track = np.bincount(track[inside], minlength=1)
    return Shared(
        found[0], found[1], count, of_track[found[0]] if len(count) else np.zeros(0, int),
        np.array([length[p] for p in found[1].tolist()], int),
    )  # fmt: skip


def track_scores(
    track: np.ndarray, particle: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None
) -> dict[str, float]:
    """Efficiencies and fake rates of one event, or of several whose numbers do not repeat.

    Args:
      track, particle: (n,) of hits.
      target: identifiers of the particles to be found.
      weight: (n,) of the TrackML score; None: the same for all hits of particles.
    Returns:
      ``double_majority``: share of targets of which one track has more than half of the hits, and
      which is more than half of the track. ``perfect``: the same hits. ``lhc``: a track with more
      than three quarters of its hits from it. ``atlas_one_way``: a track with at least half of its
      hits from it. ``atlas_two_way``: and at least half of its hits. ``fake_rate``: share of tracks
      of which no particle has more than half. ``duplicate_rate``: share of found targets with more
      than one track by ``lhc``. ``trackml``: the TrackML score. ``trackml_of_tracks``: the same
      over the weight of hits on tracks only, as colliderml divides.
    """
    found = shared(track, particle)
    real = found.particle != NOISE
    aimed = real & np.isin(found.particle, target) & (found.of_particle >= SHORTEST)
    long = found.of_track >= SHORTEST
    of_track = found.shared / np.maximum(found.of_track, 1)
    of_particle = found.shared / np.maximum(found.of_particle, 1)
    matched = {
        "double_majority": (of_track > 0.5) & (of_particle > 0.5) & long,
        "perfect": (of_track == 1) & (of_particle == 1),
        "lhc": (of_track > 0.75) & long,
        "atlas_one_way": (of_track >= 0.5) & long,
        "atlas_two_way": (of_track >= 0.5) & (of_particle >= 0.5) & long,
    }
    count, lengths = np.unique(particle, return_counts=True)[1], np.unique(particle)
    long_enough = lengths[count >= SHORTEST]
    goal = np.intersect1d(target, long_enough)
    scores = {
        name: _share(len(np.unique(found.particle[aimed & m])), len(goal))
        for name, m in matched.items()
    }
    names = np.unique(found.track[long])
    sound = np.unique(found.track[real & (of_track > 0.5) & long])
    scores["fake_rate"] = 1 - len(sound) / len(names) if len(names) else 0.0
    _, times = np.unique(found.particle[aimed & matched["lhc"]], return_counts=True)
    scores["duplicate_rate"] = _share(int((times > 1).sum()), len(times))
    scores |= _trackml(track, particle, found, weight)
    return scores | {"tracks": float(len(names)), "targets": float(len(goal))}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _trackml(
    track: np.ndarray, particle: np.ndarray, found: Shared, weight: np.ndarray | None
) -> dict[str, float]:
    """Weight of the hits of the majority particle, of tracks with a majority both ways."""
    count = dict(zip(*np.unique(particle, return_counts=True), strict=True))
    if weight is None:
        long = np.array([count[p] >= 4 for p in particle.tolist()], bool)
        weight = ((particle != NOISE) & long).astype(float)
    fine = (
        (found.particle != NOISE)
        & (2 * found.shared > found.of_track) & (2 * found.shared > found.of_particle)
    )  # fmt: skip
    good = set(zip(found.track[fine].tolist(), found.particle[fine].tolist(), strict=True))
    inside = np.array(
        [pair in good for pair in zip(track.tolist(), particle.tolist(), strict=True)], bool
    )
    right, total = float(weight[inside].sum()), float(weight.sum())
    on_tracks = float(weight[track >= 0].sum())
    return {
        "trackml": right / total if total else 0.0,
        "trackml_of_tracks": right / on_tracks if on_tracks else 0.0,
    }


def edge_scores(
    score: np.ndarray, true: np.ndarray, signal: np.ndarray, missed: int, cut: float
) -> dict[str, float]:
    """Efficiency and purity of edges above a cut.

    Args:
      score: (e,) of edges. true: (e,) both hits follow each other on one particle. signal: (e,) on
        a particle that counts; other true edges count neither way in the efficiency, and as true
        in the purity.
      missed: true edges of such particles that the graph does not have.
    Returns:
      ``efficiency`` of all true edges, ``efficiency_in_graph``, ``purity``.
    """
    kept = score >= cut
    wanted, right = int((true & signal).sum()), int((kept & true & signal).sum())
    return {
        "efficiency": _share(right, wanted + missed),
        "efficiency_in_graph": _share(right, wanted),
        "purity": _share(int((kept & true).sum()), int(kept.sum())),
    }
