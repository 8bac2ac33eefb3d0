"""The update of OmniFold: which training is at hand, its loss, and the weights between steps.

With m the measured and s the simulated events, an iteration i trains two classifiers by weighted
binary cross-entropies on their logits, which are log ratios of densities:

    step 1   l1(x): m against s with weight push_{i-1}(z);   pull_i = push_{i-1}(z) exp(l1(x))
    step 2   l2(z): s with weight pull_i against s;          push_i(z) = exp(l2(z))

x is what is reconstructed and z the truth; push_0 = 1. Events that fail the phase space (fakes)
have push 1 and take part in step 1 alone. Weights are never stored: they are functions of the
networks. All networks of a step train in one program, whose leading axes are members and ensemble.
"""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hepjax.engine import optimizers
from hepjax.engine.workload import Batch, Clock, Metrics, Spec
from hepjax.ops.bootstrap import drawn
from hepjax.workloads.unfold.config import Kind, UnfoldConfig
from hepjax.workloads.unfold.model import network
from hepjax.workloads.unfold.state import WORST, Level, State, counts, places

NARROW = 1e-6
"""Width of a feature that is the same for all events."""


def prepare(cfg: UnfoldConfig, spec: Spec, raw: Batch) -> Batch:
    """Flags as numbers, and the updates of an epoch."""
    batch = {k: v.astype(jnp.float32) if v.dtype == bool else v for k, v in raw.items()}
    updates = max(spec.fact("events") // cfg.train.batch_size, 1)
    return batch | {"updates_per_epoch": jnp.int32(updates)}


def train_step(
    cfg: UnfoldConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update of all members in the training at hand."""
    per_epoch, updates = batch["updates_per_epoch"], clock.updates.astype(jnp.int32)
    length = cfg.unfold.epochs * per_epoch
    training = jnp.minimum(updates // length, len(cfg.trainings) - 1)
    kinds: tuple[Kind, ...] = tuple(counts(cfg))
    which, place = jnp.array([(kinds.index(k), p) for k, p in places(cfg)])[training]
    now = Now(
        training, place, (updates - training * length) / per_epoch.astype(jnp.float32),
        (updates + 1) % per_epoch == 0,
    )  # fmt: skip
    state = _scaled(cfg, state, batch)
    events = {k: v for k, v in batch.items() if v.ndim}
    branches = [partial(_update, cfg, kind) for kind in kinds]
    state, metrics = jax.lax.switch(which, branches, state, events, now)
    return state, of_members(cfg, metrics)


class Now(NamedTuple):
    """Where an unfolding is."""

    training: jax.Array
    """Its number."""
    place: jax.Array
    """How many of its kind came before."""
    epoch: jax.Array
    """Epochs of the training done, fractional."""
    last: jax.Array
    """Whether an epoch ends with this update."""


def of_members(cfg: UnfoldConfig, metrics: Metrics) -> Metrics:
    """Metrics (members,), or numbers of one member."""
    return {k: v[0] if cfg.train.members == 1 else v for k, v in metrics.items()}


def _scaled(cfg: UnfoldConfig, state: State, batch: Batch) -> State:
    """With mean and width of the simulated events of the first batch, which then stay."""
    new: dict[str, jax.Array] = {}
    for level in ("reco", "gen"):
        x, passed = batch[f"simulation_{level}"], batch[f"simulation_pass_{level}"]
        weight = passed[:, None] * (_there(x) if cfg.data.particles else jnp.ones((1, 1)))
        total = jnp.maximum(weight.sum(), 1.0)
        flat, weight = x.reshape(-1, x.shape[-1]), weight.reshape(-1, 1)
        mean = (weight * flat).sum(0) / total
        width = jnp.sqrt((weight * (flat - mean) ** 2).sum(0) / total)
        new |= {f"{level}_mean": mean, f"{level}_width": jnp.where(width > NARROW, width, 1.0)}
    fresh = state.training < 0
    scaling = {k: jnp.where(fresh[:, None], new[k], old) for k, old in state.scaling.items()}
    return replace(state, scaling=scaling)


def _there(x: jax.Array) -> jax.Array:
    """(n, p) which particles of (n, p, features) there are."""
    return (x[..., 0] > 0).astype(jnp.float32)


def log_ratio(
    cfg: UnfoldConfig, scaling: dict[str, jax.Array], level: str, params: Any, x: jax.Array
) -> jax.Array:
    """(n,) of one network with parameters ``params`` at events x of a level.

    Args:
      scaling: of one member.
    """
    y = (x - scaling[f"{level}_mean"]) / scaling[f"{level}_width"]
    there = _there(x) if cfg.data.particles else None
    return network(cfg).apply({"params": params}, y, there)


def mean_log_ratio(
    cfg: UnfoldConfig, scaling: dict[str, jax.Array], level: str, params: Any, x: jax.Array
) -> jax.Array:
    """(n,) mean over the ensemble, the leading axis of ``params``."""
    each = jax.vmap(lambda p: log_ratio(cfg, scaling, level, p, x))(params)
    return each.mean(axis=0)


def ratio_of_members(
    cfg: UnfoldConfig, state: State, kind: Kind, place: jax.Array | int, x: jax.Array
) -> jax.Array:
    """(members, n) mean log ratios of the kept networks of a training at events x (n, ...)."""
    level = "gen" if kind == "gen" else "reco"
    return jax.vmap(lambda s, p: mean_log_ratio(cfg, s, level, p, x))(
        state.scaling, kept_at(state.levels[kind], place)
    )


def kept_at(level: Level, place: jax.Array | int) -> Any:
    """(members, ensemble, ...) kept parameters of a training."""
    return jax.tree.map(lambda x: x[:, place], level.kept)


def log_push(
    cfg: UnfoldConfig, state: State, iterations: jax.Array | int, batch: Batch
) -> jax.Array:
    """(members, n) log of the weights of simulated events after so many iterations."""
    passed, before = batch["simulation_pass_gen"], jnp.maximum(iterations - 1, 0)
    found = ratio_of_members(cfg, state, "gen", before, batch["simulation_gen"])
    return jnp.where(iterations > 0, found * passed, 0.0)


def _drawn(cfg: UnfoldConfig, state: State, batch: Batch) -> jax.Array:
    """(members, n) or (members, 1) how often each member draws the measured events."""
    if not cfg.unfold.bootstraps:
        return jnp.ones((len(state.number), 1))
    found = jax.vmap(lambda m: drawn(cfg.train.seed, m, batch["measured_row"]))(state.number)
    first = cfg.train.members - cfg.unfold.bootstraps
    return jnp.where((state.number >= first)[:, None], found, 1.0)


def measured_weights(cfg: UnfoldConfig, state: State, batch: Batch) -> jax.Array:
    """(members, n) weights of measured events: drawn by the bootstrap, without background."""
    weight = batch["measured_weight"] * _drawn(cfg, state, batch)
    if "background" not in state.levels:
        return weight
    share = jnp.exp(ratio_of_members(cfg, state, "background", 0, batch["measured_reco"]))
    return weight * jnp.maximum(1.0 - share, 0.0)


Classes = tuple[jax.Array, jax.Array, jax.Array]
"""Events (n, ...) that networks see, and their weights (members, n) in class 1 and in class 0."""


def classes(
    cfg: UnfoldConfig, kind: Kind, place: jax.Array | int, state: State, batch: Batch
) -> Classes:
    """What a training tells apart: events, and their weights in both classes.

    Args:
      place: trainings of this kind that came before.
    """
    members = len(state.number)

    def side_by_side(one: Any, other: Any) -> Classes:
        (x, w), (y, v) = one, other
        w, v = (jnp.broadcast_to(a, (members, a.shape[-1])) for a in (w, v))
        return (
            jnp.concatenate([x, y]),
            jnp.concatenate([w, jnp.zeros_like(v)], axis=1),
            jnp.concatenate([jnp.zeros_like(w), v], axis=1),
        )

    if kind == "background":
        measured = batch["measured_weight"] * _drawn(cfg, state, batch)
        return side_by_side(
            (batch["background_reco"], batch["background_weight"][None]),
            (batch["measured_reco"], measured),
        )
    weight = batch["simulation_weight"]
    before = log_push(cfg, state, place, batch)
    passed = batch["simulation_pass_reco"]
    if kind == "reco":
        simulated = weight * jnp.exp(before) * passed
        weights = measured_weights(cfg, state, batch)
        return side_by_side(
            (batch["measured_reco"], weights), (batch["simulation_reco"], simulated)
        )
    factor = ratio_of_members(cfg, state, "reco", place, batch["simulation_reco"])
    pull = jnp.exp(before + factor * passed)
    taken = batch["simulation_pass_gen"] * (passed if cfg.unfold.acceptance == "mean" else 1.0)
    return (
        batch["simulation_gen"], weight * taken * pull,
        jnp.broadcast_to(weight * taken, (members, len(weight))),
    )  # fmt: skip


def _held(kind: Kind, batch: Batch) -> jax.Array:
    """(n,) which of the events of ``classes`` are held out."""
    names = {
        "background": ("background", "measured"), "reco": ("measured", "simulation"),
        "gen": ("simulation",),
    }[kind]  # fmt: skip
    return jnp.concatenate([batch[f"{name}_held"] for name in names])


def _update(
    cfg: UnfoldConfig, kind: Kind, state: State, batch: Batch, now: Now
) -> tuple[State, Metrics]:
    """One update of the networks of one training."""
    state = _begun(cfg, kind, state, now)
    level, name = state.levels[kind], "gen" if kind == "gen" else "reco"
    x, ones, zeros = jax.lax.stop_gradient(classes(cfg, kind, now.place, state, batch))
    held = _held(kind, batch)
    norm = len(batch["simulation_weight"]) * 2 * (1.0 - cfg.unfold.held_out)
    rates = replace(cfg.train, epochs=cfg.unfold.epochs)
    rate = optimizers.learning_rate(cfg.optimizer, rates, now.epoch)

    def of_network(scaling: Any, one: Any, zero: Any, params: Any, optimizer: Any) -> Any:
        def loss(p: Any) -> tuple[jax.Array, jax.Array]:
            logit = log_ratio(cfg, scaling, name, p, x)
            terms = one * jax.nn.softplus(-logit) + zero * jax.nn.softplus(logit)
            aside = jnp.stack([(held * terms).sum(), (held * (one + zero)).sum()])
            return ((1.0 - held) * terms).sum() / norm, aside

        (value, aside), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        new = optimizers.update(cfg.optimizer, optimizer, params, gradient, rate)
        return value, aside, *new

    over_ensemble = jax.vmap(of_network, in_axes=(None, None, None, 0, 0))
    value, aside, params, optimizer = jax.vmap(over_ensemble)(
        state.scaling, ones, zeros, level.params, level.optimizer
    )
    level = replace(level, params=params, optimizer=optimizer, held=level.held + aside)
    level = jax.lax.cond(now.last, lambda one: _looked(cfg, one, now.place), lambda one: one, level)
    state = replace(
        state, levels=state.levels | {kind: level}, looks=state.looks + now.last.astype(jnp.int32)
    )
    shown = jnp.broadcast_to(rate, state.number.shape)
    return state, {"loss": value.mean(axis=1), "learning_rate": shown}


def _begun(cfg: UnfoldConfig, kind: Kind, state: State, now: Now) -> State:
    """The state at the start of a training, for members that are not in it yet."""
    level, fresh = state.levels[kind], state.training != now.training
    # The kept networks of a training that is still to come are those that were born.
    start = kept_at(level, jnp.maximum(now.place - 1, 0) if cfg.unfold.warm else now.place)
    moments = jax.vmap(jax.vmap(lambda p: optimizers.init(cfg.optimizer, p)))(start)
    new = replace(
        level, params=start, optimizer=moments, best=jnp.full_like(level.best, WORST),
        held=jnp.zeros_like(level.held), kept=_put(level.kept, now.place, start),
    )  # fmt: skip
    training = jnp.broadcast_to(now.training, fresh.shape)
    levels = state.levels | {kind: _choose(fresh, new, level)}
    return replace(state, training=training, levels=levels)


def _put(kept: Any, place: jax.Array, params: Any) -> Any:
    return jax.tree.map(lambda all_, one: all_.at[:, place].set(one), kept, params)


def _choose(which: jax.Array, new: Any, old: Any) -> Any:
    """Of each array the members (or members and networks) where ``which`` is true from ``new``."""

    def one(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(which.reshape(which.shape + (1,) * (a.ndim - which.ndim)), a, b)

    return jax.tree.map(one, new, old)


def _looked(cfg: UnfoldConfig, level: Level, place: jax.Array) -> Level:
    """Keep the networks that are better on the held-out events than any epoch before."""
    loss = level.held[..., 0] / jnp.maximum(level.held[..., 1], 1e-20)
    better = loss < level.best
    each = jax.vmap(jax.vmap(partial(optimizers.trained, cfg.optimizer)))
    kept = _choose(better, each(level.optimizer, level.params), kept_at(level, place))
    best = jnp.where(better, loss, level.best)
    return replace(
        level, kept=_put(level.kept, place, kept), best=best, held=jnp.zeros_like(level.held),
        losses=level.losses.at[:, place].set(best),
    )  # fmt: skip
