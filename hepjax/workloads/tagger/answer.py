"""What a trained tagger says of events: scores, where it looks, and the report on both."""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy.special import expit

from hepjax import InputError
from hepjax.engine.inference import HostBatch
from hepjax.engine.progress import progress
from hepjax.engine.workload import About, Answer, Batch, Field, Model, Scores, Spec
from hepjax.formats.source import Source
from hepjax.physics.jets import baselines
from hepjax.physics.jets.images import absolute_sums, planes
from hepjax.physics.jets.saliency import saliency
from hepjax.workloads.tagger.config import TaggerConfig
from hepjax.workloads.tagger.objective import State, logits, normalise, prepare
from hepjax.workloads.tagger.source import JetSource

BATCH = 256
IMAGE_FIELDS = ("cell", "value")
SALIENCY_EVENTS, SALIENCY_BATCH = 1024, 64
"""Events whose saliency is averaged; the mean hardly changes with more."""


def spec(cfg: TaggerConfig, source: Source) -> Spec:
    """Sparse images, and the coarsening of each channel.

    Raises:
      InputError: a source of something else.
    """
    if not (grid := _jets(source).grid).names:
        raise InputError("data.channels: expected at least one channel, found none")
    fields = (Field("cell", (None,), "int32"), Field("value", (None,), "float32"))
    return Spec(fields, (("coarsenings", tuple(c.coarsening for c in grid.channels)),))


def _jets(source: Any) -> JetSource:
    """The events of a tagger behind a part of them."""
    return source if isinstance(source, JetSource) else _jets(source.source)


def inputs(cfg: TaggerConfig) -> Spec:
    """Dense images in the units of the files, channels in the order of ``data.channels``."""
    return Spec((Field("image", (*cfg.data.shape, len(cfg.data.names)), "float32"),))


def outputs(cfg: TaggerConfig) -> Answer:
    """Log-odds of the signal."""
    return Answer("table", Spec((Field("log_odds", (), "float32"),)))


def infer(cfg: TaggerConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """Log-odds (n,) of the signal."""
    return {"log_odds": logits(cfg, state, normalise(cfg.data, inputs["image"]))[:, -1]}


def score(log_odds: np.ndarray) -> np.ndarray:
    """Scores float64 from 0 (background) to 1 (signal).

    The sigmoid is taken in double precision: in single the surest events would all score 1.

    Raises:
      InputError: log-odds that are not finite.
    """
    bad = np.count_nonzero(~np.isfinite(log_odds))
    if bad:
        raise InputError(
            f"score: expected finite numbers, found {bad} of {len(log_odds)} that are not; "
            "use another checkpoint (--step) or look for the cause in the events"
        )
    return np.asarray(expit(np.asarray(log_odds, np.float64)))


def rows(
    cfg: TaggerConfig, events: HostBatch, answers: HostBatch, first: int
) -> dict[str, np.ndarray]:
    """One row an event: ``score``, ``index``, and its columns."""
    made = {"score": score(answers["log_odds"])}
    made["index"] = first + np.arange(len(made["score"]))
    idle = {*IMAGE_FIELDS, "weight", *made}
    return made | {name: values for name, values in events.items() if name not in idle}


def evaluate(
    cfg: TaggerConfig, model: Model[TaggerConfig, State], source: Source, out: Path, about: About
) -> Scores:
    """Report on the scores of the events of ``source``; return them. Nothing in it is random.

    Raises:
      InputError: no labels, a class without events, or scores that are not finite.
    """
    from hepjax.physics.jets.report import Sample, report
    from hepjax.report.document import check_folder, write_report

    check_folder(out)
    jets = _jets(source)
    data = about.provenance.get("data")
    name = data[0] if isinstance(data, list) else "data"
    if "label" not in jets.columns:
        raise InputError(
            f"{name}: expected labelled events to judge "
            "the run on, found no column y or label; hepjax predict needs none"
        )
    scores: list[np.ndarray] = []
    columns: dict[str, list[np.ndarray]] = {}
    sums, count = np.zeros((2, jets.grid.size)), np.zeros(2)
    with progress("predict", len(source), "events", quiet=model.quiet) as advance:
        for events, answers in model.over(source, BATCH, advance=advance):
            labels = np.unique(events["label"])
            if not np.isin(labels, (0, 1)).all():
                raise InputError(
                    f"{name}: expected events with labels 0 (background) and 1 (signal), found "
                    f"{', '.join(map(str, labels[:5]))}; judge it on events of these two classes"
                )
            scores.append(score(answers["log_odds"]))
            cell, value, label = (events[name] for name in ("cell", "value", "label"))
            numbers = baselines.from_cells(jets.grid, cell, value)
            own = {name: a for name, a in events.items() if name not in IMAGE_FIELDS}
            for name, values in (own | {("", k): v for k, v in numbers.items()}).items():
                columns.setdefault(name, []).append(values)  # type: ignore[arg-type]
            sums += absolute_sums(jets.grid, cell, value, label, 2)
            count += np.bincount(label, minlength=2)
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    of_cells = {name[1]: values for name, values in joined.items() if isinstance(name, tuple)}
    means = sums / np.maximum(count, 1)[:, None]
    sample = Sample(
        score=np.concatenate(scores), label=joined["label"], classes=cfg.data.labels,
        baselines=baselines.from_columns(joined) | of_cells, pt=joined.get("pt"), grid=jets.grid,
        images=[planes(jets.grid, mean) for mean in means],
        saliency=mean_saliency(cfg, model, source) if about.figures else None,
    )  # fmt: skip
    return write_report(report(sample), out, **about._asdict())


@functools.lru_cache(maxsize=4)
def _saliency(cfg: TaggerConfig, spec: Spec) -> Any:
    """A function of state and raw events: |d log-odds / d pixel|, the pixel as normalised."""

    def maps(state: State, raw: Batch, keys: jax.Array) -> Batch:
        image = normalise(cfg.data, prepare(cfg, spec, raw)["image"])
        return {"maps": saliency(lambda x: logits(cfg, state, x)[:, -1], image)}

    return maps


def mean_saliency(
    cfg: TaggerConfig, model: Model[TaggerConfig, State], source: Source
) -> list[list[np.ndarray]]:
    """Mean saliency over the first events: for classes 0 and 1 and each channel (eta, phi)."""
    total, events = np.zeros((2, *cfg.data.shape, len(cfg.data.names))), np.zeros(2)
    wanted = min(len(source), SALIENCY_EVENTS)
    function = _saliency(cfg, spec(cfg, source))
    with progress("saliency", wanted, "events", quiet=model.quiet) as advance:
        for raw, answer in model.placed.over(
            function, source, SALIENCY_BATCH, stop=wanted, advance=advance
        ):
            for label in (0, 1):
                total[label] += answer["maps"][raw["label"] == label].sum(0, dtype=np.float64)
            events += np.bincount(raw["label"], minlength=2)
    means = total / np.maximum(events, 1)[:, None, None, None]
    return [list(np.moveaxis(mean, -1, 0)) for mean in means]
