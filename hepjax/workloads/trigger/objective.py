"""The losses and the update of all networks of a curve, by one ``vmap`` over a leading axis.

All begin with the same weights and see the same events; they differ in the weight of the cost and
in the share that is pruned. Inputs are standardised by the moments of the first epoch.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hepjax.engine import optimizers
from hepjax.engine.gradient import mean_gradient
from hepjax.engine.mesh import average
from hepjax.engine.workload import Batch, Clock, Metrics, Spec
from hepjax.workloads.trigger.config import TriggerConfig
from hepjax.workloads.trigger.model import decoder, network, transformed

EPOCHS_OF_MOMENTS = 1.0
LARGEST_LOG = 10.0
"""Of variances of latent features."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes, and what tells the networks apart; of one network, or of
    all on a leading axis."""

    params: Any
    """``network``, and ``decoder`` of the anomaly task."""
    ranges: Any
    """Largest activation of each layer."""
    moments: dict[str, jax.Array]
    """``count``, ``sum`` and ``square`` (k,) of the inputs of the first epoch."""
    optimizer: Any
    cost: jax.Array
    """() weight of the effective bit operations."""
    share: jax.Array
    """() of the hidden weights that is pruned in the end."""


def init(cfg: TriggerConfig, key: jax.Array) -> State:
    """The state before the first update; all networks have the same weights."""
    size = len(cfg.task.inputs)
    variables = network(cfg).init(key, jnp.zeros((1, size)))
    params = {"network": variables["params"]}
    if cfg.task.anomaly:
        latent = jnp.zeros((1, cfg.model.latent))
        params["decoder"] = decoder(cfg).init(jax.random.fold_in(key, 1), latent)["params"]
    zero = jnp.zeros(size)
    one = State(
        params, variables["ranges"], {"count": zero, "sum": zero, "square": zero},
        optimizers.init(cfg.optimizer, params), jnp.float32(0), jnp.float32(0),
    )  # fmt: skip
    each = jax.tree.map(lambda x: jnp.broadcast_to(x, (cfg.members, *jnp.shape(x))), one)
    shares = cfg.curve.pruned or (0.0,) * cfg.members
    return State(
        each.params, each.ranges, each.moments, each.optimizer,
        jnp.array(cfg.curve.costs, jnp.float32), jnp.array(shares, jnp.float32),
    )  # fmt: skip


def prepare(cfg: TriggerConfig, spec: Spec, raw: Batch) -> Batch:
    """``inputs`` (n, k) before they are standardised, which of them are ``there``, ``label``."""
    inputs, there = transformed(cfg, raw["inputs"])
    rest = {name: raw[name] for name in ("label", "mask") if name in raw}
    return {"inputs": inputs, "there": there} | rest


def standardised(state: State, inputs: jax.Array, there: jax.Array) -> jax.Array:
    """Inputs (n, k) of mean 0 and spread 1, by the moments of one network; 0 where absent."""
    mean, spread = scales(state.moments)
    return jnp.where(there, (inputs - mean) / spread, 0.0)


def scales(moments: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Mean and spread (k,) of the inputs; spread 1 of those that are constant."""
    count = jnp.maximum(moments["count"], 1.0)
    mean = moments["sum"] / count
    variance = moments["square"] / count - mean**2
    return mean, jnp.where(variance > 1e-6 * (mean**2 + 1e-6), variance, 1.0) ** 0.5


def outputs(
    cfg: TriggerConfig, state: State, params: Any, x: jax.Array, share: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Sums (n, outputs) of one trained network, its cost, and overflows (n,)."""
    variables = {"params": params["network"], "ranges": state.ranges}
    return network(cfg).apply(variables, x, share if cfg.curve.pruned else None)


def trained(cfg: TriggerConfig, state: State) -> Any:
    """The parameters of networks that learn no more."""
    return optimizers.trained(cfg.optimizer, state.optimizer, state.params)


def losses(
    cfg: TriggerConfig, params: Any, sums: jax.Array, batch: Batch, key: jax.Array | None
) -> jax.Array:
    """(n,) cross-entropies; of the anomaly task half the squared errors of the inputs that are
    there and the weighted divergence, with latent noise if there is a ``key``."""
    if not cfg.task.anomaly:
        return optax.softmax_cross_entropy_with_integer_labels(sums, batch["label"])
    mean, log = jnp.split(sums, 2, axis=-1)
    log = jnp.clip(log, -LARGEST_LOG, LARGEST_LOG)
    noise = 0.0 if key is None else jnp.exp(0.5 * log) * jax.random.normal(key, mean.shape)
    made = decoder(cfg).apply({"params": params["decoder"]}, mean + noise)
    error = jnp.where(batch["there"], (made - batch["x"]) ** 2, 0.0).sum(axis=-1)
    divergence = 0.5 * (mean**2 + jnp.exp(log) - log - 1.0).sum(axis=-1)
    return 0.5 * error + cfg.model.kl * divergence


def score_of(cfg: TriggerConfig, sums: jax.Array) -> jax.Array:
    """(n,) the anomaly score of latent features, the part of the divergence with the means."""
    return (sums[..., : cfg.model.latent] ** 2).sum(axis=-1)


def share_pruned(cfg: TriggerConfig, share: jax.Array, epoch: jax.Array) -> jax.Array:
    """The share pruned after so many epochs: cubic from ``prune_from`` to ``prune_until``."""
    done = epoch / cfg.train.epochs
    curve = cfg.curve
    reach = jnp.clip((done - curve.prune_from) / (curve.prune_until - curve.prune_from), 0.0, 1.0)
    return share * (1.0 - (1.0 - reach) ** 3)


def _moments(cfg: TriggerConfig, state: State, batch: Batch, clock: Clock) -> dict[str, jax.Array]:
    x = jnp.where(batch["there"], batch["inputs"], 0.0)
    new = {
        "count": batch["there"].sum(axis=0).astype(jnp.float32), "sum": x.sum(axis=0),
        "square": (x**2).sum(axis=0),
    }  # fmt: skip
    new = average(cfg.mesh, new)
    weight = jnp.where(clock.epoch < EPOCHS_OF_MOMENTS, 1.0, 0.0)
    return {name: known + weight * new[name] for name, known in state.moments.items()}


def member_step(
    cfg: TriggerConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update of one network."""
    state = State(
        state.params, state.ranges, _moments(cfg, state, batch, clock), state.optimizer,
        state.cost, state.share,
    )  # fmt: skip
    ramp = jnp.clip((clock.epoch + 1e-3) / max(cfg.curve.ramp_epochs, 1e-3), 0.0, 1.0)
    share = share_pruned(cfg, state.share, clock.epoch) if cfg.curve.pruned else None

    def loss(params: Any, events: Batch, key: jax.Array) -> tuple[jax.Array, Any]:
        x = standardised(state, events["inputs"], events["there"])
        variables = {"params": params["network"], "ranges": state.ranges}
        (sums, cost, _), changed = network(cfg).apply(
            variables, x, share, train=True, mutable=["ranges"]
        )
        mean = losses(cfg, params, sums, events | {"x": x}, key).mean()
        return mean + ramp * state.cost * cost, (mean, cost, changed["ranges"])

    events = {name: batch[name] for name in ("inputs", "there", "label")}
    (_, (mean, cost, ranges)), gradients = mean_gradient(cfg, loss, state.params, events, key)
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)
    params, optimizer = optimizers.update(
        cfg.optimizer, state.optimizer, state.params, gradients, rate
    )
    new = State(params, ranges, state.moments, optimizer, state.cost, state.share)
    return new, {"loss": mean, "ebops": cost, "learning_rate": rate}


def train_step(
    cfg: TriggerConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update of all networks."""
    step = jax.vmap(lambda one: member_step(cfg, one, batch, key, clock))
    state, metrics = step(state)
    return state, metrics if cfg.members > 1 else {k: v[0] for k, v in metrics.items()}
