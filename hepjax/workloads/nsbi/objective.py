"""All ratios of all members in one update: weighted cross-entropies on logits.

Leading axes of parameters are members and tasks. Classes have equal sums of weights, so that the
logit is the log ratio of normalised densities; yields enter the likelihood in closed form.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hepjax.engine import optimizers
from hepjax.engine.workload import Batch, Clock, Metrics, Spec
from hepjax.nn.ratio import Ratio
from hepjax.ops.bootstrap import drawn
from hepjax.workloads.nsbi.config import NsbiConfig, Part

NARROW = 1e-6
"""Width of a feature that is the same for all events."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes; each array has the leading axis members."""

    number: jax.Array
    """(members,) int32."""
    begun: jax.Array
    """(members,) int32: 1 after the first update."""
    mean: jax.Array
    """(members, features) of what networks see, from the first batch."""
    width: jax.Array
    params: Any
    """(members, tasks, ...)."""
    optimizer: Any


def network(cfg: NsbiConfig) -> Ratio:
    """The classifier of a configuration."""
    return Ratio(cfg.model.hidden, dtype=jnp.dtype(cfg.train.dtype))


def init(cfg: NsbiConfig, key: jax.Array) -> State:
    """The state before the first update."""
    features = len(cfg.data.observables) + len(cfg.data.parameters)
    number = jnp.arange(cfg.train.members, dtype=jnp.int32)

    def of_member(n: jax.Array) -> Any:
        keys = jax.random.split(jax.random.fold_in(key, n), len(cfg.tasks))
        net, event = network(cfg), jnp.zeros((1, features))
        return jax.vmap(lambda one: net.init(one, event)["params"])(keys)

    params = jax.vmap(of_member)(number)
    start = jax.vmap(jax.vmap(lambda p: optimizers.init(cfg.optimizer, p)))(params)
    form = len(number), features
    return State(
        number, jnp.zeros_like(number), jnp.zeros(form), jnp.ones(form), params, start
    )  # fmt: skip


def prepare(cfg: NsbiConfig, spec: Spec, raw: Batch) -> Batch:
    """Events as they are; those to be judged as ``x`` and ``theta``."""
    return raw


def features(x: jax.Array, theta: jax.Array) -> jax.Array:
    """(n, features) of observables and parameters."""
    return jnp.concatenate([x, theta], axis=-1)


class Classes(NamedTuple):
    """What all tasks tell apart: (tasks, 2 n, features) and weights (members, tasks, 2 n)."""

    x: jax.Array
    one: jax.Array
    zero: jax.Array


def classes(cfg: NsbiConfig, state: State, batch: Batch, *, bootstrap: bool) -> Classes:
    """Events of class 1, and behind them those of class 0 at the parameters of the former."""
    first = cfg.train.members - cfg.bootstraps

    def weight(part: Part) -> jax.Array:
        own = batch[f"{part.sample}_weight"] * (batch[f"{part.sample}_sign"] == part.sign)
        if not (bootstrap and cfg.bootstraps):
            return jnp.broadcast_to(own, (len(state.number), len(own)))
        rows = batch[f"{part.sample}_row"]
        times = jax.vmap(lambda m: drawn(cfg.train.seed, m, rows))(state.number)
        return own * jnp.where((state.number >= first)[:, None], times, 1.0)

    x, one, zero = [], [], []
    for task in cfg.tasks:
        a, b = task.one, task.zero
        theta = batch[f"{a.sample}_theta"]
        x.append(jnp.concatenate([
            features(batch[f"{a.sample}_x"], theta), features(batch[f"{b.sample}_x"], theta)
        ]))  # fmt: skip
        w, v = weight(a), weight(b)
        one.append(jnp.concatenate([w, jnp.zeros_like(v)], axis=1))
        zero.append(jnp.concatenate([jnp.zeros_like(w), v], axis=1))
    return Classes(jnp.stack(x), jnp.stack(one, axis=1), jnp.stack(zero, axis=1))


def terms(
    cfg: NsbiConfig, mean: jax.Array, width: jax.Array, params: Any, x: jax.Array,
    one: jax.Array, zero: jax.Array,
) -> jax.Array:  # fmt: skip
    """(2 n,) weighted cross-entropies of one network."""
    logit = network(cfg).apply({"params": params}, (x - mean) / width)
    return one * jax.nn.softplus(-logit) + zero * jax.nn.softplus(logit)


def train_step(
    cfg: NsbiConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update of all networks."""
    told = classes(cfg, state, batch, bootstrap=True)
    state = _scaled(state, told)
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)

    def of_network(mean: Any, width: Any, x: Any, one: Any, zero: Any, p: Any, o: Any) -> Any:
        def loss(params: Any) -> jax.Array:
            return terms(cfg, mean, width, params, x, one, zero).sum() / len(one)

        value, gradient = jax.value_and_grad(loss)(p)
        return value, *optimizers.update(cfg.optimizer, o, p, gradient, rate)

    of_member = jax.vmap(of_network, in_axes=(None, None, 0, 0, 0, 0, 0))
    value, params, optimizer = jax.vmap(of_member, in_axes=(0, 0, None, 0, 0, 0, 0))(
        state.mean, state.width, *told, state.params, state.optimizer
    )
    metrics = {"loss": value.mean(axis=1), "learning_rate": jnp.broadcast_to(rate, len(value))}
    return replace(state, params=params, optimizer=optimizer), of_members(cfg, metrics)


def of_members(cfg: NsbiConfig, metrics: Metrics) -> Metrics:
    """Metrics (members, ...), or without this axis those of one member."""
    return {k: v[0] if cfg.train.members == 1 else v for k, v in metrics.items()}


def _scaled(state: State, told: Classes) -> State:
    """With mean and width of the events of the first batch, which then stay."""
    flat = told.x.reshape(-1, told.x.shape[-1])
    width = flat.std(axis=0)
    fresh = (state.begun == 0)[:, None]
    return replace(
        state, begun=jnp.ones_like(state.begun),
        mean=jnp.where(fresh, flat.mean(axis=0), state.mean),
        width=jnp.where(fresh, jnp.where(width > NARROW, width, 1.0), state.width),
    )  # fmt: skip


def log_ratios(cfg: NsbiConfig, state: State, x: jax.Array, theta: jax.Array) -> jax.Array:
    """(members, tasks, n) of events x (n, observables) at parameters (n, parameters)."""
    each = jax.vmap(jax.vmap(lambda o, p: optimizers.trained(cfg.optimizer, o, p)))
    params = each(state.optimizer, state.params)

    sees = jnp.array([float(task.one.sample in cfg.data.parametrised) for task in cfg.tasks])

    def of_network(mean: Any, width: Any, p: Any, seen: jax.Array) -> jax.Array:
        y = (features(x, theta * seen) - mean) / width
        return network(cfg).apply({"params": p}, y)

    of_member = jax.vmap(of_network, in_axes=(None, None, 0, 0))
    return jax.vmap(of_member, in_axes=(0, 0, 0, None))(state.mean, state.width, params, sees)
