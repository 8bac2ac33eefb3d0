"""Both stages as pure functions: layers from incident energies, cells from layers."""

from typing import Any

import jax
import jax.numpy as jnp

from hepjax.workloads.calo import layers, matching, scores
from hepjax.workloads.calo.config import CaloConfig
from hepjax.workloads.calo.geometry import from_layers, in_window, plan, with_window
from hepjax.workloads.calo.layers import Layers
from hepjax.workloads.calo.model import (
    Margins,
    Mixing,
    Profile,
    cell_flow,
    cells_inside,
    inner_of,
    layer_flow,
    margin_network,
    value_of,
    window_flow,
)
from hepjax.workloads.calo.project import with_energy, with_hits, with_moments

LARGEST = 8.0
"""Normal scores of stage 1 are cut off here where they are conditions."""


def incident_condition(cfg: CaloConfig, incident: jax.Array) -> jax.Array:
    """(n, 1): the logarithm of the incident energy (n,) GeV, -1.7 to 1.7 over the range."""
    low, high = (jnp.log(e) for e in cfg.energies)
    return (3.4 * (jnp.log(incident) - low) / (high - low) - 1.7)[:, None]


def scores_of(
    cfg: CaloConfig, stats: Any, true: Layers, incident: jax.Array, key: jax.Array
) -> jax.Array:
    """Normal scores (n, size) of layers; those of absent components are drawn."""
    k_vector, k_absent = jax.random.split(key)
    vector = layers.to_vector(cfg.calorimeter, cfg.threshold, true, incident, k_vector)
    found = scores.to_scores(stats["scores"], vector, incident_condition(cfg, incident))
    there = layers.present(cfg.calorimeter, true.hits, cfg.model.layers.moments)
    return jnp.where(there, found, jax.random.normal(k_absent, found.shape))


def layers_of(
    cfg: CaloConfig, params: Any, stats: Any, incident: jax.Array, noise: jax.Array
) -> tuple[jax.Array, Layers]:
    """Stage 1: the normal scores (n, size), and the layers.

    Args:
      incident: (n,) GeV.
      noise: (n, size) standard normal.
    """
    condition = incident_condition(cfg, incident)
    white = layer_flow(cfg).apply({"params": params["layers"]}, noise, condition, method="inverse")
    found = scores.coloured(stats["scores"], white)
    vector = scores.from_scores(stats["scores"], found, condition)
    groups = cfg.model.layers.moments
    made = layers.from_vector(cfg.calorimeter, cfg.threshold, vector, incident, groups)
    return found, made


def log_energy(cfg: CaloConfig, energy: jax.Array) -> jax.Array:
    """Logarithm of the layers' energies over the threshold; 0 of empty layers."""
    return jnp.log(jnp.maximum(energy / cfg.threshold, 1.0))


def condition_of(
    cfg: CaloConfig, incident: jax.Array, found: jax.Array, hits: jax.Array
) -> jax.Array:
    """What stage 2 is told: incident energy and the normal scores of stage 1, 0 where absent."""
    there = layers.present(cfg.calorimeter, hits, cfg.model.layers.moments)
    cut = jnp.where(there, jnp.clip(found, -LARGEST, LARGEST), 0.0)
    return jnp.concatenate([incident_condition(cfg, incident), cut], axis=1)


def margins_of(
    cfg: CaloConfig, params: Any, stats: Any, condition: jax.Array, wanted: Layers
) -> Margins:
    """Distributions of the cells given the layers."""
    return margin_network(cfg).apply(
        {"params": params["margins"]}, condition, log_energy(cfg, wanted.energy), wanted.hits,
        Profile(stats["hit"], stats["value"]),
    )  # fmt: skip


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
        empty = jnp.zeros((noise.shape[0], shape[0] * shape[1]))
        spread = empty.at[:, cells_inside(known)].set(noise).reshape(-1, *shape)
    if cfg.model.cells.copula == "matching":
        made = matching.student if cfg.objective.distil else matching.carried
        return made(cfg, params, spread, condition)
    if cfg.model.cells.copula == "mix":
        mixed = Mixing(known).apply({"params": params["copula"]}, spread)
        if not cfg.model.cells.window:
            return mixed
        inner = in_window(known, cfg.model.cells.window, spread)
        inner = window_flow(cfg).apply(
            {"params": params["window"]}, inner, condition, method="inverse"
        )
        return with_window(known, mixed, inner)
    return spread


def cells_of(
    cfg: CaloConfig, params: Any, stats: Any, incident: jax.Array, found: jax.Array,
    wanted: Layers, noise: jax.Array,
) -> jax.Array:  # fmt: skip
    """Stage 2: cells (n, layers, cells) GeV, 0 or at least the threshold.

    Args:
      found: (n, size) normal scores of stage 1.
    """
    known, threshold = cfg.calorimeter, cfg.threshold
    condition = condition_of(cfg, incident, found, wanted.hits)
    margins = margins_of(cfg, params, stats, condition, wanted)
    # Beyond this no shower was: the tails of a flow are not trained.
    normal = jnp.clip(correlated(cfg, params, condition, noise), -5.0, 5.0)
    cut, hit = with_hits(known, normal - margins.edge, wanted.hits)
    value = value_of(margins, inner_of(margins.edge + cut[..., None], normal))
    cells = with_energy(value, hit, wanted.energy, threshold)
    return with_moments(known, cells, wanted, threshold) if cfg.model.layers.moments else cells


def showers_of(
    cfg: CaloConfig, params: Any, stats: Any, incident: jax.Array, keys: jax.Array
) -> jax.Array:
    """Showers (n, *calorimeter.shape) GeV at incident energies (n,) GeV with keys (n,)."""
    first = layer_flow(cfg).size
    count = first + cfg.calorimeter.voxels
    noise = jax.vmap(lambda key: jax.random.normal(key, (count,)))(keys)
    found, wanted = layers_of(cfg, params, stats, incident, noise[:, :first])
    cells = cells_of(cfg, params, stats, incident, found, wanted, noise[:, first:])
    return from_layers(cfg.calorimeter, cells)
