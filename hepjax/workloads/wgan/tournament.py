"""Tournaments of generators (LTFB): members of a slice meet in pairs and take what is better.

Only generators travel, with their batch statistics and the state of their optimizer; critics stay,
so that a generator meets several. Both of a pair judge both generators on a sample of their own
with the same noise, and each decides alone: its own generator stays if it wins any metric, the
other one must win all (Jacobs et al., arXiv:1910.02270, and the documentation of LBANN).
"""

import itertools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine.workload import Batch
from hepjax.workloads.wgan import score
from hepjax.workloads.wgan.config import WganConfig
from hepjax.workloads.wgan.objective import (
    Networks,
    State,
    choose,
    generated,
    noise_of,
    slice_of,
    variables,
)


def pairs(cfg: WganConfig, key: jax.Array) -> jax.Array:
    """(members,) the partner of each: random pairs of replicas of a slice; an odd one meets
    itself."""

    def one(key: jax.Array) -> jax.Array:
        order = jax.random.permutation(key, cfg.replicas)
        place = jnp.argsort(order)
        last = (cfg.replicas % 2 == 1) & (place == cfg.replicas - 1)
        return order[jnp.where(last, place, place ^ 1)]

    keys = jax.random.split(key, cfg.slices)
    return (jax.vmap(one)(keys) + jnp.arange(cfg.slices)[:, None] * cfg.replicas).reshape(-1)


def metrics(
    cfg: WganConfig, generators: Any, voxels: jax.Array, energy: jax.Array, edges: jax.Array,
    noise: jax.Array,
) -> jax.Array:  # fmt: skip
    """(2,) of one generator on a sample (n, voxels), (n,): chi2 of the total energy, and the mean
    over the layers of the difference of their mean energies over its spread. Lower is better."""
    made = generated(cfg, generators, energy, noise)
    ones = jnp.ones(len(energy))
    real, fake = (
        score.histograms(cfg, x.sum(-1), energy, edges, ones)[None] for x in (voxels, made)
    )
    ends = cfg.calorimeter.offsets
    layers = [slice(a, b) for a, b in itertools.pairwise(ends)]
    by_layer = [
        jnp.abs(voxels[:, s].sum(-1).mean() - made[:, s].sum(-1).mean())
        / (voxels[:, s].sum(-1).std() + 1e-6)
        for s in layers
    ]
    return jnp.stack([score.reduced(real, fake)[0], jnp.mean(jnp.stack(by_layer))])


def wins(own: jax.Array, other: jax.Array) -> jax.Array:
    """Whether the other generator wins every metric (last axis)."""
    return jnp.all(other < own, axis=-1)


def held(cfg: WganConfig, state: State, batch: Batch, key: jax.Array) -> State:
    """One tournament: each member judges on its own share of the events of a batch."""
    k_pairs, k_noise = jax.random.split(key)
    partner = pairs(cfg, k_pairs)
    current = variables(cfg, state.each)
    theirs = jax.tree.map(lambda x: x[partner], current)
    share = len(batch["energy"]) // cfg.replicas
    mine = slice_of(cfg)

    def judged(number: jax.Array, own: Any, other: Any) -> jax.Array:
        rows = (number % cfg.replicas) * share + jnp.arange(share)
        voxels = batch["voxels"][rows, mine[number]]
        energy, edges = batch["energy"][rows, mine[number]], batch["edges"][mine[number]]
        noise = noise_of(cfg, jax.random.fold_in(k_noise, number), share)
        found = [metrics(cfg, g, voxels, energy, edges, noise) for g in (own, other)]
        return wins(*found)

    taken = jax.vmap(judged)(jnp.arange(cfg.members), current, theirs)
    each = state.each
    moved = {
        name: choose(taken, jax.tree.map(lambda x: x[partner], part), part)
        for name in ("generator", "stats", "generator_optimizer")
        for part in (getattr(each, name),)
    }
    origin = jnp.where(taken, state.origin[partner], state.origin)
    networks = Networks(critic=each.critic, critic_optimizer=each.critic_optimizer, **moved)
    return replace(state, each=networks, origin=origin)
