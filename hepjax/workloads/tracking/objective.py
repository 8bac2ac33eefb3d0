"""The losses of edges and of points, and the update, as pure functions of state, batch and key."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hepjax.engine import optimizers
from hepjax.engine.gradient import mean_gradient
from hepjax.engine.mesh import average, whole
from hepjax.engine.workload import Batch, Clock, Metrics, Spec
from hepjax.workloads.tracking import condensation, embedding
from hepjax.workloads.tracking.config import TrackingConfig
from hepjax.workloads.tracking.model import NETWORKS

GRAPH = ("xyz", "surface", "senders", "receivers")
TRUTH = ("true", "signal", "particle", "place", "counts", "hits")
OF_HITS = {"embedding": embedding.loss, "condensation": condensation.loss}
"""Losses (n,) of the kinds of networks that say something of hits instead of edges."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes."""

    params: Any
    optimizer: Any


def init(cfg: TrackingConfig, key: jax.Array) -> State:
    """The state before the first update."""
    edges = jnp.zeros((1, 2), jnp.int32)
    params = NETWORKS[cfg.model.kind](cfg.model).init(
        key, jnp.ones((1, 4, 3)), jnp.zeros((1, 4), jnp.int32), edges, edges
    )["params"]
    return State(params, optimizers.init(cfg.optimizer, params))


def prepare(cfg: TrackingConfig, spec: Spec, raw: Batch) -> Batch:
    """Graphs as the network wants them, and which edges are none: ``edge`` (n, E) bool."""
    batch = {name: raw[name] for name in (*GRAPH, *TRUTH, "missed", "mask") if name in raw}
    return batch | {"edge": jnp.arange(raw["senders"].shape[1]) < raw["edges"][:, None]}


def found(cfg: TrackingConfig, params: Any, batch: Batch) -> jax.Array:
    """What the network gives: logits (n, E) of edges, or numbers (n, N, d) of hits."""
    network = NETWORKS[cfg.model.kind](cfg.model, split=cfg.mesh.layout == "spatial")
    made: jax.Array = network.apply({"params": params}, *(batch[name] for name in GRAPH))
    return made


def weights(cfg: TrackingConfig, batch: Batch) -> jax.Array:
    """(n, E) of edges in the loss: 1 on particles that count, 0 on others, and of false ones."""
    false = cfg.objective.weight_false * ~batch["true"]
    return batch["edge"] * (batch["signal"] + false)


def losses(
    cfg: TrackingConfig, params: Any, batch: Batch, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Sums of losses (n,) of events, and what the network gives.

    They are over ``terms``: of edges cross-entropies with their weights, of points means.
    """
    made = found(cfg, params, batch)
    if cfg.model.kind in OF_HITS:
        return OF_HITS[cfg.model.kind](cfg, made, batch, key), made
    entropies = optax.sigmoid_binary_cross_entropy(made, batch["signal"])
    return (weights(cfg, batch) * entropies).sum(1), made


def terms(cfg: TrackingConfig, batch: Batch) -> jax.Array:
    """(n,) what the losses of events are sums over: weighted edges, or one mean an event."""
    if cfg.model.kind in OF_HITS:
        return jnp.ones(len(batch["xyz"]))
    return weights(cfg, batch).sum(1)


def train_step(
    cfg: TrackingConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update."""
    # Over the edges of all events: a device with few of them counts less than another.
    total = average(cfg.mesh, terms(cfg, batch).sum()) / cfg.train.accumulate
    total = jnp.maximum(total, 1e-6)

    def loss(params: Any, events: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
        return losses(cfg, params, events, key)[0].sum() / total, {}

    events = {k: v for k, v in batch.items() if k not in ("missed", "mask")}
    (value, _), gradients = mean_gradient(cfg, loss, state.params, events, key)
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)
    params, optimizer = optimizers.update(
        cfg.optimizer, state.optimizer, state.params, gradients, rate
    )
    return State(params, optimizer), {"loss": value, "learning_rate": rate}


def trained(cfg: TrackingConfig, state: State) -> Any:
    """The parameters of a network that learns no more."""
    return whole(cfg.mesh, optimizers.trained(cfg.optimizer, state.optimizer, state.params))
