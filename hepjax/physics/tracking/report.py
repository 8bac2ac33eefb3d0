"""The report on tracks: how many particles are found, by momentum and direction, and what else."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepjax.formats.tracking.event import Event
from hepjax.physics.tracking.graph import true_pairs
from hepjax.physics.tracking.metrics import edge_scores, shared, track_scores
from hepjax.report import layout, page, plots
from hepjax.report.curves import LOSS, validation
from hepjax.report.document import Drawing, Parts, Report

PT_EDGES = np.array([0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 20.0])
ETA_EDGES = np.linspace(-4.0, 4.0, 13)
CUTS = np.linspace(0.05, 0.95, 19)
TRACK_NAMES = {
    "double_majority": "double majority: more than half of the hits, both ways",
    "perfect": "perfect: the same hits",
    "lhc": "LHC: more than 3/4 of the track",
    "atlas_one_way": "ATLAS, one way: half of the track",
    "atlas_two_way": "ATLAS, two way: half of both",
    "trackml": "TrackML score",
    "trackml_of_tracks": "TrackML score over the hits on tracks (colliderml)",
    "fake_rate": "fake rate",
    "duplicate_rate": "duplicate rate",
}


@dataclass(frozen=True)
class Judged:
    """An event with what a network said: track (n,) of hits, score (e,) of edges, their truth."""

    event: Event
    track: np.ndarray
    score: np.ndarray
    true: np.ndarray
    senders: np.ndarray
    receivers: np.ndarray

    @property
    def particle(self) -> np.ndarray:
        """Identifiers (n,) of hits."""
        assert self.event.particle is not None
        return self.event.particle

    @property
    def identifier(self) -> np.ndarray:
        """Identifiers (p,) of particles."""
        assert self.event.identifier is not None
        return self.event.identifier


def report(judged: list[Judged], cut: float, min_pt: float, min_hits: int) -> Report:
    """The report on events with truth.

    Args:
      cut: smallest score of an edge on a track.
      min_pt: GeV, of the particles that count. min_hits: of them.
    """
    scores = _scores(judged, cut, min_pt, min_hits)
    error = np.sqrt(
        scores["double_majority"] * (1 - scores["double_majority"]) / max(scores["targets"], 1)
    )
    words = (
        f"{scores['double_majority']:.3f} ± {error:.3f} of {scores['targets']:.0f} particles above "
        f"{min_pt:g} GeV are found (double majority); {scores['fake_rate']:.3f} of the tracks are "
        f"of no particle. Edges: efficiency {scores['edge_efficiency']:.3f} of all true ones, "
        f"purity {scores['edge_purity']:.3f}."
    )
    hits = sum(len(j.event) for j in judged)
    return Report(
        "Tracks from hits", f"{len(judged):,} events, {hits:,} hits", words,
        scores | {"double_majority_error": float(error)},
        _sections(judged, scores, cut, min_pt),
        curves=(LOSS, validation("edges", ("edge_efficiency", "edge_purity"))),
    )  # fmt: skip


def of_graphs(judged: list[Judged], min_pt: float, min_hits: int) -> Report:
    """The report on graphs with truth that have no scores yet: what a stage hands on.

    Args:
      min_pt: GeV, of the particles that count. min_hits: of them.
    """
    edges = np.sum([_edge_counts(j, 0.0, min_pt, min_hits) for j in judged], axis=0)
    kept, right, found, wanted, missed = edges
    scores: dict[str, Any] = {
        "edge_efficiency": float(found / max(wanted + missed, 1)),
        "graph_purity": float(right / max(kept, 1)), "edges": float(kept / len(judged)),
        "events": len(judged), "min_pt": min_pt, "min_hits": min_hits,
    }  # fmt: skip
    words = (
        f"The graph has {scores['edge_efficiency']:.3f} of the {wanted + missed:.0f} true edges of "
        f"particles above {min_pt:g} GeV; {scores['graph_purity']:.3f} of its "
        f"{scores['edges']:,.0f} edges an event are true."
    )
    rows = [
        ("true edges that the graph has", f"{scores['edge_efficiency']:.4f}"),
        ("edges that are true", f"{scores['graph_purity']:.4f}"),
        ("edges an event", f"{scores['edges']:,.1f}"),
    ]
    hits = sum(len(j.event) for j in judged)
    return Report(
        "Graphs of hits", f"{len(judged):,} events, {hits:,} hits", words, scores,
        iter([("Scores", [page.table((f"above {min_pt:g} GeV", ""), rows)])]),
        curves=(LOSS, validation("edges", ("edge_efficiency", "edge_purity"))),
    )  # fmt: skip


def _scores(judged: list[Judged], cut: float, min_pt: float, min_hits: int) -> dict[str, Any]:
    per_event, edges = [], np.zeros(5)
    for j in judged:
        event = j.event
        target = j.identifier[event.pt >= min_pt]
        per_event.append(track_scores(j.track, j.particle, target, event.weight))
        edges += _edge_counts(j, cut, min_pt, min_hits)
    weights = {name: "tracks" if name == "fake_rate" else "targets" for name in TRACK_NAMES}
    scores: dict[str, Any] = {
        name: float(np.average([s[name] for s in per_event], weights=_at_least_one(
            [s[weights[name]] for s in per_event])))
        for name in TRACK_NAMES
    }  # fmt: skip
    kept, right, found, wanted, missed = edges
    return scores | {
        "edge_efficiency": float(found / max(wanted + missed, 1)),
        "edge_efficiency_in_graph": float(found / max(wanted, 1)),
        "edge_purity": float(right / max(kept, 1)),
        "graph_purity": float(np.mean(np.concatenate([j.true for j in judged]))),
        "tracks": sum(s["tracks"] for s in per_event),
        "targets": sum(s["targets"] for s in per_event), "events": len(judged),
        "cut": cut, "min_pt": min_pt, "min_hits": min_hits,
    }  # fmt: skip


def _at_least_one(weights: list[float]) -> list[float]:
    return weights if sum(weights) > 0 else [1.0] * len(weights)


def _signal(j: Judged, min_pt: float, min_hits: int) -> np.ndarray:
    """Hits (n,) of particles that count."""
    _, place, count = np.unique(j.particle, return_inverse=True, return_counts=True)
    hard: np.ndarray = j.event.of_hits(j.event.pt) >= min_pt
    return hard & (count[place] >= min_hits)


def _edge_counts(j: Judged, cut: float, min_pt: float, min_hits: int) -> np.ndarray:
    """Edges above the cut, right ones, found signal edges, all of them in the graph, missed."""
    signal = _signal(j, min_pt, min_hits)
    kept, of_signal = j.score >= cut, j.true & signal[j.senders]
    every = int(signal[true_pairs(j.event)[:, 0]].sum())
    return np.array([
        kept.sum(), (kept & j.true).sum(), (kept & of_signal).sum(), of_signal.sum(),
        every - of_signal.sum(),
    ], float)  # fmt: skip


def _sections(
    judged: list[Judged], scores: dict[str, Any], cut: float, min_pt: float
) -> Iterator[tuple[str, Parts]]:
    targets = f"of {scores['targets']:.0f} particles above {min_pt:g} GeV"
    rows = [(words, f"{scores[name]:.4f}") for name, words in TRACK_NAMES.items()]
    rows += [
        ("edges: efficiency, of all true ones", f"{scores['edge_efficiency']:.4f}"),
        ("edges: efficiency, of those in the graph", f"{scores['edge_efficiency_in_graph']:.4f}"),
        ("edges: purity", f"{scores['edge_purity']:.4f}"),
        ("graph: purity", f"{scores['graph_purity']:.4f}"),
    ]
    yield "Scores", [page.table((targets, ""), rows)]
    pt, eta, found = _found(judged)
    yield "Particles found", lambda: [_efficiency(pt, eta, found, min_pt)]
    yield "Edges", lambda: [_edges(judged, cut, min_pt)]
    yield "The first event", lambda: [_event(judged[0])]


def _found(judged: list[Judged]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """pt, eta, and whether found (double majority), of all particles of three hits or more."""
    parts = []
    for j in judged:
        pairs = shared(j.track, j.particle)
        both = (2 * pairs.shared > pairs.of_track) & (2 * pairs.shared > pairs.of_particle)
        both &= pairs.of_track >= 3
        names, count = np.unique(j.particle, return_counts=True)
        long = np.isin(j.identifier, names[count >= 3])
        found = np.isin(j.identifier, pairs.particle[both])
        parts.append(np.stack([j.event.pt, j.event.eta, found], axis=1)[long])
    pt, eta, found = np.concatenate(parts).T
    return pt, eta, found


def _efficiency(pt: np.ndarray, eta: np.ndarray, found: np.ndarray, min_pt: float) -> Drawing:
    figure, grid = layout.panel_grid(2, 2, [2.8])
    hard = pt >= min_pt
    cases = ((pt, found, PT_EDGES, "pT [GeV]"), (eta[hard], found[hard], ETA_EDGES, "eta"))
    for (values, right, edges, label), (axis,) in zip(cases, grid, strict=True):
        low, high = edges[:-1], edges[1:]
        which = np.digitize(values, edges) - 1
        count = np.array([(which == k).sum() for k in range(len(low))], float)
        good = np.array([right[which == k].sum() for k in range(len(low))], float)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = good / count
            error = np.sqrt(share * (1 - share) / count)
        plots.points(axis, low, high, share, error, color=plots.EDGE, fmt="o", ms=4)
        axis.set_xlabel(label)
        axis.set_ylabel("share found")
        axis.set_ylim(0, 1.08)
    grid[0][0].set_xscale("log")
    layout.head(figure, f"{len(pt):,} particles of three hits or more")
    return Drawing(
        "efficiency", "Particles found",
        f"Double majority, by transverse momentum, and by pseudorapidity above {min_pt:g} GeV.",
        figure,
    )  # fmt: skip


def _edges(judged: list[Judged], cut: float, min_pt: float) -> Drawing:
    signal = [j.true & (j.event.of_hits(j.event.pt) >= min_pt)[j.senders] for j in judged]
    score, true = (np.concatenate(x) for x in ([j.score for j in judged], [j.true for j in judged]))
    wanted = np.concatenate(signal)
    found = [edge_scores(score, true, wanted, 0, c) for c in CUTS]
    curves = [
        ("efficiency in the graph", CUTS, np.array([f["efficiency_in_graph"] for f in found])),
        ("purity", CUTS, np.array([f["purity"] for f in found])),
    ]
    figure = plots.lines(
        [("", curves, "linear")], "smallest score", f"{len(score):,} edges", marked=cut
    )
    return Drawing("edges", "Edges by score", "The dashed line is the cut of the tracks.", figure)


def _event(j: Judged) -> Drawing:
    figure, grid = layout.panel_grid(2, 2, [3.6])
    x, y, z = j.event.xyz.T
    r = np.hypot(x, y)
    on = j.track >= 0
    for (axis,), (a, b), (la, lb) in zip(
        grid, ((x, y), (z, r)), (("x [mm]", "y [mm]"), ("z [mm]", "r [mm]")), strict=True
    ):
        axis.scatter(a[~on], b[~on], s=1, color="0.75", rasterized=True)
        axis.scatter(a[on], b[on], s=2.5, c=(j.track[on] * 7) % 20, cmap="tab20", rasterized=True)
        axis.set_xlabel(la)
        axis.set_ylabel(lb)
    grid[0][0].set_aspect("equal", adjustable="datalim")
    layout.head(figure, f"{len(x):,} hits, {len(np.unique(j.track[on])):,} tracks")
    return Drawing(
        "event", "Hits on tracks",
        "One colour a track, in the transverse plane and along the beam; grey: on none.", figure,
    )  # fmt: skip
