"""What a trained network gives: the score of each edge, the tracks made of them, the report."""

from pathlib import Path

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
from hepjax.physics.tracking.tracks import tracks
from hepjax.workloads.tracking import objective
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
    """The score of each edge, 0 to 1."""
    return Answer("table", Spec((Field("score", (None,), "float32", axes=("edges",)),)), BATCH)


def infer(cfg: TrackingConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """``score`` (n, E) of edges, 0 to 1."""
    found = objective.logits(cfg, objective.trained(cfg, state), inputs)
    return {"score": jax.nn.sigmoid(found.astype(jnp.float32))}


def rows(
    cfg: TrackingConfig, events: HostBatch, answers: HostBatch, first: int
) -> dict[str, np.ndarray]:
    """One row a hit: ``event``, ``hit`` (from 0 on, in the order of the file), ``x``, ``y``, ``z``
    in mm, and ``track``, the number of its track in the event, -1 for none."""
    columns: dict[str, list[np.ndarray]] = {}
    for row in range(len(answers["score"])):
        n = int(events["hits"][row])
        made = {
            "event": np.full(n, first + row), "hit": np.arange(n, dtype=np.int32),
            **{axis: events["xyz"][row, :n, k] for k, axis in enumerate("xyz")},
            "track": tracks_of(cfg, events, answers, row),
        }  # fmt: skip
        for name, values in made.items():
            columns.setdefault(name, []).append(values)
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def tracks_of(cfg: TrackingConfig, events: HostBatch, answers: HostBatch, row: int) -> np.ndarray:
    """The track of each hit of an event of a batch.

    Raises:
      InputError: scores that are not finite.
    """
    n, e = int(events["hits"][row]), int(events["edges"][row])
    score = answers["score"][row, :e]
    if not np.isfinite(score).all():
        raise InputError(
            f"score: expected finite numbers, found {np.count_nonzero(~np.isfinite(score))} of "
            f"{e} edges with others; use another checkpoint (--step)"
        )
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
    from hepjax.physics.tracking.report import Judged, report
    from hepjax.report.document import check_folder, write_report

    check_folder(out)
    known, judged = graphs(source), []
    with progress("predict", len(source), "events", quiet=model.quiet) as advance:
        for events, answers in model.over(source, BATCH, advance=advance):
            for row in range(len(answers["score"])):
                event = known.event(int(events["event"][row]))
                if event.particle is None or event.identifier is None:
                    raise InputError(
                        f"{known.files[int(events['event'][row])]}: expected the tables truth and "
                        "particles beside it to judge the run on, found none; hepjax predict needs "
                        "none"
                    )
                e = int(events["edges"][row])
                judged.append(Judged(
                    event, tracks_of(cfg, events, answers, row), answers["score"][row, :e],
                    events["true"][row, :e], events["senders"][row, :e],
                    events["receivers"][row, :e],
                ))  # fmt: skip
    found = report(judged, cfg.tracks.cut, cfg.objective.min_pt, cfg.objective.min_hits)
    return write_report(found, out, **about._asdict())
