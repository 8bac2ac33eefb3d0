"""Members that fail begin anew without a human: when, and from what."""

from dataclasses import replace

import jax
import jax.numpy as jnp

from hepjax.engine.workload import Batch
from hepjax.workloads.wgan import score
from hepjax.workloads.wgan.config import WganConfig
from hepjax.workloads.wgan.objective import State, born, choose, fresh, slice_of, variables
from hepjax.workloads.wgan.validation import counts

LOOK_KEY = 2**31 - 1
"""A fold that no member reaches."""


def looked_at(
    cfg: WganConfig, state: State, batch: Batch, key: jax.Array, updates: jax.Array,
    finite: jax.Array,
) -> State:  # fmt: skip
    """Score the members on the events of a batch, and let those that failed begin anew."""
    current = variables(cfg, state.each)
    found = counts(cfg, current, batch, jax.random.fold_in(key, LOOK_KEY))
    now = score.reduced(*found)
    better = now < state.score
    state = replace(
        state, score=jnp.minimum(now, state.score),
        improved=jnp.where(better, updates, state.improved),
        kept=choose(better, current, state.kept),
    )  # fmt: skip
    failed = has_failed(cfg, state, updates, finite)
    donor, there = donors(cfg, state, failed)
    keys = jax.vmap(lambda m: jax.random.fold_in(key, m))(jnp.arange(cfg.members))
    weights = jax.tree.map(lambda x: x[donor], state.each)
    heirs = jax.vmap(lambda w: fresh(cfg, w.generator, w.stats, w.critic))(weights)
    new = choose(there, heirs, jax.vmap(lambda k: born(cfg, k))(keys))
    return replace(
        state,
        each=choose(failed, new, state.each),
        score=jnp.where(failed, jnp.float32(score.WORST), state.score),
        improved=jnp.where(failed, updates, state.improved),
        begun=jnp.where(failed, updates, state.begun),
        restarts=state.restarts + failed.astype(jnp.int32),
    )


def has_failed(cfg: WganConfig, state: State, updates: jax.Array, finite: jax.Array) -> jax.Array:
    """(members,) whether a member begins anew: its losses are not finite, its best score is far
    above the median of all, or it has not improved for long; not more often than allowed."""
    rule = cfg.objective
    old = updates - state.begun >= rule.restart_after
    poor = old & (state.score > rule.restart_above * jnp.median(state.score))
    stuck = updates - state.improved >= rule.restart_patience
    return (~finite | poor | stuck) & (state.restarts < rule.most_restarts)


def donors(cfg: WganConfig, state: State, failed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(members,) the best other member of the same slice or a neighbour of it, and whether there is
    one that has not failed itself."""
    mine = slice_of(cfg)
    near = jnp.abs(mine[:, None] - mine[None]) <= 1
    usable = near & ~failed[None] & ~jnp.eye(cfg.members, dtype=bool)
    usable &= (state.score < score.WORST)[None]
    ranked = jnp.where(usable, state.score[None], jnp.inf)
    return jnp.argmin(ranked, axis=1), usable.any(axis=1)
