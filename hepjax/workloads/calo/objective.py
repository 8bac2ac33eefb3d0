"""Losses and the update of the two-stage generators, as pure functions of state, batch and key.

Stage 1 and a copula that is a flow maximise their exact likelihood. The margins of the cells
maximise theirs, with empty cells as censored ones (Tobin, Econometrica 26, 1958). The copula sees
the normal numbers that the margins make of the cells (inference functions for margins, Joe, 1997);
the number of an empty cell is drawn below its threshold.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine import optimizers
from hepjax.engine.gradient import mean_gradient
from hepjax.engine.mesh import average, split_events, whole
from hepjax.engine.workload import Batch, Clock, Metrics, Spec
from hepjax.nn.flows import log_normal
from hepjax.ops.densify import densify
from hepjax.workloads.calo import critic, layers
from hepjax.workloads.calo.config import CaloConfig
from hepjax.workloads.calo.generator import (
    condition_of,
    incident_condition,
    log_energy,
    margins_of,
    standardised,
)
from hepjax.workloads.calo.geometry import plan, shifted, to_layers, turned
from hepjax.workloads.calo.model import (
    Margins,
    Mixing,
    average_cells,
    cell_flow,
    cells_inside,
    layer_flow,
    margin_network,
    normal_of,
)

FAR = 5.0
"""Normal numbers are cut off here before the copula sees them."""
BELOW = -1.5
"""What an empty cell counts as in the mean profile, in units of the logarithm of a cell."""
LAGS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))
"""Distances of the pairs of cells whose correlations the mixing is matched to."""
SURELY_HIT = 0.8
"""Probability of a hit from which on cells enter these correlations."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes."""

    params: Any
    """``layers``, ``margins`` and ``copula``."""
    optimizer: Any
    stats: Any
    """Means and spreads of the training showers; constant after the first updates."""
    critic: Any
    """Parameters and optimizer of the critic; empty without one."""


def init(cfg: CaloConfig, key: jax.Array) -> State:
    """The state before the first update."""
    known = cfg.calorimeter
    shape = plan(known).inside.shape
    size = layer_flow(cfg).size
    k_layers, k_margins, k_copula, k_critic = jax.random.split(key, 4)
    vector, incident = jnp.zeros((1, size)), jnp.zeros((1, 1))
    condition, energy = jnp.zeros((1, size + 1)), jnp.zeros((1, shape[0]))
    profile = jnp.broadcast_to(-jnp.log(jnp.asarray(average_cells(known), jnp.float32)), shape)
    if cfg.model.cells.copula == "flow":
        copula = cell_flow(cfg).init(k_copula, jnp.zeros((1, known.voxels)), condition)
    else:
        copula = Mixing(known).init(k_copula, jnp.zeros((1, *shape)))
    params = {
        "layers": layer_flow(cfg).init(k_layers, vector, incident)["params"],
        "margins": margin_network(cfg).init(k_margins, condition, energy, profile)["params"],
        "copula": copula["params"],
    }
    stats = {
        "batches": jnp.float32(0), "mean": jnp.zeros(size), "square": jnp.ones(size),
        "spread": jnp.ones(size), "profile": profile,
        "weight": jnp.zeros(shape[0]), "sums": jnp.zeros(shape),
    }  # fmt: skip
    judge = critic.init(cfg, k_critic) if cfg.objective.critic_from else {}
    return State(params, optimizers.init(cfg.optimizer, params), stats, judge)


def prepare(cfg: CaloConfig, spec: Spec, raw: Batch) -> Batch:
    """Dense showers ``shower`` (n, *calorimeter.shape) GeV, cells below the threshold 0, and
    ``energy`` (n,) GeV, with ``mask`` where there is one."""
    if "ecal" in raw:
        cells = raw["ecal"]
    else:
        shape = cfg.calorimeter.shape
        cells = densify(raw["cell"], raw["value"], shape, (1,))[..., 0]
    cells = jnp.where(cells < cfg.threshold, 0.0, cells.astype(jnp.float32))
    kept = {name: raw[name] for name in ("energy", "mask") if name in raw}
    return kept | {"shower": split_events(cfg.mesh, cells)}


def stage_1(
    cfg: CaloConfig, params: Any, stats: Any, vector: jax.Array, incident: jax.Array
) -> jax.Array:
    """Negative log-likelihood (n,) of standardised vectors; that of the scaling is left out."""
    z, slopes = layer_flow(cfg).apply(
        {"params": params["layers"]}, vector, incident_condition(cfg, incident)
    )
    return -(log_normal(z) + slopes)


def margin_loss(margins: Margins, value: jax.Array, hit: jax.Array) -> jax.Array:
    """Negative log-likelihood of each cell, (n, layers, cells): a density of hits, a probability of
    empty cells."""
    normal, slope = normal_of(margins, jnp.where(hit, value, 0.0))
    density = -0.5 * (normal * normal + jnp.log(2 * jnp.pi)) + slope
    return -jnp.where(hit, density, jax.scipy.special.log_ndtr(normal))


def normal_numbers(margins: Margins, value: jax.Array, hit: jax.Array, key: jax.Array) -> jax.Array:
    """Numbers that are standard normal if the margins are right; of empty cells drawn below 0."""
    normal, _ = normal_of(margins, jnp.where(hit, value, 0.0))
    share = jax.random.uniform(key, value.shape, minval=1e-6, maxval=1.0)
    below = jax.scipy.special.ndtri(share * jax.scipy.special.ndtr(jnp.maximum(normal, -FAR)))
    return jnp.clip(jnp.where(hit, normal, below), -FAR, FAR)


def flow_loss(cfg: CaloConfig, params: Any, normal: jax.Array, condition: jax.Array) -> jax.Array:
    """Negative log-likelihood (n,) of normal numbers under the flow, less that of independence."""
    flat = normal.reshape(len(normal), -1)[:, cells_inside(cfg.calorimeter)]
    z, slopes = cell_flow(cfg).apply({"params": params["copula"]}, flat, condition)
    return log_normal(flat) - log_normal(z) - slopes


def mixing_loss(cfg: CaloConfig, params: Any, normal: jax.Array, weight: jax.Array) -> jax.Array:
    """Squared distance of the correlations of neighbours from those of the mixing, a mean.

    Args:
      normal: (n, layers, cells).
      weight: the same shape, 1 for cells that count and 0 for others.
    """
    weights = Mixing(cfg.calorimeter).apply({"params": params["copula"]}, method="weights")
    kernel = weights.reshape(-1, 3, 3)
    norm = (kernel**2).sum((1, 2))
    total = jnp.zeros(())
    for a, b in LAGS:
        both = weight * shifted(cfg.calorimeter, weight, a, b)
        product = normal * shifted(cfg.calorimeter, normal * weight, a, b)
        pairs = both.sum((0, 2))
        found = (both * product).sum((0, 2)) / jnp.maximum(pairs, 1.0)
        padded = jnp.pad(kernel, ((0, 0), (2, 2), (2, 2)))
        moved = padded[:, 2 + a : 5 + a, 2 + b : 5 + b]
        expected = (kernel * moved).sum((1, 2)) / norm
        total += (pairs * (found - expected) ** 2).sum() / jnp.maximum(pairs.sum(), 1.0)
    return total / len(LAGS)


def losses(
    cfg: CaloConfig, params: Any, stats: Any, shower: jax.Array, incident: jax.Array,
    key: jax.Array, every: int = 1,
) -> Metrics:  # fmt: skip
    """The loss of each part on each shower, (n,); of the mixing one mean for all.

    Args:
      every: stage 2 sees one in so many showers only.
    """
    known = cfg.calorimeter
    k_vector, k_normal = jax.random.split(key)
    cells = to_layers(known, shower)
    true = layers.measured(known, cells)
    vector = standardised(stats, layers.to_vector(
        known, cfg.threshold, true, incident, k_vector, moments=cfg.model.layers.moments
    ))  # fmt: skip
    found = {"layers": stage_1(cfg, params, stats, vector, incident)}
    cells, energy = cells[::every], true.energy[::every]
    condition = condition_of(cfg, incident, vector)[::every]
    margins = margins_of(cfg, params, stats, condition, energy)
    hit = cells > 0
    value = jnp.log(jnp.maximum(cells / cfg.threshold, 1.0))
    # Cells of empty layers are certain, and the padding is no cell.
    inside = plan(known).inside & (energy > 0)[..., None]
    of_cells = jnp.where(inside, margin_loss(margins, value, hit), 0.0).sum((1, 2))
    fixed = jax.lax.stop_gradient(margins)
    normal = jnp.where(inside, normal_numbers(fixed, value, hit, k_normal), 0.0)
    if cfg.model.cells.copula == "flow":
        copula = flow_loss(cfg, params, normal, condition)
    else:
        at_0, _ = normal_of(fixed, jnp.zeros_like(value))
        sure = jnp.asarray(inside & hit) & (jax.scipy.special.ndtr(-at_0) > SURELY_HIT)
        copula = mixing_loss(cfg, params, normal, sure.astype(jnp.float32))
    return found | {"margins": of_cells, "copula": copula}


def total_loss(cfg: CaloConfig, parts: Metrics) -> jax.Array:
    """The sum of the parts, likelihoods per component."""
    voxels = cfg.calorimeter.voxels
    flow = cfg.model.cells.copula == "flow"
    return (
        parts["layers"] / layer_flow(cfg).size
        + parts["margins"] / voxels
        + parts["copula"] / (voxels if flow else 1.0)
    )


def gathered(cfg: CaloConfig, stats: Any, shower: jax.Array, incident: jax.Array, key: jax.Array
) -> Any:  # fmt: skip
    """Statistics with one batch more: mean and spread of the vector, mean profile of the cells."""
    known = cfg.calorimeter
    cells = to_layers(known, shower)
    true = layers.measured(known, cells)
    vector = layers.to_vector(
        known, cfg.threshold, true, incident, key, moments=cfg.model.layers.moments
    )
    some = (true.energy > 0).astype(jnp.float32)
    value = jnp.where(cells > 0, jnp.log(jnp.maximum(cells / cfg.threshold, 1.0)), BELOW)
    value = (value - log_energy(cfg, true.energy)[..., None]) * some[..., None]
    mean, square, weight, sums = average(
        cfg.mesh, (vector.mean(0), (vector**2).mean(0), some.mean(0), value.mean(0))
    )
    done = stats["batches"]

    def mixed(old: jax.Array, new: jax.Array) -> jax.Array:
        return (old * done + new) / (done + 1)

    new = {
        "batches": done + 1, "mean": mixed(stats["mean"], mean),
        "square": mixed(stats["square"], square), "weight": mixed(stats["weight"], weight),
        "sums": mixed(stats["sums"], sums),
    }  # fmt: skip
    spread = jnp.sqrt(jnp.maximum(new["square"] - new["mean"] ** 2, 1e-4))
    profile = new["sums"] / jnp.maximum(new["weight"], 1e-6)[:, None]
    profile = jnp.where(new["weight"][:, None] > 0, profile, stats["profile"])
    return new | {"spread": spread, "profile": profile}


def train_step(
    cfg: CaloConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update: statistics first, then likelihood, then (if asked for) the critic."""
    k_turn, k_loss, k_stats, k_critic = jax.random.split(key, 4)
    shower, incident = batch["shower"], batch["energy"]
    if cfg.objective.symmetric:
        shower = split_events(cfg.mesh, turned(cfg.calorimeter, shower, k_turn))
    gathering = clock.updates < cfg.objective.statistics
    new = gathered(cfg, state.stats, shower, incident, k_stats)
    stats = jax.tree.map(lambda a, b: jnp.where(gathering, a, b), new, state.stats)

    def loss(params: Any, events: Any, key: jax.Array) -> tuple[jax.Array, Metrics]:
        shower, incident = events
        every = cfg.objective.cells_every
        parts = losses(cfg, params, stats, shower, incident, key, every)
        means = {name: part.mean() for name, part in parts.items()}
        value = total_loss(cfg, means)
        return value, means | {"loss": value}

    (_, metrics), gradients = mean_gradient(cfg, loss, state.params, (shower, incident), k_loss)
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)
    rate = jnp.where(gathering, 0.0, rate)
    state = replace(state, stats=stats)
    if cfg.objective.critic_from:
        state, gradients, judged = critic.step(
            cfg, state, gradients, shower, incident, k_critic, rate, clock
        )
        metrics |= judged
    params, optimizer = optimizers.update(
        cfg.optimizer, state.optimizer, state.params, gradients, rate
    )
    state = replace(state, params=params, optimizer=optimizer)
    return state, metrics | {"learning_rate": rate}


def trained(cfg: CaloConfig, state: State) -> Any:
    """The parameters to generate with."""
    return whole(cfg.mesh, optimizers.trained(cfg.optimizer, state.optimizer, state.params))
