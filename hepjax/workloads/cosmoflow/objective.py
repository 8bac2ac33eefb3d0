"""The loss of CosmoFlow and the update, as pure functions of state, batch and key."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine import optimizers
from hepjax.engine.gradient import mean_gradient
from hepjax.engine.mesh import split_events, whole
from hepjax.engine.workload import Batch, Clock, Metrics, Spec
from hepjax.formats.fields.cosmoflow import TIMES
from hepjax.workloads.cosmoflow.config import CosmoflowConfig
from hepjax.workloads.cosmoflow.model import CosmoFlow


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes."""

    params: Any
    optimizer: Any


def init(cfg: CosmoflowConfig, key: jax.Array) -> State:
    """The state before the first update."""
    counts = jnp.zeros((1, *(cfg.data.cells,) * 3, TIMES), jnp.int16)
    params = CosmoFlow(cfg.model).init(key, counts, False)["params"]
    return State(params, optimizers.init(cfg.optimizer, params))


def prepare(cfg: CosmoflowConfig, spec: Spec, raw: Batch) -> Batch:
    """Samples on their devices, in the spatial layout cut along x."""
    return {k: split_events(cfg.mesh, v) if k == "counts" else v for k, v in raw.items()}


def predict(
    cfg: CosmoflowConfig, params: Any, counts: jax.Array, key: jax.Array | None = None
) -> jax.Array:
    """Parameters (n, 4), from -1 to 1 and a little beyond; with a key for dropout in training."""
    net = CosmoFlow(cfg.model, jnp.dtype(cfg.train.dtype))
    rngs = None if key is None else {"dropout": key}
    y = net.apply({"params": params}, counts, key is not None, rngs=rngs)
    return cfg.objective.scale * jnp.tanh(y)


def train_step(
    cfg: CosmoflowConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update."""

    def loss(params: Any, events: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
        found = predict(cfg, params, events["counts"], key)
        off = found - events["parameters"]
        square = (off**2).mean()
        if cfg.objective.decay:
            dense = [p["kernel"] for name, p in params.items() if name.startswith("Dense")]
            square += cfg.objective.decay / 2 * sum((k**2).sum() for k in dense)
        return square, {"error": jnp.abs(off).mean()}

    events = {name: batch[name] for name in ("counts", "parameters")}
    (value, metrics), gradients = mean_gradient(cfg, loss, state.params, events, key)
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)
    params, optimizer = optimizers.update(
        cfg.optimizer, state.optimizer, state.params, gradients, rate
    )
    return State(params, optimizer), metrics | {"loss": value, "learning_rate": rate}


def trained(cfg: CosmoflowConfig, state: State) -> Any:
    """The parameters of a network that learns no more."""
    return whole(cfg.mesh, optimizers.trained(cfg.optimizer, state.optimizer, state.params))
