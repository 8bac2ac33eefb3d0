"""What a trained MLPF gives: a candidate for each detector element, in tables and in the report."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.engine.inference import HostBatch
from hepjax.engine.progress import progress
from hepjax.engine.workload import About, Answer, Batch, Field, Model, Scores, Spec
from hepjax.formats.particleflow.columns import (
    ARRAYS,
    CHARGED,
    IDENTIFIERS,
    Particle,
)
from hepjax.formats.source import Source
from hepjax.physics.particleflow import metrics
from hepjax.workloads.mlpf import objective
from hepjax.workloads.mlpf.config import MLPFConfig
from hepjax.workloads.mlpf.objective import State

BATCH = 8
"""Events at a time and at most: one may have 6,400 elements, 60 MB of activations each."""


def inputs(cfg: MLPFConfig) -> Spec:
    """Elements of an event (formats/particleflow/columns.py), and which slots hold one."""
    fields = (Field("X", (None, ARRAYS["X"]), "float32"), Field("elements", (None,), "bool"))
    return Spec(fields, (("whole", cfg.model.bin_size),))


def outputs(cfg: MLPFConfig) -> Answer:
    """A candidate for each element (columns of the truth), and the probability of each class."""
    probability = Field("probability", (None, len(IDENTIFIERS)), "float32")
    spec = Spec((Field("candidates", (None, len(Particle)), "float32"), probability))
    return Answer("table", spec, BATCH, _lengths(cfg))


def _lengths(cfg: MLPFConfig) -> tuple[int, ...]:
    """Lengths to which a server pads events: whole bins, each a quarter longer or one bin.

    With ``published_slips`` the padding changes the answers; it is then that of the training.
    """
    bin_size, longest = cfg.model.bin_size, cfg.data.buckets[-1]
    if cfg.model.published_slips or longest <= bin_size:
        return cfg.data.buckets
    lengths = [bin_size]
    while lengths[-1] < longest:
        bins = max(1, lengths[-1] // (4 * bin_size))
        lengths.append(min(lengths[-1] + bins * bin_size, longest))
    return tuple(lengths)


def infer(cfg: MLPFConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """The candidate of each element.

    Returns:
      ``candidates`` (n, i, 7): class, charge, pt, eta, sin phi, cos phi, energy (GeV), zeros for
      class 0 and behind the elements; ``probability`` (n, i, 6) of each class, 0 behind them.
      The charge is the sign of the regressed one, of charged classes only; (sin, cos) has length 1.
    """
    out = objective.answer(cfg, state, inputs)
    label = jnp.argmax(out["logits"], axis=-1)
    charged = jnp.isin(label, jnp.array(CHARGED))
    charge = jnp.where(charged, jnp.where(out["charge"] < 0, -1.0, 1.0), 0.0)
    length = jnp.maximum(jnp.hypot(out["sin_phi"], out["cos_phi"]), 1e-6)
    pt, energy = (jnp.maximum(out[k], 0.0) for k in ("pt", "energy"))
    columns = [
        label, charge, pt, out["eta"], out["sin_phi"] / length, out["cos_phi"] / length, energy,
    ]  # fmt: skip
    candidates = jnp.stack(columns, axis=-1)
    probability = jax.nn.softmax(out["logits"])
    return {
        "candidates": jnp.where((label != 0)[..., None], candidates, 0.0),
        "probability": jnp.where(inputs["elements"][..., None], probability, 0.0),
    }


def rows(
    cfg: MLPFConfig, events: HostBatch, answers: HostBatch, first: int
) -> dict[str, np.ndarray]:
    """One row a detector element, in the order of the files.

    Columns: ``event`` and ``element`` (from 0 on, in the event); ``class`` (id, the most probable),
    ``charge``, ``pt`` and ``energy`` (GeV), ``eta``, ``phi`` (radians), 0 without a particle;
    ``probability_<class>``.

    Raises:
      InputError: candidates that are not finite.
    """
    inside = _elements(events, answers)
    event, element = np.nonzero(inside)
    found, probability = (answers[name][inside] for name in ("candidates", "probability"))
    column = {name.name.lower(): found[:, name] for name in Particle}
    chances = {f"probability_{name}": probability[:, k] for k, name in enumerate(IDENTIFIERS)}
    return {
        "event": first + event, "element": element.astype(np.int32),
        "class": column["class"].astype(np.int8), "charge": column["charge"].astype(np.int8),
        "pt": column["pt"], "eta": column["eta"], "phi": metrics.phi(found),
        "energy": column["energy"],
    } | chances  # fmt: skip


def evaluate(
    cfg: MLPFConfig, model: Model[MLPFConfig, State], source: Source, out: Path, about: About
) -> Scores:
    """Report on the candidates of the events of ``source``; return its scores. Nothing is random.

    Elements of all events are kept in memory, 112 bytes each.

    Raises:
      InputError: candidates that are not finite.
    """
    from hepjax.physics.particleflow.report import Sample, report
    from hepjax.report.document import check_folder, write_report

    check_folder(out)
    parts: dict[str, list[np.ndarray]] = {}
    for start, events, answers, inside in _answers(model, source):
        made = {
            "event": start + np.nonzero(inside)[0].astype(np.int32),
            "truth": events["ygen"][inside], "rule_based": events["ycand"][inside],
            "mlpf": answers["candidates"][inside], "probability": answers["probability"][inside],
        }  # fmt: skip
        for name, values in made.items():
            parts.setdefault(name, []).append(values)
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    if not joined["truth"][:, Particle.CLASS].any():
        raise InputError(
            "data: expected events with target particles to judge the run by, found none; hepjax "
            "predict needs none"
        )
    sample, bar = Sample(events=len(source), **joined), partial(progress, quiet=model.quiet)
    return write_report(report(sample, bar), out, **about._asdict())


def _answers(
    model: Model[MLPFConfig, State], source: Source
) -> Iterator[tuple[int, HostBatch, HostBatch, np.ndarray]]:
    """Number of the first event, events, answers, and which slots are elements."""
    start = 0
    with progress("predict", len(source), "events", quiet=model.quiet) as advance:
        for events, answers in model.over(source, BATCH, advance=advance):
            inside = _elements(events, answers)
            yield start, events, answers, inside
            start += len(inside)


def _elements(events: HostBatch, answers: HostBatch) -> np.ndarray:
    """Which slots (n, i) are elements; their candidates are finite.

    Raises:
      InputError: they are not.
    """
    inside: np.ndarray = np.arange(events["X"].shape[1]) < events["n"][:, None]
    for name in ("candidates", "probability"):
        bad = np.count_nonzero(~np.isfinite(answers[name][inside]).all(-1))
        if bad:
            raise InputError(
                f"{name}: expected finite numbers, found {bad} of {inside.sum()} elements with "
                "others; use another checkpoint (--step) or look for the cause in the events"
            )
    return inside
