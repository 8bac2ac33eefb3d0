"""The score of each member, from sums over the validation events."""

from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine.workload import Batch, Metrics
from hepjax.workloads.wgan import score
from hepjax.workloads.wgan.config import WganConfig
from hepjax.workloads.wgan.objective import State, answering, generated, noise_of, slice_of


def eval_step(cfg: WganConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Histograms (members, energies, BINS) of the total energy of the events of a batch, real and
    generated; and, once a batch, what became of each member."""
    mine = slice_of(cfg)
    weight = batch.get("mask", jnp.ones(len(batch["energy"])))

    def one(number: jax.Array, weights: Any) -> tuple[jax.Array, jax.Array]:
        energy, edges = batch["energy"][:, mine[number]], batch["edges"][mine[number]]
        noise = noise_of(cfg, jax.random.fold_in(key, number), len(energy))
        made = generated(cfg, weights, energy, noise)
        real = batch["voxels"][:, mine[number]]
        return (
            score.histograms(cfg, real.sum(-1), energy, edges, weight),
            score.histograms(cfg, made.sum(-1), energy, edges, weight),
        )

    real, made = jax.vmap(one)(jnp.arange(cfg.members), answering(cfg, state))
    return {"real": real, "made": made, "batches": jnp.float32(1), **course(cfg, state)}


def course(cfg: WganConfig, state: State) -> Metrics:
    """(members,) how often, when, why and from whom each restarted, and whose generator it has."""
    told = {
        "restarts": state.restarts, "restart_update": state.begun, "restart_reason": state.reason,
        "restart_donor": state.donor,
    }  # fmt: skip
    if cfg.objective.tournament_every:
        told["origin"] = state.origin
    return {name: x.astype(jnp.float32) for name, x in told.items()}


def summarise(cfg: WganConfig, sums: dict[str, Any]) -> dict[str, Any]:
    """The score of each member, chi2 over degrees of freedom, and its course."""
    found = score.reduced(jnp.asarray(sums["real"]), jnp.asarray(sums["made"]))
    batches = float(sums["batches"])
    told = {
        name: [round(float(x) / batches) for x in values]
        for name, values in sums.items() if name not in ("real", "made", "batches")
    }  # fmt: skip
    return {score.NAME: [float(x) for x in found]} | told
