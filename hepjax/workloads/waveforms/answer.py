"""What a trained autoencoder gives: chi2 and divergence of each pulse, and the report on them."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.engine.progress import progress
from hepjax.engine.workload import About, Answer, Batch, Field, Model, Scores, Spec
from hepjax.formats.notes import note
from hepjax.formats.source import Source
from hepjax.formats.waveforms.layout import KINDS, TRUTH, WAVEFORM
from hepjax.physics.waveforms.scores import BY_AREA
from hepjax.workloads.waveforms import objective, single_pass
from hepjax.workloads.waveforms.config import WaveformsConfig
from hepjax.workloads.waveforms.data import meaning_of, the_set
from hepjax.workloads.waveforms.objective import State

BATCH = 1024


def inputs(cfg: WaveformsConfig) -> Spec:
    """Waveforms in photoelectrons."""
    return Spec((Field(WAVEFORM, (cfg.data.samples,), "float32", "photoelectrons"),))


def outputs(cfg: WaveformsConfig) -> Answer:
    """Scores of deviation, ``kl`` in nats, ``area`` in photoelectrons."""
    scores = (Field(name, (), "float32") for name in (*BY_AREA, "kl"))
    area = Field("area", (), "float32", "photoelectrons")
    return Answer("table", Spec((*scores, area)), BATCH)


def infer(cfg: WaveformsConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """Scores (n,) of pulses, see ``objective.scores``."""
    return objective.scores(cfg, objective.trained(cfg, state), inputs[WAVEFORM])


def evaluate(
    cfg: WaveformsConfig, model: Model[WaveformsConfig, State], source: Source, out: Path,
    about: About,
) -> Scores:  # fmt: skip
    """Report on the pulses of ``source``; return the scores.

    Raises:
      InputError: fewer than 200 normal pulses, or scores that are not finite.
    """
    from hepjax.physics.waveforms.judged import Judged
    from hepjax.physics.waveforms.report import report
    from hepjax.report.document import check_folder, write_report

    check_folder(out)
    events, found = [], []
    with progress("predict", len(source), "pulses", quiet=model.quiet) as advance:
        for raw, answers in model.over(source, BATCH, advance=advance):
            n = len(answers["chi2"])
            events.append({name: values[:n] for name, values in raw.items()})
            found.append(answers)
    fields = {name: np.concatenate([e[name] for e in events]) for name in events[0]}
    scores = {name: np.concatenate([f[name] for f in found]) for name in found[0]}
    if not all(np.isfinite(values).all() for values in scores.values()):
        raise InputError(
            "scores: expected finite numbers, found others; use another checkpoint (--step)"
        )
    waveform = fields[WAVEFORM].astype(np.float32) * meaning_of(source).scale
    kind = fields.get(TRUTH, np.zeros(len(waveform), np.int8))
    examples = _examples(kind)
    with jax.set_mesh(model.placed.mesh):
        drawn, _ = jax.jit(objective.reconstructed, static_argnums=0)(
            cfg, objective.trained(cfg, model.placed.state), jnp.asarray(waveform[examples])
        )
    judged = Judged(
        waveform, kind, scores, examples, np.asarray(drawn), fields if "ratio" in fields else None,
    )  # fmt: skip
    made = report(
        judged, cfg.objective.excess, cfg.objective.noise, cfg.model.latent, _pass(cfg, model)
    )
    return write_report(made, out, **about._asdict())


def _examples(kind: np.ndarray) -> np.ndarray:
    """One pulse of each kind that is there."""
    return np.array([np.flatnonzero(kind == k)[0] for k in range(len(KINDS)) if (kind == k).any()])


def _pass(cfg: WaveformsConfig, model: Model[WaveformsConfig, State]) -> dict[str, object] | None:
    """Coverage, quantiles and drift of a single pass."""
    seen = model.placed.state.seen
    if seen is None:
        return None
    try:
        found = the_set(cfg)
    except InputError as error:
        note(f"{error}; the report leaves out what the pass has covered")
        return None
    seen = jax.device_get(seen)
    events = np.array([shard.events for shard in found.shards], np.int64)
    sizes = np.array([shard.bytes for shard in found.shards], np.int64)
    total = np.asarray(seen.scores, np.int64).sum(0)
    return {
        **single_pass.coverage(seen, events, sizes),
        "quantiles": {
            str(above): float(single_pass.quantile(total, above))
            for above in (0.5, 0.1, 0.01, 0.001)
        },
        "drift": single_pass.drift(seen),
    }
