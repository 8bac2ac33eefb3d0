"""What an unfolding keeps: the networks of both levels, and of each training its best ones."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine import optimizers
from hepjax.workloads.unfold.config import Kind, UnfoldConfig
from hepjax.workloads.unfold.model import example, network

WORST = 1e30
"""A loss in place of infinity, which the guard against non-finite updates would refuse."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Level:
    """The classifiers of one level; arrays have the leading axes (members, ensemble)."""

    params: Any
    optimizer: Any
    kept: Any
    """(members, trainings, ensemble, ...) parameters of the best epoch of each training."""
    best: jax.Array
    """(members, ensemble) the held-out loss of that epoch in the training at hand."""
    held: jax.Array
    """(members, ensemble, 2) sums of loss and weight over held-out events in this epoch."""
    losses: jax.Array
    """(members, trainings, ensemble) the lowest held-out loss of each training."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes; each array has the leading axis members."""

    number: jax.Array
    """(members,) int32."""
    training: jax.Array
    """(members,) int32: which training is at hand, -1 before the first."""
    looks: jax.Array
    """(members,) int32: epochs after which the held-out loss was looked at."""
    scaling: dict[str, jax.Array]
    """(members, features) mean and width of what each level's networks see."""
    levels: dict[str, Level]


def counts(cfg: UnfoldConfig) -> dict[Kind, int]:
    """How many trainings there are of each kind."""
    return {kind: cfg.trainings.count(kind) for kind in dict.fromkeys(cfg.trainings)}


def places(cfg: UnfoldConfig) -> list[tuple[Kind, int]]:
    """Of each training its kind, and how many of this kind came before."""
    return [(kind, cfg.trainings[:k].count(kind)) for k, kind in enumerate(cfg.trainings)]


def init(cfg: UnfoldConfig, key: jax.Array) -> State:
    """The state before the first update."""
    members, each = cfg.train.members, cfg.unfold.ensemble
    number = jnp.arange(members, dtype=jnp.int32)
    net, event = network(cfg), example(cfg)
    features = event[0].shape[-1]
    levels: dict[str, Level] = {}
    for k, (kind, trainings) in enumerate(counts(cfg).items()):

        def of_member(n: jax.Array, kind: int = k) -> Any:
            keys = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, n), kind), each)
            return jax.vmap(lambda one: net.init(one, *event)["params"])(keys)

        params = jax.vmap(of_member)(number)
        start = jax.vmap(jax.vmap(lambda p: optimizers.init(cfg.optimizer, p)))(params)
        kept = jax.tree.map(lambda x, t=trainings: jnp.stack([x] * t, axis=1), params)
        levels[kind] = Level(
            params, start, kept, jnp.full((members, each), WORST), jnp.zeros((members, each, 2)),
            jnp.full((members, trainings, each), WORST),
        )  # fmt: skip
    scaling = {
        f"{level}_{what}": jnp.full((members, features), value, jnp.float32)
        for level in ("reco", "gen") for what, value in (("mean", 0.0), ("width", 1.0))
    }  # fmt: skip
    none = jnp.full(members, -1, jnp.int32)
    return State(number, none, jnp.zeros(members, jnp.int32), scaling, levels)
