"""What a trained network gives: scores of edges or points of hits, tracks of them, the report."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.engine.inference import HostBatch
from hepjax.engine.progress import progress
from hepjax.engine.workload import (
    About,
    Answer,
    Batch,
    Field,
    Model,
    Range,
    Ranges,
    Scores,
    Spec,
)
from hepjax.formats.source import Source
from hepjax.formats.tracking.detector import REACH, SURFACES
from hepjax.formats.tracking.event import Event
from hepjax.physics.tracking.graph import near, of_pairs
from hepjax.physics.tracking.tracks import tracks
from hepjax.workloads.tracking import condensation, objective
from hepjax.workloads.tracking.config import TrackingConfig
from hepjax.workloads.tracking.data import graphs
from hepjax.workloads.tracking.objective import State

BATCH = 4


def inputs(cfg: TrackingConfig) -> Spec:
    """Hits and the edges between them, from one hit to another."""
    hits, edges = ("hits",), ("edges",)
    return Spec((
        Field("xyz", (None, 3), "float32", "mm", hits),
        Field("surface", (None,), "int32", axes=hits),
        Field("senders", (None,), "int32", axes=edges),
        Field("receivers", (None,), "int32", axes=edges),
    ))  # fmt: skip


def ranges(cfg: TrackingConfig) -> Ranges:
    """Of hits within the detector."""
    radius, along = REACH
    far = max(radius, along)
    return {"xyz": Range(-far, far, "mm"), "surface": Range(0, len(SURFACES) - 1, "1")}


def outputs(cfg: TrackingConfig) -> Answer:
    """The score of each edge, 0 to 1; or of each hit its point, and its weight ``beta``."""
    point = Field("point", (None, cfg.model.dimensions), "float32", axes=("hits",))
    fields = {
        "embedding": (point,),
        "condensation": (Field("beta", (None,), "float32", axes=("hits",)), point),
    }
    score = (Field("score", (None,), "float32", axes=("edges",)),)
    return Answer("table", Spec(fields.get(cfg.model.kind, score)), BATCH)


def infer(cfg: TrackingConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """What ``outputs`` lists."""
    found = objective.found(cfg, objective.trained(cfg, state), inputs).astype(jnp.float32)
    if cfg.model.kind == "embedding":
        return {"point": found}
    if cfg.model.kind == "condensation":
        beta, point = condensation.split(found)
        return {"beta": beta, "point": point}
    return {"score": jax.nn.sigmoid(found)}


def rows(
    cfg: TrackingConfig, events: HostBatch, answers: HostBatch, first: int
) -> dict[str, np.ndarray]:
    """One row a hit: ``event``, ``hit`` (from 0 on, in the order of the file), ``x``, ``y``, ``z``
    in mm, and ``track``, the number of its track in the event, -1 for none. Of an embedding
    ``point0``, ``point1``, ... instead of it."""
    columns: dict[str, list[np.ndarray]] = {}
    for row in range(len(events["hits"])):
        n = int(events["hits"][row])
        made = {
            "event": np.full(n, first + row), "hit": np.arange(n, dtype=np.int32),
            **{axis: events["xyz"][row, :n, k] for k, axis in enumerate("xyz")},
        }  # fmt: skip
        if cfg.model.kind == "embedding":
            points = _finite("point", answers["point"][row, :n])
            made |= {f"point{k}": axis for k, axis in enumerate(points.T)}
        else:
            made["track"] = tracks_of(cfg, events, answers, row)
        for name, values in made.items():
            columns.setdefault(name, []).append(values)
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise InputError(
            f"{name}: expected finite numbers, found {np.count_nonzero(~np.isfinite(values))} of "
            f"{values.size} others; use another checkpoint (--step)"
        )
    return values


def tracks_of(cfg: TrackingConfig, events: HostBatch, answers: HostBatch, row: int) -> np.ndarray:
    """The track of each hit of an event of a batch.

    Raises:
      InputError: scores that are not finite.
    """
    n, e = int(events["hits"][row]), int(events["edges"][row])
    if cfg.model.kind == "condensation":
        beta, points = (_finite(k, answers[k][row, :n]) for k in ("beta", "point"))
        return condensation.tracks(beta, points, cfg.tracks.cut, cfg.model.radius)
    score = _finite("score", answers["score"][row, :e])
    ends = events["senders"][row, :e], events["receivers"][row, :e]
    return tracks(n, *ends, score, cfg.tracks.cut, cfg.tracks.how, cfg.tracks.add)


def evaluate(
    cfg: TrackingConfig, model: Model[TrackingConfig, State], source: Source, out: Path,
    about: About,
) -> Scores:  # fmt: skip
    """Report on the edges and tracks of the events of ``source``; return the scores.

    Raises:
      InputError: events without truth.
    """
    from hepjax.physics.tracking import report
    from hepjax.report.document import check_folder, write_report

    check_folder(out)
    known, found = graphs(source), []
    judge = _graph if cfg.model.kind == "embedding" else _judged
    with progress("predict", len(source), "events", quiet=model.quiet) as advance:
        for events, answers in model.over(source, BATCH, advance=advance):
            for row in range(len(events["hits"])):
                number = int(events["event"][row])
                event = known.event(number)
                if event.particle is None or event.identifier is None:
                    raise InputError(
                        f"{known.files[number]}: expected the tables truth and particles beside it "
                        "to judge the run on, found none; hepjax predict needs none"
                    )
                found.append(judge(cfg, event, events, answers, row))
    min_pt, min_hits = cfg.objective.min_pt, cfg.objective.min_hits
    made = (
        report.of_graphs(found, min_pt, min_hits) if cfg.model.kind == "embedding"
        else report.report(found, cfg.tracks.cut, min_pt, min_hits)
    )  # fmt: skip
    return write_report(made, out, **about._asdict())


def _graph(
    cfg: TrackingConfig, event: Event, events: HostBatch, answers: HostBatch, row: int
) -> Any:
    """The graph that an embedding gives the next stage, as a judged one without scores."""
    from hepjax.physics.tracking.report import Judged

    points = _finite("point", answers["point"][row, : len(event)])
    graph = of_pairs(event, near(event, points, cfg.model.radius))
    ones, none = np.ones(len(graph.senders), np.float32), np.full(len(event), -1)
    return Judged(event, none, ones, graph.true, graph.senders, graph.receivers)


def _judged(
    cfg: TrackingConfig, event: Event, events: HostBatch, answers: HostBatch, row: int
) -> Any:
    from hepjax.physics.tracking.report import Judged

    e = int(events["edges"][row])
    track = tracks_of(cfg, events, answers, row)
    a, b = events["senders"][row, :e], events["receivers"][row, :e]
    joined = ((track[a] == track[b]) & (track[a] >= 0)).astype(np.float32)
    score = joined if cfg.model.kind == "condensation" else answers["score"][row, :e]
    return Judged(event, track, score, events["true"][row, :e], a, b)
