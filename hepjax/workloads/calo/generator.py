"""Both stages as pure functions: layers from incident energies, cells from layers."""

from typing import Any

import jax
import jax.numpy as jnp

from hepjax.workloads.calo import layers
from hepjax.workloads.calo.config import CaloConfig
from hepjax.workloads.calo.geometry import from_layers, plan
from hepjax.workloads.calo.layers import Layers
from hepjax.workloads.calo.model import (
    Margins,
    Mixing,
    cell_flow,
    cells_inside,
    layer_flow,
    margin_network,
    value_of,
)
from hepjax.workloads.calo.project import with_energy, with_hits, with_moments

LARGEST = 8.0
"""Standardised components of the vector of stage 1 are cut off here where they are conditions."""


def incident_condition(cfg: CaloConfig, incident: jax.Array) -> jax.Array:
    """(n, 1): the logarithm of the incident energy (n,) GeV, -1.7 to 1.7 over the range."""
    low, high = (jnp.log(e) for e in cfg.energies)
    return (3.4 * (jnp.log(incident) - low) / (high - low) - 1.7)[:, None]


def standardised(stats: Any, vector: jax.Array) -> jax.Array:
    """The vector of stage 1 with mean 0 and spread 1 on the training showers."""
    return (vector - stats["mean"]) / stats["spread"]


def layers_of(
    cfg: CaloConfig, params: Any, stats: Any, incident: jax.Array, noise: jax.Array
) -> tuple[jax.Array, Layers]:
    """Stage 1: the standardised vector, and the layers.

    Args:
      incident: (n,) GeV.
      noise: (n, size) standard normal.
    """
    condition = incident_condition(cfg, incident)
    vector = layer_flow(cfg).apply({"params": params["layers"]}, noise, condition, method="inverse")
    whole = vector * stats["spread"] + stats["mean"]
    made = layers.from_vector(cfg.calorimeter, cfg.threshold, whole, incident)
    return vector, made


def log_energy(cfg: CaloConfig, energy: jax.Array) -> jax.Array:
    """Logarithm of the layers' energies over the threshold; 0 of empty layers."""
    return jnp.log(jnp.maximum(energy / cfg.threshold, 1.0))


def condition_of(cfg: CaloConfig, incident: jax.Array, vector: jax.Array) -> jax.Array:
    """What stage 2 is told: incident energy and the standardised vector of stage 1."""
    cut = jnp.clip(vector, -LARGEST, LARGEST)
    return jnp.concatenate([incident_condition(cfg, incident), cut], axis=1)


def margins_of(
    cfg: CaloConfig, params: Any, stats: Any, condition: jax.Array, energy: jax.Array
) -> Margins:
    """Distributions of the cells given the layers' energies (n, layers) GeV."""
    return margin_network(cfg).apply(
        {"params": params["margins"]}, condition, log_energy(cfg, energy), stats["profile"]
    )


def correlated(cfg: CaloConfig, params: Any, condition: jax.Array, noise: jax.Array) -> jax.Array:
    """The copula: dependent standard normal numbers (n, layers, cells) from independent ones.

    Args:
      noise: (n, voxels), layer by layer.
    """
    known = cfg.calorimeter
    shape = plan(known).inside.shape
    if cfg.model.cells.copula == "flow":
        noise = cell_flow(cfg).apply(
            {"params": params["copula"]}, noise, condition, method="inverse"
        )
    if known.box or known.regular is not None:
        spread = noise.reshape(-1, *shape)
    else:
        empty = jnp.zeros((len(noise), shape[0] * shape[1]))
        spread = empty.at[:, cells_inside(known)].set(noise).reshape(-1, *shape)
    if cfg.model.cells.copula == "mix":
        spread = Mixing(known).apply({"params": params["copula"]}, spread)
    return spread


def cells_of(
    cfg: CaloConfig, params: Any, stats: Any, incident: jax.Array, vector: jax.Array,
    wanted: Layers, noise: jax.Array,
) -> jax.Array:  # fmt: skip
    """Stage 2: cells (n, layers, cells) GeV, 0 or at least the threshold."""
    known, threshold = cfg.calorimeter, cfg.threshold
    condition = condition_of(cfg, incident, vector)
    margins = margins_of(cfg, params, stats, condition, wanted.energy)
    normal = correlated(cfg, params, condition, noise)
    # Beyond this no shower was: the tails of a flow are not trained.
    value = value_of(margins, jnp.clip(normal, -5.0, 5.0))
    if not cfg.model.layers.moments:
        value = jnp.where(plan(known).inside, value, -jnp.inf)
        return with_energy(value, wanted.energy, threshold)
    value = with_hits(known, value, wanted.hits)
    cells = with_energy(value, wanted.energy, threshold)
    return with_moments(known, cells, wanted, threshold)


def showers_of(
    cfg: CaloConfig, params: Any, stats: Any, incident: jax.Array, keys: jax.Array
) -> jax.Array:
    """Showers (n, *calorimeter.shape) GeV at incident energies (n,) GeV with keys (n,)."""
    first = layer_flow(cfg).size
    count = first + cfg.calorimeter.voxels
    noise = jax.vmap(lambda key: jax.random.normal(key, (count,)))(keys)
    vector, wanted = layers_of(cfg, params, stats, incident, noise[:, :first])
    cells = cells_of(cfg, params, stats, incident, vector, wanted, noise[:, first:])
    return from_layers(cfg.calorimeter, cells)
