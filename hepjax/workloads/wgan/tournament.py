"""Tournaments of generators (LTFB): members of a slice meet in pairs and take what is better.

Only generators travel, with the state of their optimizer; critics stay, so that a generator meets
several. Both of a pair judge both generators against real showers of their own, with the same
noise, and each decides alone: its own generator stays if it wins any metric, the other one must win
all (Jacobs et al., arXiv:1910.02270, and the documentation of LBANN). Unlike there, all replicas of
a slice train on the same events.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp

from hepjax.engine import exchange
from hepjax.engine.workload import Batch
from hepjax.workloads.wgan import score
from hepjax.workloads.wgan.config import WganConfig
from hepjax.workloads.wgan.objective import Networks, State, choose, generators, slice_of


def pairs(cfg: WganConfig, key: jax.Array) -> jax.Array:
    """(members,) the partner of each, of the same slice; an odd one meets itself."""
    met = jax.vmap(lambda k: exchange.pairs(k, cfg.replicas))(jax.random.split(key, cfg.slices))
    return (met + jnp.arange(cfg.slices)[:, None] * cfg.replicas).reshape(-1)


def metrics(made: score.Made, histograms: jax.Array, layers: jax.Array) -> jax.Array:
    """(members, 2) of generators against the real showers of who judges: chi2 of the total energy,
    and how far the mean energies of the layers are off, in spreads. Lower is better.

    Args:
      histograms: (members, energies, BINS) of the judges.
      layers: (members, energies, layers, 2) of the judges, mean and spread.
    """
    mean, spread = layers[..., 0], layers[..., 1]
    known = (spread > 0).astype(jnp.float32)
    off = jnp.abs(made.layers - mean) / jnp.where(spread > 0, spread, 1.0)
    off = (off * known).sum((-1, -2)) / jnp.maximum(known.sum((-1, -2)), 1.0)
    return jnp.stack([score.reduced(histograms, made.histograms), off], axis=-1)


def wins(own: jax.Array, other: jax.Array) -> jax.Array:
    """Whether the other generator wins every metric (last axis)."""
    return jnp.all(other < own, axis=-1)


def held(cfg: WganConfig, state: State, batch: Batch, key: jax.Array) -> State:
    """One tournament.

    Args:
      batch: the facts in it count, see reference.py; replica r judges by part r.
    """
    k_pairs, k_noise = jax.random.split(key)
    partner = pairs(cfg, k_pairs)
    made = score.made(cfg, generators(cfg, state.each), batch, k_noise)
    mine, part = slice_of(cfg), jnp.arange(cfg.members) % cfg.replicas
    judges = (batch["histograms"][mine, part], batch["layers"][mine, part])
    theirs = jax.tree.map(lambda x: x[partner], made)
    taken = wins(metrics(made, *judges), metrics(theirs, *judges))
    each = state.each
    moved = {
        name: choose(taken, jax.tree.map(lambda x: x[partner], part), part)
        for name in ("generator", "generator_optimizer")
        for part in (getattr(each, name),)
    }
    origin = jnp.where(taken, state.origin[partner], state.origin)
    networks = Networks(critic=each.critic, critic_optimizer=each.critic_optimizer, **moved)
    return replace(state, each=networks, origin=origin)
