"""What stage 1 models: hits and energy of each layer and transverse moments of groups of layers, as
one vector of unbounded numbers, and back.

A layer is empty where it has no hits, so that emptiness is an edge of one component alone. What the
layers hold beyond the threshold of each hit, their *excess*, is given as its sum over the incident
energy and, layer by layer, as the share of what is left (Krause and Shih, CaloFlow,
arXiv:2106.05285): no component has another edge. Components that a shower does not have, such as
the share of an empty layer, are absent (``present``).
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.physics.calorimeter import grids
from hepjax.workloads.calo.geometry import plan

EDGE = 1e-3
"""Ring shapes and shares of x are kept this far from 0 and 1."""
LEAST_EXCESS = 1e-2
"""Of a layer with hits, in thresholds: that of cells at the threshold is rounding."""


class Layers(NamedTuple):
    """Of showers; moments are means with the energies of the cells as weights."""

    energy: jax.Array
    """(n, layers) GeV."""
    hits: jax.Array
    """(n, layers) cells above the threshold, whole numbers in float32."""
    moments: jax.Array
    """(n, groups, 5) of x, y, x^2, y^2, r as in ``geometry.Plan``; mm and mm^2."""


class Groups(NamedTuple):
    """Consecutive layers whose moments are taken together."""

    member: np.ndarray
    """(groups, layers) float32, 1 for the layers of a group."""
    angular: np.ndarray
    """(groups,) bool, groups with a layer whose cells lie in more than one direction."""
    floor: np.ndarray
    """(groups,) mm^2 below which a mean r^2 is not resolved."""


@lru_cache
def grouped(calorimeter: Calorimeter, count: int) -> Groups:
    """About equal numbers of layers in each of ``count`` groups, at most one for each layer."""
    layers = len(calorimeter.layers)
    facts = plan(calorimeter)
    parts = np.array_split(np.arange(layers), min(count, layers)) if count else []
    member = np.zeros((len(parts), layers), np.float32)
    for k, part in enumerate(parts):
        member[k, part] = 1.0
    angular = np.array([facts.angular[part].any() for part in parts], bool)
    floor = np.array([facts.floor[part].min() for part in parts], np.float32)
    return Groups(member, angular, floor)


@lru_cache
def kept(calorimeter: Calorimeter, groups: int) -> np.ndarray:
    """Which of the 5 numbers of each group's moments are in the vector, flat (groups * 5)."""
    angular = grouped(calorimeter, groups).angular
    of_group = np.ones((len(angular), 5), bool)
    of_group[~angular, 2:] = False
    return np.flatnonzero(of_group.ravel())


def size(calorimeter: Calorimeter, groups: int) -> int:
    """Components of the vector."""
    return 2 * len(calorimeter.layers) + len(kept(calorimeter, groups))


def measured(calorimeter: Calorimeter, cells: jax.Array, groups: int) -> Layers:
    """Of cells (n, layers, cells) GeV, those below the threshold 0."""
    member = grouped(calorimeter, groups).member
    energy = cells.sum(2)
    sums = jnp.einsum("nlc,lck->nlk", cells, plan(calorimeter).functions, precision="highest")
    hits = (cells > 0).sum(2).astype(jnp.float32)
    of_groups = jnp.einsum("gl,nlk->ngk", member, sums, precision="highest")
    total = jnp.maximum(jnp.matmul(energy, member.T, precision="highest"), 1e-30)
    return Layers(energy, hits, of_groups / total[..., None])


def resolved(calorimeter: Calorimeter, hits: jax.Array, groups: int) -> jax.Array:
    """(n, groups) bool: groups with more hits than moments, which can have almost any moments.

    The moments of fewer hits take few values; stage 2 knows them better than a density does.
    """
    facts = grouped(calorimeter, groups)
    return hits @ facts.member.T > np.where(facts.angular, 5, 2)


def present(calorimeter: Calorimeter, hits: jax.Array, groups: int) -> jax.Array:
    """(n, size) bool: the components that showers with these hits (n, layers) have."""
    some = hits > 0
    behind = jnp.cumsum(some[:, ::-1], axis=1)[:, ::-1] > 0
    known = resolved(calorimeter, hits, groups)
    five = jnp.broadcast_to(known[..., None], (*known.shape, 5)).reshape(hits.shape[0], -1)
    return jnp.concatenate([
        jnp.ones_like(some), behind[:, :1], some[:, :-1] & behind[:, 1:],
        five[:, kept(calorimeter, groups)],
    ], axis=1)  # fmt: skip


def to_vector(
    calorimeter: Calorimeter, threshold: float, layers: Layers, incident: jax.Array, key: jax.Array
) -> jax.Array:
    """The vector (n, size) of layers; 0 where a component is absent.

    Args:
      incident: (n,) GeV.
      key: of the noise that makes whole numbers of hits continuous.
    """
    groups = layers.moments.shape[1]
    noise = jax.random.uniform(key, layers.hits.shape, minval=0.01, maxval=0.99)
    cells = jnp.asarray(grids.cells_of_layers(calorimeter), jnp.float32)
    five = _moments_to(grouped(calorimeter, groups), layers.moments).reshape(len(incident), -1)
    vector = jnp.concatenate([
        # Wide at both ends: layers may be empty or full.
        _logit((layers.hits + noise) / (cells + 1.0), 1e-6),
        _excess_to(layers.energy / threshold, layers.hits, incident / threshold),
        five[:, kept(calorimeter, groups)],
    ], axis=1)  # fmt: skip
    return jnp.where(present(calorimeter, layers.hits, groups), vector, 0.0)


def from_vector(
    calorimeter: Calorimeter, threshold: float, vector: jax.Array, incident: jax.Array, groups: int
) -> Layers:
    """The inverse of ``to_vector``; what is absent counts for nothing, and has moments 0."""
    count, facts = len(calorimeter.layers), grouped(calorimeter, groups)
    cells = jnp.asarray(grids.cells_of_layers(calorimeter), jnp.float32)
    hits = jnp.floor(jax.nn.sigmoid(vector[:, :count]) * (cells + 1.0))
    hits = jnp.clip(hits, 0.0, cells)
    excess = _excess_from(vector[:, count : 2 * count], hits, incident / threshold)
    energy = threshold * (hits + excess)
    rest = jnp.zeros((vector.shape[0], len(facts.angular) * 5))
    rest = rest.at[:, kept(calorimeter, groups)].set(vector[:, 2 * count :])
    moments = _moments_from(facts, rest.reshape(rest.shape[0], -1, 5))
    known = resolved(calorimeter, hits, groups)[..., None]
    return Layers(energy, hits, jnp.where(known, moments, 0.0))


def _excess_to(energy: jax.Array, hits: jax.Array, incident: jax.Array) -> jax.Array:
    """Energies (n, layers) and (n,) in thresholds to the sum and the shares, (n, layers)."""
    excess = jnp.where(hits > 0, jnp.maximum(energy - hits, LEAST_EXCESS), 0.0)
    behind = jnp.cumsum(excess[:, ::-1], axis=1)[:, ::-1]

    def log(x: jax.Array) -> jax.Array:
        return jnp.log(jnp.maximum(x, LEAST_EXCESS))

    total = log(behind[:, :1]) - jnp.log(incident)[:, None]
    return jnp.concatenate([total, log(excess[:, :-1]) - log(behind[:, 1:])], axis=1)


def _excess_from(vector: jax.Array, hits: jax.Array, incident: jax.Array) -> jax.Array:
    some = hits > 0
    behind = jnp.cumsum(some[:, ::-1], axis=1)[:, ::-1] > 0
    left = jnp.where(behind[:, 0], jnp.exp(jnp.minimum(vector[:, 0], 5.0)) * incident, 0.0)
    found = []
    for k, share in enumerate(jax.nn.sigmoid(vector[:, 1:]).T):
        taken = jnp.where(behind[:, k + 1], left * share, left)
        found.append(jnp.where(some[:, k], taken, 0.0))
        left = left - found[-1]
    return jnp.maximum(jnp.stack([*found, left], axis=1), 0.0)


def _moments_to(groups: Groups, moments: jax.Array) -> jax.Array:
    """(n, groups, 5): size, ring shape, centre along x and y, share of x in the size."""
    floor = groups.floor
    x, y, xx, yy, r = jnp.moveaxis(moments, -1, 0)
    square = xx + yy
    length = jnp.sqrt(jnp.maximum(square, floor))
    return jnp.stack([
        jnp.log(square + floor), _logit(r * r / length**2, EDGE),
        x / length, y / length, _logit(xx / jnp.maximum(square, floor), EDGE),
    ], axis=-1)  # fmt: skip


def _moments_from(groups: Groups, values: jax.Array) -> jax.Array:
    square = jnp.maximum(jnp.exp(jnp.minimum(values[..., 0], 30.0)) - groups.floor, 0.0)
    length = jnp.sqrt(jnp.maximum(square, groups.floor))
    r = length * jnp.sqrt(jax.nn.sigmoid(values[..., 1]))
    share = jnp.where(groups.angular, jax.nn.sigmoid(values[..., 4]), 1.0)
    x, y = (jnp.clip(values[..., k], -1, 1) * length for k in (2, 3))
    return jnp.stack([x, y, share * square, (1 - share) * square, r], axis=-1)


def _logit(share: jax.Array, edge: float) -> jax.Array:
    inner = jnp.clip(share, edge, 1 - edge)
    return jnp.log(inner) - jnp.log1p(-inner)
