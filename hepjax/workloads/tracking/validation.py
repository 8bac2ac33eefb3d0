"""What is computed on the validation events after each epoch: loss, efficiency, purity of edges."""

from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine.workload import Batch, Metrics
from hepjax.workloads.tracking import objective
from hepjax.workloads.tracking.config import TrackingConfig
from hepjax.workloads.tracking.objective import State

SCORE = "loss"


def eval_step(cfg: TrackingConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums over a batch."""
    events = batch["mask"]
    terms, found = objective.losses(cfg, objective.trained(cfg, state), batch)
    weight = objective.weights(cfg, batch) * events[:, None]
    kept = (jax.nn.sigmoid(found) >= cfg.tracks.cut) & batch["edge"]
    true, signal = batch["true"] & batch["edge"], batch["signal"] & batch["edge"]
    counts = {
        "kept": kept, "right": kept & true, "found": kept & signal, "wanted": signal,
    }  # fmt: skip
    sums = {name: (flags * events[:, None]).sum() for name, flags in counts.items()}
    return sums | {
        "loss": (weight * terms).sum(), "weight": weight.sum(),
        "missed": jnp.sum(batch["missed"] * events),
    }  # fmt: skip


def summarise(cfg: TrackingConfig, sums: dict[str, Any]) -> dict[str, float]:
    """Loss; efficiency of edges on particles that count, of all and of those in the graph; purity,
    for which softer particles are right too. At the cut ``tracks.cut``."""

    def share(part: float, whole: float) -> float:
        return part / max(whole, 1.0)

    s = {name: float(value) for name, value in sums.items()}
    return {
        SCORE: s["loss"] / max(s["weight"], 1e-9),
        "edge_efficiency": share(s["found"], s["wanted"] + s["missed"]),
        "edge_efficiency_in_graph": share(s["found"], s["wanted"]),
        "edge_purity": share(s["right"], s["kept"]),
    }
