"""What is computed on held-out events after each epoch: the mean loss of all ratios."""

from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine import optimizers
from hepjax.engine.workload import Batch, Metrics
from hepjax.workloads.nsbi.config import NsbiConfig
from hepjax.workloads.nsbi.objective import State, classes, of_members, terms

SCORE = "loss"


def eval_step(cfg: NsbiConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums over the events of a batch: losses and weights (tasks,) of each member."""
    x, one, zero = classes(cfg, state, batch, bootstrap=False)
    mask = jnp.tile(batch["mask"], 2)
    one, zero = one * mask, zero * mask

    def of_network(mean: Any, width: Any, x: Any, one: Any, zero: Any, p: Any, o: Any) -> jax.Array:
        trained = optimizers.trained(cfg.optimizer, o, p)
        return terms(cfg, mean, width, trained, x, one, zero).sum()

    of_member = jax.vmap(of_network, in_axes=(None, None, 0, 0, 0, 0, 0))
    losses = jax.vmap(of_member, in_axes=(0, 0, None, 0, 0, 0, 0))(
        state.mean, state.width, x, one, zero, state.params, state.optimizer
    )
    return of_members(cfg, {"losses": losses, "weights": (one + zero).sum(axis=2)})


def summarise(cfg: NsbiConfig, sums: dict[str, Any]) -> dict[str, Any]:
    """The mean over all ratios of the cross-entropy; ln 2 is that of equal densities."""
    found = jnp.asarray(sums["losses"]) / jnp.maximum(jnp.asarray(sums["weights"]), 1e-20)
    return {SCORE: found.mean(axis=-1).tolist()}
