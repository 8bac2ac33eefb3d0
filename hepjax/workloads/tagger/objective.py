"""Loss, schedule and the update of a tagger, as pure functions of state, batch and key."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hepjax.engine import optimizers
from hepjax.engine.bounds import require
from hepjax.engine.gradient import mean_gradient
from hepjax.engine.mesh import split_events, whole
from hepjax.engine.workload import Batch, Clock, Metrics, Spec
from hepjax.nn import int8
from hepjax.ops import densify
from hepjax.workloads.tagger.config import DataConfig, TaggerConfig
from hepjax.workloads.tagger.model import ResNet15, Vgg, network

ODD_IN_PHI, ODD_IN_ETA = "d0", "dz"
"""Channels that change sign when an image is mirrored: d0 goes round the beam, dz along it."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes."""

    params: Any
    optimizer: Any
    stats: Any = field(default_factory=dict)
    """Ranges of the inputs of layers in int8."""


def module(cfg: TaggerConfig) -> ResNet15 | Vgg:
    """The network of a configuration."""
    return network(cfg.model, jnp.dtype(cfg.train.dtype))


def init(cfg: TaggerConfig, key: jax.Array) -> State:
    """The state before the first update."""
    image = jnp.zeros((1, *cfg.data.shape, len(cfg.data.names)))
    variables = module(cfg).init(key, image, train=False)
    params = variables["params"]
    return State(params, optimizers.init(cfg.optimizer, params), variables.get(int8.STATE, {}))


def prepare(cfg: TaggerConfig, spec: Spec, raw: Batch) -> Batch:
    """Sparse events as dense images in the units of the files.

    Args:
      spec: with the fact ``coarsenings``, pixels along each axis that a cell of a channel fills.
      raw: ``cell`` and ``value`` (n, K) on the channels of the configuration; ``label``, ``weight``
        and ``mask`` (n,) where there are any.
    Returns:
      ``image`` (n, eta, phi, channels), and the last three as they are.
    """
    image = densify(raw["cell"], raw["value"], cfg.data.shape, spec.fact("coarsenings"))
    kept = {name: raw[name] for name in ("label", "weight", "mask") if name in raw}
    return kept | {"image": split_events(cfg.mesh, image)}


def normalise(cfg: DataConfig, image: jax.Array) -> jax.Array:
    """Suppress, scale, raise to a power and clip the pixels of (n, eta, phi, channels)."""
    suppress, scale = dict(cfg.suppress), dict(cfg.scale)
    if suppress:
        least = jnp.array([suppress.get(name, 0.0) for name in cfg.names])
        image = jnp.where(jnp.abs(image) < least, 0.0, image)
    if scale:
        image *= jnp.array([scale.get(name, 1.0) for name in cfg.names])
    if cfg.power != 1:
        image = jnp.sign(image) * jnp.abs(image) ** cfg.power
    return jnp.clip(image, -cfg.clip, cfg.clip) if cfg.clip else image


def mirror(names: tuple[str, ...], image: jax.Array, key: jax.Array) -> jax.Array:
    """Each event of (n, eta, phi, channels) mirrored in eta, in phi, in both or not at all."""
    flips = jax.random.bernoulli(key, 0.5, (2, len(image), 1, 1, 1))
    for axis, odd, flip in zip((1, 2), (ODD_IN_ETA, ODD_IN_PHI), flips, strict=True):
        sign = jnp.array([-1.0 if name == odd else 1.0 for name in names])
        image = jnp.where(flip, jnp.flip(image, axis) * sign, image)
    return image


def losses(logits: jax.Array, label: jax.Array) -> jax.Array:
    """Binary cross-entropy of each event, (n,).

    Two logits are the two sigmoids of the Keras head, against the one-hot label, as published; one
    logit is that of the signal.
    """
    target = jax.nn.one_hot(label, 2)[:, 2 - logits.shape[1] :]
    return optax.sigmoid_binary_cross_entropy(logits, target).mean(1)


def train_step(
    cfg: TaggerConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update. ``spread`` of the metrics is the range of the scores within a part of the batch.

    Raises:
      InputError: parts of one event, in which scores have no range.
    """
    parts = cfg.train.accumulate
    require(
        parts == 1 or len(batch["image"]) >= 2 * parts,
        "train.accumulate", "parts of two or more events", parts,
    )  # fmt: skip
    k_mirror, k_dropout = jax.random.split(key)
    image = normalise(cfg.data, batch["image"])
    if cfg.data.flip:
        image = split_events(cfg.mesh, mirror(cfg.data.names, image, k_mirror))
    weight = batch.get("weight", jnp.ones(len(image)))

    def loss(params: Any, events: Any, key: jax.Array) -> tuple[jax.Array, tuple[Any, Metrics]]:
        image, label, weight = events
        logits, changed = module(cfg).apply(
            {"params": params, int8.STATE: state.stats}, image,
            train=True, rngs={"dropout": key}, mutable=[int8.STATE],
        )  # fmt: skip
        value, logit = (weight * losses(logits, label)).mean(), logits[:, -1]
        return value, (changed.get(int8.STATE, {}), {
            "loss": value,
            "accuracy": ((logit > 0) == (label == 1)).mean(),
            "spread": logit.max() - logit.min(),
        })  # fmt: skip

    (_, (stats, metrics)), gradients = mean_gradient(
        cfg, loss, state.params, (image, batch["label"], weight), k_dropout
    )
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)
    params, optimizer = optimizers.update(
        cfg.optimizer, state.optimizer, state.params, gradients, rate
    )
    return State(params, optimizer, stats), metrics | {"learning_rate": rate}


def logits(cfg: TaggerConfig, state: State, image: jax.Array) -> jax.Array:
    """Outputs of the network (n, outputs) on normalised images; the last one is the signal."""
    params = whole(cfg.mesh, optimizers.trained(cfg.optimizer, state.optimizer, state.params))
    return module(cfg).apply({"params": params, int8.STATE: state.stats}, image, train=False)
