"""Losses and the update of MLPF, as pure functions of state, batch and key."""

from dataclasses import dataclass, field
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from hepjax.engine import optimizers
from hepjax.engine.gradient import mean_gradient
from hepjax.engine.mesh import average, split_events, whole
from hepjax.engine.workload import Batch, Clock, Metrics, Spec
from hepjax.formats.particleflow.columns import CLASSES, QUANTITIES
from hepjax.nn import int8
from hepjax.workloads.mlpf.config import MLPFConfig
from hepjax.workloads.mlpf.heads import Outputs
from hepjax.workloads.mlpf.model import network

ANGLES = ("eta", "sin_phi", "cos_phi")
SMALLEST = 1e-7
"""Smallest probability in the published class loss (Keras)."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes, and the random directions of the hash, which stay."""

    params: Any
    codebooks: Any
    optimizer: Any
    stats: Any = field(default_factory=dict)
    """Ranges of the inputs of layers in int8."""


def module(cfg: MLPFConfig) -> nn.Module:
    """The network of a configuration."""
    return network(cfg.model, cfg.mesh, jnp.dtype(cfg.train.dtype))


def init(cfg: MLPFConfig, key: jax.Array) -> State:
    """The state before the first update."""
    X, mask = jnp.zeros((1, 4, 12)), jnp.ones((1, 4), bool)
    variables = module(cfg).init({"params": key}, X, mask)
    params = variables["params"]
    optimizer, stats = optimizers.init(cfg.optimizer, params), variables.get(int8.STATE, {})
    return State(params, variables["lsh"], optimizer, stats)


def prepare(cfg: MLPFConfig, spec: Spec, raw: Batch) -> Batch:
    """Padded events as the network wants them.

    Args:
      raw: ``X`` (n, i, 12) elements, ``n`` (n,) elements of each event, and ``ygen`` (n, i, 7) the
        truth of each, if it is known.
    Returns:
      ``X``, ``ygen`` with zeros behind the elements, and ``elements`` (n, i) bool.
    """
    elements = jnp.arange(raw["X"].shape[1]) < raw["n"][:, None]

    def clean(a: jax.Array) -> jax.Array:
        return split_events(cfg.mesh, jnp.where(elements[..., None], a, 0.0))

    batch = {name: clean(raw[name]) for name in ("X", "ygen") if name in raw}
    return batch | {"elements": elements} | {k: raw[k] for k in ("mask",) if k in raw}


def truth(ygen: jax.Array) -> Outputs:
    """The columns (n, i) of the truth by name, ``class`` as int32."""
    columns = dict(zip(QUANTITIES, jnp.moveaxis(ygen, -1, 0), strict=True))
    return columns | {"class": columns["class"].astype(jnp.int32)}


def losses(cfg: MLPFConfig, outputs: Outputs, target: Outputs) -> Metrics:
    """The seven terms of each element, (n, i), not weighted."""
    terms = {"class": _class_loss(cfg, outputs["logits"], target["class"])}
    terms["charge"] = jnp.square(outputs["charge"] - target["charge"])
    for name in QUANTITIES[2:]:
        found, wanted = outputs[name], target[name]
        if cfg.model.inputs == "log" and name not in ANGLES:
            found, wanted = (jnp.log1p(jnp.maximum(a, 0.0)) for a in (found, wanted))
        if cfg.objective.regression == "mse":
            terms[name] = jnp.square(found - wanted)
        else:
            angle = name in ANGLES
            delta = cfg.objective.delta_angle if angle else cfg.objective.delta_energy
            terms[name] = optax.huber_loss(found, wanted, delta=delta)
    return terms


def _class_loss(cfg: MLPFConfig, logits: jax.Array, label: jax.Array) -> jax.Array:
    """Cross-entropy; as published of probabilities that are clipped, except for sparse."""
    if cfg.model.published_slips and cfg.model.variant != "sparse":
        chosen = (jax.nn.softmax(logits) * jax.nn.one_hot(label, len(CLASSES))).sum(-1)
        return -jnp.log(jnp.clip(chosen, SMALLEST, 1 - SMALLEST))
    return optax.softmax_cross_entropy_with_integer_labels(logits, label)


def sample_weights(cfg: MLPFConfig, target: Outputs, elements: jax.Array) -> tuple[Any, Any]:
    """Weights (n, i) of the class loss and of the others: elements, and those with a particle."""
    if cfg.model.published_slips and cfg.model.variant == "sparse":
        return jnp.ones_like(target["pt"]), jnp.ones_like(target["pt"])
    some = elements & (target["class"] != 0)
    return elements.astype(jnp.float32), some.astype(jnp.float32)


def loss_sums(
    cfg: MLPFConfig, outputs: Outputs, batch: Batch, events: jax.Array
) -> dict[str, tuple[jax.Array, jax.Array]]:
    """Numerator and denominator of the mean of each term over the events whose mask (n,) is 1.

    The denominator is the number of elements that count; as published, that of all slots.
    """
    terms, weights = losses(cfg, outputs, truth(batch["ygen"])), loss_weights(cfg, batch, events)
    return {name: ((w * terms[name]).sum(), count) for name, (w, count) in weights.items()}


def loss_weights(
    cfg: MLPFConfig, batch: Batch, events: jax.Array
) -> dict[str, tuple[jax.Array, jax.Array]]:
    """Weights (n, i) of the elements in each term, and the denominator of its mean."""
    of_class, of_others = sample_weights(cfg, truth(batch["ygen"]), batch["elements"])
    slots = jnp.ones_like(of_class)
    weights = {}
    for name in QUANTITIES:
        weight = (of_class if name == "class" else of_others) * events[:, None]
        count = slots * events[:, None] if cfg.model.published_slips else weight
        weights[name] = (weight, count.sum())
    return weights


def total_loss(cfg: MLPFConfig, means: dict[str, Any]) -> Any:
    """The weighted sum of the mean terms."""
    c = cfg.objective
    weights = {"class": c.weight_class, "charge": c.weight_charge, "pt": c.weight_pt,
               "energy": c.weight_energy} | dict.fromkeys(ANGLES, c.weight_angle)  # fmt: skip
    return sum(weights[name] * mean for name, mean in means.items())


def apply(
    cfg: MLPFConfig, params: Any, codebooks: Any, batch: Batch, stats: Any = None
) -> Outputs:  # fmt: skip
    """Outputs (n, i) of each element; ``stats`` of a network in int8."""
    variables = {"params": params, "lsh": codebooks, int8.STATE: stats or {}}
    return module(cfg).apply(variables, batch["X"], batch["elements"], train=False)


def apply_in_training(
    cfg: MLPFConfig, state: State, params: Any, batch: Batch, key: jax.Array
) -> tuple[Outputs, Any]:
    """Outputs (n, i) of each element with ``key`` for dropout, and the new ``stats``."""
    variables = {"params": params, "lsh": state.codebooks, int8.STATE: state.stats}
    outputs, changed = module(cfg).apply(
        variables, batch["X"], batch["elements"], train=True, rngs={"dropout": key},
        mutable=[int8.STATE],
    )  # fmt: skip
    return outputs, changed.get(int8.STATE, {})


def train_step(
    cfg: MLPFConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update."""
    everyone = jnp.ones(len(batch["X"]))
    # Over the elements of all events: a device or part with few of them counts less than another.
    counts = {
        name: jnp.maximum(average(cfg.mesh, count), 1e-6) / cfg.train.accumulate
        for name, (_, count) in loss_weights(cfg, batch, everyone).items()
    }

    def loss(params: Any, events: Batch, key: jax.Array) -> tuple[jax.Array, tuple[Any, Metrics]]:
        outputs, stats = apply_in_training(cfg, state, params, events, key)
        sums = loss_sums(cfg, outputs, events, jnp.ones(len(events["X"])))
        means = {name: value / counts[name] for name, (value, _) in sums.items()}
        return total_loss(cfg, means), (stats, means)

    events = {name: batch[name] for name in ("X", "ygen", "elements")}
    (value, (stats, means)), gradients = mean_gradient(cfg, loss, state.params, events, key)
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)
    params, optimizer = optimizers.update(
        cfg.optimizer, state.optimizer, state.params, gradients, rate
    )
    metrics = {"loss": value} | {f"{name}_loss": mean for name, mean in means.items()}
    state = State(params, state.codebooks, optimizer, stats)
    return state, metrics | {"learning_rate": rate}


def answer(cfg: MLPFConfig, state: State, batch: Batch) -> Outputs:
    """Outputs (n, i) of a trained network, which learns no more."""
    params = whole(cfg.mesh, optimizers.trained(cfg.optimizer, state.optimizer, state.params))
    return apply(cfg, params, state.codebooks, batch, state.stats)
