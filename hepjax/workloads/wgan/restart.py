"""Members that fail begin anew without a human: when, and from what.

``State.reason`` says why: 1, its losses are not finite; 2, its best score is far above the median
of all; 3, it has not improved for long.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp

from hepjax.engine.workload import Batch
from hepjax.workloads.wgan import score
from hepjax.workloads.wgan.config import WganConfig
from hepjax.workloads.wgan.objective import (
    WORST,
    State,
    born,
    choose,
    fresh,
    generators,
    slice_of,
)

NOT_FINITE, POOR, STUCK = 1, 2, 3
LOOK_KEY = 2**31 - 1
"""A fold that no member reaches."""


def looked_at(
    cfg: WganConfig, state: State, batch: Batch, key: jax.Array, updates: jax.Array,
    finite: jax.Array,
) -> State:  # fmt: skip
    """Score the members against all showers of their slice, and let those that failed begin anew.

    Args:
      batch: the facts in it count, see reference.py.
      finite: (members,) whether the last update of each was finite.
    """
    current = generators(cfg, state.each)
    made = score.made(cfg, current, batch, jax.random.fold_in(key, LOOK_KEY))
    real = batch["histograms"].sum(1)[slice_of(cfg)]  # of all replicas together
    now = score.reduced(real, made.histograms)
    better = now < state.score
    state = replace(
        state, score=jnp.minimum(now, state.score),
        improved=jnp.where(better, updates, state.improved),
        kept=choose(better, current, state.kept),
    )  # fmt: skip
    reason = failure(cfg, state, updates, finite)
    failed = reason > 0
    donor, there = donors(cfg, state, failed)
    keys = jax.vmap(lambda m: jax.random.fold_in(key, m))(jnp.arange(cfg.members))
    weights = jax.tree.map(lambda x: x[donor], state.each)
    heirs = jax.vmap(lambda w: fresh(cfg, w.generator, w.critic))(weights)
    new = choose(there, heirs, jax.vmap(lambda k: born(cfg, k))(keys))
    return replace(
        state,
        each=choose(failed, new, state.each),
        score=jnp.where(failed, jnp.float32(WORST), state.score),
        improved=jnp.where(failed, updates, state.improved),
        begun=jnp.where(failed, updates, state.begun),
        restarts=state.restarts + failed.astype(jnp.int32),
        reason=jnp.where(failed, reason, state.reason),
        donor=jnp.where(failed, jnp.where(there, donor.astype(jnp.int32), -1), state.donor),
    )


def failure(cfg: WganConfig, state: State, updates: jax.Array, finite: jax.Array) -> jax.Array:
    """(members,) int32 why a member begins anew, 0 for one that goes on, or that has begun anew as
    often as is allowed."""
    rule = cfg.objective
    old = updates - state.begun >= rule.restart_after
    poor = old & (state.score > rule.restart_above * jnp.median(state.score))
    stuck = updates - state.improved >= rule.restart_patience
    why = jnp.where(~finite, NOT_FINITE, jnp.where(poor, POOR, jnp.where(stuck, STUCK, 0)))
    return jnp.where(state.restarts < rule.most_restarts, why, 0).astype(jnp.int32)


def donors(cfg: WganConfig, state: State, failed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(members,) the best other member of the same slice or a neighbour of it, and whether there is
    one that has not failed itself."""
    mine = slice_of(cfg)
    near = jnp.abs(mine[:, None] - mine[None]) <= 1
    usable = near & ~failed[None] & ~jnp.eye(cfg.members, dtype=bool)
    usable &= (state.score < WORST)[None]
    ranked = jnp.where(usable, state.score[None], jnp.inf)
    return jnp.argmin(ranked, axis=1), usable.any(axis=1)
