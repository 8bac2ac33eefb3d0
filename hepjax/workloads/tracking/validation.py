"""What is computed on the validation events after each epoch: loss, efficiency, purity of edges."""

from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine.workload import Batch, Metrics
from hepjax.workloads.tracking import embedding, objective
from hepjax.workloads.tracking.config import TrackingConfig
from hepjax.workloads.tracking.objective import State

SCORE = "loss"


def eval_step(cfg: TrackingConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums over a batch."""
    events = batch["mask"]
    loss, made = objective.losses(cfg, objective.trained(cfg, state), batch, key)
    sums = {"loss": loss, "weight": objective.terms(cfg, batch)}
    if cfg.model.kind == "embedding":
        sums |= embedding.counts(cfg, made, batch, key)
    elif cfg.model.kind != "condensation":
        kept = (jax.nn.sigmoid(made) >= cfg.tracks.cut) & batch["edge"]
        true, signal = batch["true"] & batch["edge"], batch["signal"] & batch["edge"]
        flags = {"kept": kept, "right": kept & true, "found": kept & signal, "wanted": signal}
        sums |= {name: flag.sum(1) for name, flag in flags.items()} | {"missed": batch["missed"]}
    return {name: jnp.sum(values * events) for name, values in sums.items()}


def summarise(cfg: TrackingConfig, sums: dict[str, Any]) -> dict[str, float]:
    """Loss; efficiency of edges on particles that count, of all and of those in the graph; purity,
    for which softer particles are right too. At the cut ``tracks.cut``; of an embedding, those of
    pairs within its radius. A condensation has a loss only."""

    def share(part: float, whole: float) -> float:
        return part / max(whole, 1.0)

    s = {name: float(value) for name, value in sums.items()}
    scores = {SCORE: s["loss"] / max(s["weight"], 1e-9)}
    if "kept" not in s:
        return scores
    if "missed" in s:
        scores["edge_efficiency_in_graph"] = share(s["found"], s["wanted"])
    return scores | {
        "edge_efficiency": share(s["found"], s["wanted"] + s.get("missed", 0.0)),
        "edge_purity": share(s["right"], s["kept"]),
    }
