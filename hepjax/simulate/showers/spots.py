"""Cell energies of a shower from the profiles of its layers, by sampling spots (Monte Carlo).

A spot is one particle crossing a silicon plane. Positions and energies come from a counter-based
hash of the spot's number, so they depend on the shower alone. Threefry, the default generator of
JAX, would take two thirds of the time on a CPU.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gamma

QUANTUM = 1e-9
"""Cells are summed as integers in units of 1 eV: the same sum in any order, on any device."""


class Layers(NamedTuple):
    """One shower, layer by layer. Lengths in cells, energies GeV."""

    spots: Array  # (layers,) int32, number of spots
    core_weight: Array  # (layers,) share of the spots in the core
    core_radius: Array  # (layers,)
    tail_radius: Array  # (layers,)
    x: Array  # (layers,) where the axis crosses the layer, from the edge of the window
    y: Array  # (layers,)
    stretch: Array  # () of the y distances to the axis, in a shower that comes in at an angle
    seeds: Array  # (3,) uint32, of this shower's spots


@partial(jax.jit, static_argnums=(0, 1))
def fill_cells(
    shape: tuple[int, int, int],
    slots: int,
    spot: tuple[Array | float, Array | float],
    layers: Layers,
) -> Array:
    """Cell energies of a batch of showers.

    Args:
      shape: cells along x, along y, and layers.
      slots: room for spots; at least the number of spots of each shower.
      spot: mean (GeV) and Weibull shape of the energy of a spot.
      layers: of each shower, with a leading batch axis n.
    Returns:
      (n, x, y, layers) float32, GeV.
    """
    return jax.vmap(partial(_fill_one, shape, slots, *spot))(layers)


def _fill_one(
    shape: tuple[int, int, int],
    slots: int,
    mean: Array | float,
    weibull: Array | float,
    layers: Layers,
) -> Array:
    nx, ny, nz = shape
    spot = jnp.arange(slots)
    ends = jnp.cumsum(layers.spots)
    layer = jnp.sum(spot[:, None] >= ends[None, :-1], axis=1)
    u_radius, u_angle, u_energy = (uniform(spot, seed) for seed in layers.seeds)

    # One uniform number chooses core or tail; rescaled within its part it is uniform again and
    # gives the radius by inverse transform sampling, r = R sqrt(v / (1 - v)).
    split = layers.core_weight[layer]
    core = u_radius < split
    v = jnp.where(core, u_radius / split, (u_radius - split) / (1.0 - split))
    v = jnp.clip(v, 0.0, 1.0 - 2.0**-20)
    radius = jnp.where(core, layers.core_radius[layer], layers.tail_radius[layer])
    radius *= jnp.sqrt(v / (1.0 - v))

    angle = 2.0 * jnp.pi * u_angle
    ix = jnp.floor(layers.x[layer] + radius * jnp.cos(angle)).astype(jnp.int32)
    iy = jnp.floor(layers.y[layer] + layers.stretch * radius * jnp.sin(angle)).astype(jnp.int32)
    kept = (ix >= 0) & (ix < nx) & (iy >= 0) & (iy < ny) & (spot < ends[-1])
    cell = jnp.where(kept, (ix * ny + iy) * nz + layer, nx * ny * nz)
    unit = mean / gamma(1.0 + 1.0 / weibull) / QUANTUM
    quanta = jnp.round(unit * (-jnp.log(u_energy)) ** (1.0 / weibull)).astype(jnp.uint32)
    cells = jnp.zeros(nx * ny * nz, jnp.uint32).at[cell].add(quanta, mode="drop")
    return QUANTUM * cells.astype(jnp.float32).reshape(shape)


def uniform(counter: Array, seed: Array) -> Array:
    """Uniform in (0, 1): a hash of ``counter``, another sequence for each ``seed`` (uint32).

    Source: the 32-bit finaliser "lowbias32" of C. Wellons' hash-prospector.
    """
    bits = counter.astype(jnp.uint32) * jnp.uint32(0x9E3779B9) + seed
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x846CA68B)
    bits ^= bits >> 16
    return (bits >> 8).astype(jnp.float32) * 2.0**-24 + 2.0**-25
