"""What is computed on the validation events after each epoch, network by network."""

from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine.workload import Batch, Metrics
from hepjax.workloads.trigger import objective
from hepjax.workloads.trigger.config import TriggerConfig
from hepjax.workloads.trigger.objective import State

SCORE = "objective"


def eval_step(cfg: TriggerConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums over a batch, of each network: (members,)."""

    def one(state: State, params: Any) -> Metrics:
        mask = batch["mask"]
        x = objective.standardised(state, batch["inputs"], batch["there"])
        sums, cost, overflow = objective.outputs(cfg, state, params, x, state.share)
        terms = objective.losses(cfg, params, sums, batch | {"x": x}, None)
        right = sums.argmax(axis=-1) == batch["label"]
        return {
            "loss": (terms * mask).sum(), "ebops": cost * mask.sum(),
            "overflow": (overflow * mask).sum(), "right": (right * mask).sum(),
            "events": mask.sum(),
        }  # fmt: skip

    found = jax.vmap(one)(state, objective.trained(cfg, state))
    return {name: jnp.asarray(values, jnp.float32) for name, values in found.items()}


def summarise(cfg: TriggerConfig, sums: dict[str, Any]) -> dict[str, Any]:
    """Of each network: loss, EBOPs, values beyond their grids an event, accuracy of classes; and
    the objective, loss and weighted cost, by which the best epoch is chosen."""
    rows: dict[str, list[float]] = {}
    for member, cost in enumerate(cfg.curve.costs):
        s = {name: float(values[member]) for name, values in sums.items()}
        events = max(s["events"], 1.0)
        found = {name: s[name] / events for name in ("loss", "ebops", "overflow")}
        found[SCORE] = found["loss"] + cost * found["ebops"]
        if not cfg.task.anomaly:
            found["accuracy"] = s["right"] / events
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    return {name: values if cfg.members > 1 else values[0] for name, values in rows.items()}
