"""Cell energies of a shower from the profiles of its layers, by sampling spots (Monte Carlo).

A spot is one particle crossing an active plate. Positions and energies come from a counter-based
hash of the spot's number, so they depend on the shower alone. Threefry, the default generator of
JAX, would take two thirds of the time on a CPU.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gamma

QUANTUM = 1e-9
"""Cells are summed as integers in units of 1 eV: the same sum in any order, on any device. Larger
cells need a larger unit (``showers.quantum``)."""


class Layers(NamedTuple):
    """One shower, layer by layer. Lengths in cells along x (box) or mm (cylinder), energies GeV."""

    spots: Array  # (layers,) int32, number of spots
    core_weight: Array  # (layers,) share of the spots in the core
    core_radius: Array  # (layers,)
    tail_radius: Array  # (layers,)
    x: Array  # (layers,) where the axis crosses the layer, from the edge of the window; box only
    y: Array  # (layers,) the same in cells along y
    stretch: Array  # () of the y distances to the axis: cells along y, and incidence at an angle
    seeds: Array  # (3,) uint32, of this shower's spots


class Spots(NamedTuple):
    """The spots of one shower, (slots,) arrays; those beyond the last have ``real`` False."""

    layer: Array
    radius: Array  # distance from the axis
    turn: Array  # azimuth in turns, uniform in (0, 1)
    quanta: Array  # energy, uint32
    real: Array


@partial(jax.jit, static_argnums=(0, 1), static_argnames="quantum")
def fill_cells(
    shape: tuple[int, int, int],
    slots: int,
    spot: tuple[Array | float, Array | float],
    layers: Layers,
    quantum: float = QUANTUM,
) -> Array:
    """Cell energies of a batch of showers in a box.

    Args:
      shape: cells along x, along y, and layers.
      slots: room for spots; at least the number of spots of each shower.
      spot: mean energy of a spot, one or (layers,) GeV, and the Weibull shape of that energy.
      layers: of each shower, with a leading batch axis n.
      quantum: unit of the sums, GeV; a cell may hold 2^32 of it.
    Returns:
      (n, x, y, layers) float32, GeV.
    """
    return jax.vmap(partial(_fill_box, shape, slots, *spot, quantum))(layers)


@partial(jax.jit, static_argnums=(0, 1), static_argnames="quantum")
def fill_rings(
    binning: tuple[tuple[tuple[float, ...], int], ...],
    slots: int,
    spot: tuple[Array | float, Array | float],
    layers: Layers,
    quantum: float = QUANTUM,
) -> Array:
    """Voxel energies of a batch of showers in a cylinder about their axis.

    Args:
      binning: of each layer the radial edges, mm, and the number of sectors.
      slots, spot, layers, quantum: as for ``fill_cells``.
    Returns:
      (n, voxels) float32, GeV: layer by layer, in it azimuth by azimuth, radius fastest.
    """
    return jax.vmap(partial(_fill_cylinder, binning, slots, *spot, quantum))(layers)


def _fill_box(
    shape: tuple[int, int, int],
    slots: int,
    mean: Array | float,
    weibull: Array | float,
    quantum: float,
    layers: Layers,
) -> Array:
    nx, ny, nz = shape
    spots = _draw(slots, mean, weibull, quantum, layers)
    layer, angle = spots.layer, 2.0 * jnp.pi * spots.turn
    x = layers.x[layer] + spots.radius * jnp.cos(angle)
    y = layers.y[layer] + layers.stretch * spots.radius * jnp.sin(angle)
    ix, iy = jnp.floor(x).astype(jnp.int32), jnp.floor(y).astype(jnp.int32)
    kept = (ix >= 0) & (ix < nx) & (iy >= 0) & (iy < ny) & spots.real
    cell = jnp.where(kept, (ix * ny + iy) * nz + layer, nx * ny * nz)
    return _summed(nx * ny * nz, cell, spots.quanta, quantum).reshape(shape)


def _fill_cylinder(
    binning: tuple[tuple[tuple[float, ...], int], ...],
    slots: int,
    mean: Array | float,
    weibull: Array | float,
    quantum: float,
    layers: Layers,
) -> Array:
    most = max(len(edges) for edges, _ in binning)
    padded = [[*edges, *[np.inf] * (most - len(edges))] for edges, _ in binning]
    rings = np.asarray([len(edges) - 1 for edges, _ in binning])
    sectors = np.asarray([count for _, count in binning])
    starts = np.concatenate([[0], np.cumsum(rings * sectors)])
    spots = _draw(slots, mean, weibull, quantum, layers)
    layer = spots.layer
    edges = jnp.asarray(padded, jnp.float32)[layer]
    ring = jnp.sum(spots.radius[:, None] >= edges, axis=1) - 1
    rings_here, sectors_here = jnp.asarray(rings)[layer], jnp.asarray(sectors)[layer]
    sector = jnp.minimum((spots.turn * sectors_here).astype(jnp.int32), sectors_here - 1)
    kept = (ring >= 0) & (ring < rings_here) & spots.real
    voxel = jnp.asarray(starts[:-1])[layer] + sector * rings_here + ring
    voxel = jnp.where(kept, voxel, starts[-1])
    return _summed(int(starts[-1]), voxel, spots.quanta, quantum)


def _draw(
    slots: int, mean: Array | float, weibull: Array | float, quantum: float, layers: Layers
) -> Spots:
    spot = jnp.arange(slots)
    ends = jnp.cumsum(layers.spots)
    layer = jnp.sum(spot[:, None] >= ends[None, :-1], axis=1)
    u_radius, turn, u_energy = (uniform(spot, seed) for seed in layers.seeds)

    # One uniform number chooses core or tail; rescaled within its part it is uniform again and
    # gives the radius by inverse transform sampling, r = R sqrt(v / (1 - v)).
    split = layers.core_weight[layer]
    core = u_radius < split
    v = jnp.where(core, u_radius / split, (u_radius - split) / (1.0 - split))
    v = jnp.clip(v, 0.0, 1.0 - 2.0**-20)
    radius = jnp.where(core, layers.core_radius[layer], layers.tail_radius[layer])
    radius *= jnp.sqrt(v / (1.0 - v))

    unit = mean / gamma(1.0 + 1.0 / weibull) / quantum
    unit = jnp.broadcast_to(unit, layers.spots.shape)[layer]
    quanta = jnp.round(unit * (-jnp.log(u_energy)) ** (1.0 / weibull)).astype(jnp.uint32)
    return Spots(layer, radius, turn, quanta, spot < ends[-1])


def _summed(cells: int, cell: Array, quanta: Array, quantum: float) -> Array:
    """(cells,) GeV; a spot of cell ``cells`` is dropped."""
    sums = jnp.zeros(cells, jnp.uint32).at[cell].add(quanta, mode="drop")
    return quantum * sums.astype(jnp.float32)


def uniform(counter: Array, seed: Array) -> Array:
    """Uniform in (0, 1): a hash of ``counter``, another sequence for each ``seed`` (uint32).

    Source: the 32-bit finaliser "lowbias32" of C. Wellons' hash-prospector.
    """
    bits = counter.astype(jnp.uint32) * jnp.uint32(0x9E3779B9) + seed
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x846CA68B)
    bits ^= bits >> 16
    return (bits >> 8).astype(jnp.float32) * 2.0**-24 + 2.0**-25
