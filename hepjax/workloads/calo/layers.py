"""What stage 1 models: the energy of each layer, its hits and its transverse moments, as one vector
of unbounded numbers, and back.

Energies are the visible over the incident energy and, layer by layer, the share of what is left
(Krause and Shih, CaloFlow, arXiv:2106.05285). Numbers below the threshold are replaced by noise
below it, so that the density of the vector has no spikes.
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
"""Shares are kept this far from 0 and 1."""


class Layers(NamedTuple):
    """Of showers; moments are means with the energies of the cells as weights."""

    energy: jax.Array
    """(n, layers) GeV."""
    hits: jax.Array
    """(n, layers) cells above the threshold, whole numbers in float32."""
    moments: jax.Array
    """(n, layers, 5) of x, y, x^2, y^2, r as in ``geometry.Plan``; mm and mm^2."""


@lru_cache
def kept(calorimeter: Calorimeter) -> np.ndarray:
    """Which of the 6 numbers of each layer are in the vector, flat (layers * 6) indices."""
    of_layer = np.ones((len(calorimeter.layers), 6), bool)
    of_layer[~plan(calorimeter).angular, 3:] = False
    return np.flatnonzero(of_layer.ravel())


def size(calorimeter: Calorimeter, *, moments: bool) -> int:
    """Components of the vector."""
    return len(calorimeter.layers) + (len(kept(calorimeter)) if moments else 0)


def measured(calorimeter: Calorimeter, cells: jax.Array) -> Layers:
    """Of cells (n, layers, cells) GeV, those below the threshold 0."""
    energy = cells.sum(2)
    sums = jnp.einsum("nlc,lck->nlk", cells, plan(calorimeter).functions, precision="highest")
    hits = (cells > 0).sum(2).astype(jnp.float32)
    return Layers(energy, hits, sums / jnp.maximum(energy, 1e-30)[..., None])


def to_vector(
    calorimeter: Calorimeter, threshold: float, layers: Layers, incident: jax.Array,
    key: jax.Array, *, moments: bool,
) -> jax.Array:  # fmt: skip
    """The vector (n, size) of layers.

    Args:
      incident: (n,) GeV.
    """
    k_energy, k_rest = jax.random.split(key)
    energies = _energies_to(layers.energy / threshold, incident / threshold, k_energy)
    if not moments:
        return energies
    rest = _moments_to(calorimeter, layers, k_rest).reshape(len(incident), -1)
    return jnp.concatenate([energies, rest[:, kept(calorimeter)]], axis=1)


def from_vector(
    calorimeter: Calorimeter, threshold: float, vector: jax.Array, incident: jax.Array
) -> Layers:
    """The inverse of ``to_vector``, to its noise; without moments in the vector they are 0."""
    count = len(calorimeter.layers)
    energy = threshold * _energies_from(vector[:, :count], incident / threshold)
    if vector.shape[1] == count:
        none = jnp.zeros_like(energy)
        return Layers(energy, none, jnp.zeros((*energy.shape, 5)))
    rest = jnp.zeros((len(vector), count * 6)).at[:, kept(calorimeter)].set(vector[:, count:])
    hits, moments = _moments_from(calorimeter, rest.reshape(-1, count, 6))
    # Each hit has the energy of the threshold at least.
    most = jnp.floor(energy / threshold)
    hits = jnp.clip(hits, jnp.where(energy > 0, 1.0, 0.0), most)
    return Layers(energy, hits, moments)


def _energies_to(energy: jax.Array, incident: jax.Array, key: jax.Array) -> jax.Array:
    """Energies (n, layers) and (n,) in thresholds to (n, layers) numbers."""
    behind = jnp.cumsum(energy[:, ::-1], axis=1)[:, ::-1]
    noise = jnp.abs(jax.random.normal(key, (2, *energy.shape)))

    def log(e: jax.Array, below: jax.Array) -> jax.Array:
        return jnp.where(e >= 1.0, jnp.log(jnp.maximum(e, 1.0)), -below)

    total = log(behind[:, 0], noise[0, :, 0]) - jnp.log(incident)
    shares = log(energy[:, :-1], noise[0, :, 1:]) - log(behind[:, 1:], noise[1, :, 1:])
    return jnp.concatenate([total[:, None], shares], axis=1)


def _energies_from(vector: jax.Array, incident: jax.Array) -> jax.Array:
    total = jnp.exp(vector[:, 0]) * incident
    left = jnp.where(total >= 1.0, total, 0.0)
    found = []
    for share in jax.nn.sigmoid(vector[:, 1:]).T:
        energy = left * share
        energy = jnp.where(energy < 1.0, 0.0, energy)
        energy = jnp.where(left - energy < 1.0, left, energy)
        found.append(energy)
        left = left - energy
    return jnp.stack([*found, left], axis=1)


def _moments_to(calorimeter: Calorimeter, layers: Layers, key: jax.Array) -> jax.Array:
    """(n, layers, 6): hits, size, ring shape, centre along x and y, share of x in the size."""
    facts, cells = plan(calorimeter), grids.cells_of_layers(calorimeter)
    k_hits, k_noise = jax.random.split(key)
    hits = layers.hits
    spread = (hits + jax.random.uniform(k_hits, hits.shape)) / (cells + 1)
    x, y, xx, yy, r = jnp.moveaxis(layers.moments, -1, 0)
    square = xx + yy
    length = jnp.sqrt(jnp.maximum(square, facts.floor))
    values = jnp.stack([
        _logit(spread, 1e-5), jnp.log(square + facts.floor), _logit(r * r / length**2, EDGE),
        x / length, y / length, _logit(xx / jnp.maximum(square, facts.floor), EDGE),
    ], axis=-1)  # fmt: skip
    # Layers with few hits have discrete moments, and empty ones have none.
    noise = jax.random.normal(k_noise, values.shape).at[..., 0].set(0.0)
    some = (hits > 0)[..., None]
    empty = jnp.zeros_like(values).at[..., 1].set(jnp.log(facts.floor)).at[..., 0].set(
        values[..., 0]
    )  # fmt: skip
    blur = jnp.where(some, 0.1 / jnp.maximum(hits, 1.0)[..., None], 0.3)
    return jnp.where(some, values, empty) + blur * noise


def _moments_from(calorimeter: Calorimeter, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    facts, cells = plan(calorimeter), grids.cells_of_layers(calorimeter)
    hits = jnp.clip(jnp.floor(jax.nn.sigmoid(values[..., 0]) * (cells + 1)), 0, cells)
    square = jnp.maximum(jnp.exp(values[..., 1]) - facts.floor, 0.0)
    length = jnp.sqrt(jnp.maximum(square, facts.floor))
    r = length * jnp.sqrt(jax.nn.sigmoid(values[..., 2]))
    share = jnp.where(facts.angular, jax.nn.sigmoid(values[..., 5]), 1.0)
    x, y = (jnp.clip(values[..., k], -1, 1) * length for k in (3, 4))
    return hits, jnp.stack([x, y, share * square, (1 - share) * square, r], axis=-1)


def _logit(share: jax.Array, edge: float) -> jax.Array:
    inner = jnp.clip(share, edge, 1 - edge)
    return jnp.log(inner) - jnp.log1p(-inner)
