"""The loss of edges and the update, as pure functions of state, batch and key."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hepjax.engine import optimizers
from hepjax.engine.gradient import mean_gradient
from hepjax.engine.mesh import average, whole
from hepjax.engine.workload import Batch, Clock, Metrics, Spec
from hepjax.workloads.tracking.config import TrackingConfig
from hepjax.workloads.tracking.model import InteractionNetwork

GRAPH = ("xyz", "surface", "senders", "receivers")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes."""

    params: Any
    optimizer: Any


def init(cfg: TrackingConfig, key: jax.Array) -> State:
    """The state before the first update."""
    edges = jnp.zeros((1, 2), jnp.int32)
    params = InteractionNetwork(cfg.model).init(
        key, jnp.ones((1, 4, 3)), jnp.zeros((1, 4), jnp.int32), edges, edges
    )["params"]
    return State(params, optimizers.init(cfg.optimizer, params))


def prepare(cfg: TrackingConfig, spec: Spec, raw: Batch) -> Batch:
    """Graphs as the network wants them, and which edges are none: ``edge`` (n, E) bool."""
    batch = {
        name: raw[name] for name in (*GRAPH, "true", "signal", "missed", "mask") if name in raw
    }
    return batch | {"edge": jnp.arange(raw["senders"].shape[1]) < raw["edges"][:, None]}


def logits(cfg: TrackingConfig, params: Any, batch: Batch) -> jax.Array:
    """(n, E) of edges."""
    network = InteractionNetwork(cfg.model, split=cfg.mesh.layout == "spatial")
    found: jax.Array = network.apply({"params": params}, *(batch[name] for name in GRAPH))
    return found


def weights(cfg: TrackingConfig, batch: Batch) -> jax.Array:
    """(n, E) of edges in the loss: 1 on particles that count, 0 on others, and of false ones."""
    false = cfg.objective.weight_false * ~batch["true"]
    return batch["edge"] * (batch["signal"] + false)


def losses(cfg: TrackingConfig, params: Any, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Cross-entropies (n, E) and the logits."""
    found = logits(cfg, params, batch)
    return optax.sigmoid_binary_cross_entropy(found, batch["signal"]), found


def train_step(
    cfg: TrackingConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update."""
    # Over the edges of all events: a device with few of them counts less than another.
    total = average(cfg.mesh, weights(cfg, batch).sum()) / cfg.train.accumulate
    total = jnp.maximum(total, 1e-6)

    def loss(params: Any, events: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
        terms, _ = losses(cfg, params, events)
        return (weights(cfg, events) * terms).sum() / total, {}

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
