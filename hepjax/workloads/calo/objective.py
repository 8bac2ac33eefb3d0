"""Losses and the update of the two-stage generators, as pure functions of state, batch and key.

Stage 1 and a copula that is a flow maximise their exact likelihood. The margins of the cells
maximise theirs, an empty cell with its probability and a hit with its density. The copula sees
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
from hepjax.workloads.calo import critic, layers, matching, scores
from hepjax.workloads.calo.config import CaloConfig
from hepjax.workloads.calo.generator import (
    condition_of,
    incident_condition,
    log_energy,
    margins_of,
    scores_of,
)
from hepjax.workloads.calo.geometry import in_window, plan, shifted, to_layers, turned
from hepjax.workloads.calo.layers import Layers
from hepjax.workloads.calo.model import (
    Margins,
    Mixing,
    Profile,
    average_cells,
    cell_flow,
    cells_inside,
    layer_flow,
    margin_network,
    normal_of,
    outer_of,
    window_flow,
)

FAR = 5.0
"""Normal numbers are cut off here before the copula sees them."""
LEAST_EXCESS = 1e-3
"""Of a hit over the threshold, in thresholds."""
LAGS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))
"""Distances of the pairs of cells whose correlations the mixing is matched to."""
SURELY_HIT = 0.8
"""Probability of a hit from which on cells enter these correlations."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes."""

    params: Any
    """``layers``, ``margins``, ``copula`` and, where there is one, ``window`` or ``student``."""
    optimizer: Any
    stats: Any
    """Tables of the training showers (scores.py) and profiles; constant after the first updates."""
    critic: Any
    """Parameters and optimizer of the critic; empty without one."""


def init(cfg: CaloConfig, key: jax.Array) -> State:
    """The state before the first update."""
    known = cfg.calorimeter
    shape = plan(known).inside.shape
    size = layer_flow(cfg).size
    k_layers, k_margins, k_copula, k_window, k_critic = jax.random.split(key, 5)
    vector, incident = jnp.zeros((1, size)), jnp.zeros((1, 1))
    condition, energy = jnp.zeros((1, size + 1)), jnp.zeros((1, shape[0]))
    even = jnp.broadcast_to(-jnp.log(jnp.asarray(average_cells(known), jnp.float32)), shape)
    profile = Profile(jnp.full(shape, 0.5), even)
    if cfg.model.cells.copula == "matching":
        dependence = matching.init(cfg, k_copula, condition)
    elif cfg.model.cells.copula == "flow":
        flow = cell_flow(cfg).init(k_copula, jnp.zeros((1, known.voxels)), condition)
        dependence = {"copula": flow["params"]}
    else:
        mixing = Mixing(known).init(k_copula, jnp.zeros((1, *shape)))
        dependence = {"copula": mixing["params"]}
        if cfg.model.cells.window:
            inner = jnp.zeros((1, shape[0], window_flow(cfg).size))
            dependence["window"] = window_flow(cfg).init(k_window, inner, condition)["params"]
    margins = margin_network(cfg).init(k_margins, condition, energy, energy, profile)
    params = {
        "layers": layer_flow(cfg).init(k_layers, vector, incident)["params"],
        "margins": margins["params"],
    } | dependence
    stats = {
        "scores": scores.start(size), "batches": jnp.float32(0), "filled": jnp.zeros(shape[0]),
        "hits": jnp.zeros(shape), "sums": jnp.zeros(shape), **profile._asdict(),
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
    cfg: CaloConfig, params: Any, stats: Any, found: jax.Array, incident: jax.Array
) -> jax.Array:
    """Negative log-likelihood (n,) of normal scores without their correlations; that of the tables
    is left out."""
    z, slopes = layer_flow(cfg).apply(
        {"params": params["layers"]}, scores.whitened(stats["scores"], found),
        incident_condition(cfg, incident),
    )  # fmt: skip
    return -(log_normal(z) + slopes)


def values_of(cfg: CaloConfig, cells: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Logarithm of what hits have above the threshold, in thresholds, 0 of empty cells; and which
    are hit."""
    hit = cells > 0
    excess = jnp.maximum(jnp.where(hit, cells / cfg.threshold - 1.0, 1.0), LEAST_EXCESS)
    return jnp.log(excess), hit


def margin_loss(margins: Margins, value: jax.Array, hit: jax.Array) -> jax.Array:
    """Negative log-likelihood of each cell, (n, layers, cells): the probability that it is empty,
    or the density of a hit."""
    normal, slope = normal_of(margins, jnp.where(hit, value, margins.location))
    density = -0.5 * (normal * normal + jnp.log(2 * jnp.pi)) + slope
    log_ndtr = jax.scipy.special.log_ndtr
    return -jnp.where(hit, log_ndtr(-margins.edge) + density, log_ndtr(margins.edge))


def normal_numbers(margins: Margins, value: jax.Array, hit: jax.Array, key: jax.Array) -> jax.Array:
    """Numbers that are standard normal if the margins are right; of empty cells drawn below their
    edge."""
    inner, _ = normal_of(margins, jnp.where(hit, value, margins.location))
    share = jax.random.uniform(key, value.shape, minval=1e-6, maxval=1.0)
    below = jax.scipy.special.ndtri(share * jax.scipy.special.ndtr(margins.edge))
    return jnp.clip(jnp.where(hit, outer_of(margins.edge, inner), below), -FAR, FAR)


def flow_loss(cfg: CaloConfig, params: Any, normal: jax.Array, condition: jax.Array) -> jax.Array:
    """Negative log-likelihood (n,) of normal numbers under the flow, less that of independence."""
    flat = normal.reshape(len(normal), -1)[:, cells_inside(cfg.calorimeter)]
    z, slopes = cell_flow(cfg).apply({"params": params["copula"]}, flat, condition)
    return log_normal(flat) - log_normal(z) - slopes


def window_loss(
    cfg: CaloConfig, params: Any, normal: jax.Array, filled: jax.Array, condition: jax.Array,
    key: jax.Array,
) -> jax.Array:  # fmt: skip
    """Negative log-likelihood (n,) of the numbers of the window under its flow, less that of
    independence, over layers with hits.

    Args:
      normal: (n, layers, cells).
      filled: (n, layers) bool, layers with hits.
      key: of the numbers of cells that do not exist.
    """
    known, size = cfg.calorimeter, window_flow(cfg).size
    there = in_window(known, size, jnp.asarray(plan(known).inside)[None])
    inner = in_window(known, size, normal)
    inner = jnp.where(there, inner, jax.random.normal(key, inner.shape))
    z, slopes = window_flow(cfg).apply({"params": params["window"]}, inner, condition)
    less = 0.5 * (z * z - inner * inner).sum(2) - slopes
    return jnp.where(filled, less, 0.0).sum(1)


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
    cfg: CaloConfig, params: Any, stats: Any, cells: jax.Array, incident: jax.Array,
    key: jax.Array, every: int = 1,
) -> Metrics:  # fmt: skip
    """The loss of each part on each shower, (n,); of the mixing one mean for all.

    Args:
      cells: (n, layers, cells) GeV.
      every: stage 2 sees one in so many showers only; 0: none.
    """
    known = cfg.calorimeter
    k_scores, k_normal, k_copula = jax.random.split(key, 3)
    true = layers.measured(known, cells, cfg.model.layers.moments)
    found = scores_of(cfg, stats, true, incident, k_scores)
    parts = {"layers": stage_1(cfg, params, stats, found, incident)}
    windowed = "window" in params
    if every == 0:
        none = jnp.zeros(1)
        none_of_window = {"window": none} if windowed else {}
        return parts | {"margins": none, "copula": none} | none_of_window
    cells, true = cells[::every], Layers(*(part[::every] for part in true))
    condition = condition_of(cfg, incident[::every], found[::every], true.hits)
    margins = margins_of(cfg, params, stats, condition, true)
    value, hit = values_of(cfg, cells)
    # Cells of empty layers are certain, and the padding is no cell.
    inside = jnp.asarray(plan(known).inside) & (true.hits > 0)[..., None]
    of_cells = jnp.where(inside, margin_loss(margins, value, hit), 0.0).sum((1, 2))
    fixed = jax.lax.stop_gradient(margins)
    normal = jnp.where(inside, normal_numbers(fixed, value, hit, k_normal), 0.0)
    weight = matching.weights(fixed.edge, inside)
    if cfg.objective.distil:
        copula = matching.distil_loss(cfg, params, weight, condition, k_copula)
    elif cfg.model.cells.copula == "matching":
        copula = matching.matching_loss(cfg, params, normal, weight, condition, k_copula)
    elif cfg.model.cells.copula == "flow":
        copula = flow_loss(cfg, params, normal, condition)
    else:
        sure = hit & inside & (jax.scipy.special.ndtr(-fixed.edge) > SURELY_HIT)
        copula = mixing_loss(cfg, params, normal, sure.astype(jnp.float32))
    if windowed:
        parts["window"] = window_loss(cfg, params, normal, true.hits > 0, condition, k_copula)
    return parts | {"margins": of_cells, "copula": copula}


def total_loss(cfg: CaloConfig, parts: Metrics) -> jax.Array:
    """The sum of the parts, likelihoods per component."""
    voxels = cfg.calorimeter.voxels
    mix = cfg.model.cells.copula == "mix"
    total = (
        parts["layers"] / layer_flow(cfg).size
        + parts["margins"] / voxels
        + parts["copula"] / (1.0 if mix else voxels)
    )
    if "window" in parts:
        total += parts["window"] / (len(cfg.calorimeter.layers) * window_flow(cfg).size)
    return total


def gathered(
    cfg: CaloConfig, stats: Any, cells: jax.Array, incident: jax.Array, key: jax.Array,
    share: jax.Array,
) -> Any:  # fmt: skip
    """Statistics with one batch more.

    Args:
      share: () of the updates of ``objective.statistics`` that are done.
    """
    known, groups = cfg.calorimeter, cfg.model.layers.moments
    k_vector, k_noise = jax.random.split(key)
    true = layers.measured(known, cells, groups)
    vector = layers.to_vector(known, cfg.threshold, true, incident, k_vector)
    value, hit = values_of(cfg, cells)
    value = jnp.where(hit, value - log_energy(cfg, true.energy)[..., None], 0.0)
    tables, batch = average(cfg.mesh, (
        scores.sums(
            stats["scores"], vector, layers.present(known, true.hits, groups),
            incident_condition(cfg, incident), jax.random.normal(k_noise, vector.shape),
        ),
        {"filled": (true.hits > 0).mean(0), "hits": hit.mean(0), "sums": value.mean(0)},
    ))  # fmt: skip
    done = jnp.where(share > 0, stats["batches"], 0.0)
    new = {name: (stats[name] * done + mean) / (done + 1) for name, mean in batch.items()}
    often = new["hits"] > 1e-4
    filled = jnp.maximum(new["filled"], 1e-6)[:, None]
    return stats | new | {
        "scores": scores.gathered(stats["scores"], tables, share), "batches": done + 1,
        "hit": new["hits"] / filled,
        "value": jnp.where(often, new["sums"] / jnp.maximum(new["hits"], 1e-6), stats["value"]),
    }  # fmt: skip


def train_step(
    cfg: CaloConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update: statistics first, then likelihood, then (if asked for) the critic."""
    k_turn, k_loss, k_stats, k_critic = jax.random.split(key, 4)
    cells, incident = to_layers(cfg.calorimeter, batch["shower"]), batch["energy"]
    if cfg.objective.symmetric:
        cells = split_events(cfg.mesh, turned(cfg.calorimeter, cells, k_turn))
    gathering = clock.updates < cfg.objective.statistics
    share = clock.updates / cfg.objective.statistics
    stats = jax.lax.cond(
        gathering, lambda: gathered(cfg, state.stats, cells, incident, k_stats, share),
        lambda: state.stats,
    )  # fmt: skip

    def loss(params: Any, events: Any, key: jax.Array) -> tuple[jax.Array, Metrics]:
        cells, incident = events
        every = cfg.objective.cells_every
        parts = losses(cfg, params, stats, cells, incident, key, every)
        means = {name: part.mean() for name, part in parts.items()}
        value = total_loss(cfg, means)
        return value, means | {"loss": value}

    (_, metrics), gradients = mean_gradient(cfg, loss, state.params, (cells, incident), k_loss)
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)
    state = replace(state, stats=stats)
    if cfg.objective.critic_from:
        state, gradients, judged = critic.step(
            cfg, state, gradients, cells, incident, k_critic, rate, clock
        )
        metrics |= judged
    # Gradients before the tables stand are of another size; the optimizer must not remember them.
    params, optimizer = jax.lax.cond(
        gathering, lambda: (state.params, state.optimizer),
        lambda: optimizers.update(cfg.optimizer, state.optimizer, state.params, gradients, rate),
    )  # fmt: skip
    state = replace(state, params=params, optimizer=optimizer)
    return state, metrics | {"learning_rate": rate}


def trained(cfg: CaloConfig, state: State) -> Any:
    """The parameters to generate with."""
    return whole(cfg.mesh, optimizers.trained(cfg.optimizer, state.optimizer, state.params))
