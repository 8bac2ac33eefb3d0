"""The score of each member, from sums over the validation events."""

from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine.workload import Batch, Metrics
from hepjax.workloads.wgan import score
from hepjax.workloads.wgan.config import WganConfig
from hepjax.workloads.wgan.objective import State, answering, generated, noise_of, slice_of


def counts(cfg: WganConfig, each: Any, batch: Batch, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Histograms (members, energies, BINS) of real and of generated showers of a batch.

    Args:
      each: variables of the generators.
    """
    mine = slice_of(cfg)
    weight = batch.get("mask", jnp.ones(len(batch["energy"])))

    def one(number: jax.Array, networks: Any) -> tuple[jax.Array, jax.Array]:
        energy, edges = batch["energy"][:, mine[number]], batch["edges"][mine[number]]
        noise = noise_of(cfg, jax.random.fold_in(key, number), len(energy))
        made = generated(cfg, networks, energy, noise)
        real = batch["voxels"][:, mine[number]]
        return (
            score.histograms(cfg, real.sum(-1), energy, edges, weight),
            score.histograms(cfg, made.sum(-1), energy, edges, weight),
        )

    return jax.vmap(one)(jnp.arange(cfg.members), each)


def eval_step(cfg: WganConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Histograms of the total energy of the events of a batch, real and generated."""
    real, made = counts(cfg, answering(cfg, state), batch, key)
    return {"real": real, "made": made}


def summarise(cfg: WganConfig, sums: dict[str, Any]) -> dict[str, Any]:
    """The score of each member: chi2 over degrees of freedom."""
    found = score.reduced(jnp.asarray(sums["real"]), jnp.asarray(sums["made"]))
    return {score.NAME: [float(x) for x in found]}
