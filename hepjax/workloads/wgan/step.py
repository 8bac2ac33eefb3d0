"""The update of all members, what the engine compiles."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine.workload import Batch, Clock, Metrics
from hepjax.workloads.wgan import restart, tournament
from hepjax.workloads.wgan.config import WganConfig
from hepjax.workloads.wgan.objective import Networks, State, choose, member_step, slice_of

MEETING_KEY = 2**31 - 2
"""A fold that no member reaches."""


def train_step(
    cfg: WganConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update of all members, by one ``vmap``; now and then a tournament, and those that failed
    begin anew."""
    mine = slice_of(cfg)

    def step(number: jax.Array, one: Networks) -> tuple[Networks, Metrics]:
        real, energy = batch["voxels"][:, mine[number]], batch["energy"][:, mine[number]]
        return member_step(cfg, one, real, energy, jax.random.fold_in(key, number), clock)

    each, metrics = jax.vmap(step)(jnp.arange(cfg.members), state.each)
    # A member with a non-finite number stays as it was, and fails at the next look.
    finite = _finite(each, cfg.members) & jnp.isfinite(metrics["critic_loss"])
    each = choose(finite, each, state.each)
    metrics = {name: jnp.where(finite, x, 0.0) for name, x in metrics.items()}
    state = replace(state, each=each)
    updates = clock.updates.astype(jnp.int32)

    def at(every: int, state: State, change: Callable[[State], State]) -> State:
        return jax.lax.cond(updates % every == every - 1, change, lambda s: s, state)

    rule = cfg.objective
    if rule.tournament_every:
        meet = partial(tournament.held, cfg, batch=batch, key=jax.random.fold_in(key, MEETING_KEY))
        state = at(rule.tournament_every, state, meet)
    if rule.restart_every:
        look = partial(restart.looked_at, cfg, batch=batch, key=key, updates=updates, finite=finite)
        state = at(rule.restart_every, state, look)
    return state, metrics | {"restarts": state.restarts.astype(jnp.float32)}


def _finite(tree: Any, members: int) -> jax.Array:
    """(members,) whether all arrays of a member are finite."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.stack([jnp.isfinite(x.reshape(members, -1)).all(1) for x in leaves]).all(0)
