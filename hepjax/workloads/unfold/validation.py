"""What is computed on held-out events after each epoch: how far the unfolding is, and its weights.

The score is the number of epochs to go, so that the last checkpoint is the one that answers.
"""

from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine.workload import Batch, Metrics
from hepjax.workloads.unfold.config import UnfoldConfig
from hepjax.workloads.unfold.objective import log_push, of_members
from hepjax.workloads.unfold.state import State

SCORE = "epochs_left"


def eval_step(cfg: UnfoldConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums over simulated events of a batch: weights before and after, and their squares."""
    done = jnp.array([cfg.trainings[: k + 1].count("gen") for k in range(len(cfg.trainings))])
    # Of the training at hand its best networks until now count.
    iterations = done[jnp.maximum(state.training[0], 0)]
    weight = batch["simulation_weight"] * batch["simulation_pass_gen"] * batch["mask"]
    pushed = weight * jnp.exp(log_push(cfg, state, iterations, batch))
    count = batch["mask"].sum() * jnp.ones(len(state.number))
    return of_members(cfg, {
        "count": count, "looks": count * state.looks, "before": weight.sum() * count**0,
        "after": pushed.sum(axis=1), "squares": (pushed**2).sum(axis=1),
    })  # fmt: skip


def summarise(cfg: UnfoldConfig, sums: dict[str, Any]) -> dict[str, Any]:
    """Epochs to go; the mean weight that an event gets, and the effective share of events."""
    s = {name: jnp.asarray(value) for name, value in sums.items()}
    total = len(cfg.trainings) * cfg.unfold.epochs
    found = {
        SCORE: total - s["looks"] / s["count"],
        "mean_weight": s["after"] / jnp.maximum(s["before"], 1e-20),
        "effective_share": s["after"] ** 2 / jnp.maximum(s["squares"] * s["count"], 1e-20),
    }
    return {name: value.tolist() for name, value in found.items()}
