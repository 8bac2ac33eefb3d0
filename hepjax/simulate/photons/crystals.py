"""Electromagnetic showers in a block of lead-tungstate crystals: arrays in, arrays out.

Grindhammer-Peters parametrisation for homogeneous media (hep-ex/0001020, appendix A.1): the energy
of each slice in depth is split into spots. Nothing is tuned; no light yield, no noise.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from hepjax.simulate.showers import model
from hepjax.simulate.showers.geometry import Medium
from hepjax.simulate.showers.model import PUBLISHED

LEAD_TUNGSTATE = Medium(
    z=68.4,  # by weight
    density=8.28,
    x0_mm=8.93,
    critical_energy=9.26e-3,
    moliere_mm=20.4,
    # Homogeneous: infinitely many periods of one material.
    periods_per_x0=math.inf,
    e_hat=1.0,
)
"""By the mixing rules of ``geometry.effective_medium`` for Pb 0.455, W 0.404, O 0.141 by weight."""
LEAST_ENERGY = 1e-6
"""GeV; slices with less energy, before a shower starts or after it ends, get no extra spot."""
PROFILES_PER_BATCH = 256


@dataclass(frozen=True)
class Crystals:
    """A wall of square crystals, seen from the front. Lengths in mm."""

    size_mm: float = 22.0
    depth_mm: float = 230.0
    slices: int = 26
    """Slices in depth, about a radiation length each, with one shower width in each."""


class Showers(NamedTuple):
    """Electromagnetic showers, (k,) arrays; the axis of each starts at the front face."""

    event: np.ndarray  # int64, the image each belongs to
    energy: np.ndarray  # GeV
    photon: np.ndarray  # bool: starts to shower after 9/7 X0 on average
    x: np.ndarray  # mm from the edge of crystal (0, 0)
    y: np.ndarray
    tangent_x: np.ndarray  # of the angle to the crystals' axis
    tangent_y: np.ndarray


def deposit(
    crystals: Crystals,
    showers: Showers,
    events: int,
    grid: tuple[int, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """Energy in every crystal.

    Args:
      events: number of images.
      grid: crystals along x and y; what falls outside is lost.
    Returns:
      (events, x, y) float32, GeV.
    """
    n = len(showers.energy)
    edges = np.linspace(0.0, crystals.depth_mm, crystals.slices + 1) / LEAD_TUNGSTATE.x0_mm
    start = np.where(showers.photon, rng.exponential(9.0 / 7.0, n), 0.0)
    draws = (showers.energy, start, *rng.standard_normal((2, n)))
    energy, spots, weight, core, tail = _in_batches(edges, draws)

    spots = rng.poisson(spots) + (energy > LEAST_ENERGY)
    depth = 0.5 * LEAD_TUNGSTATE.x0_mm * (edges[:-1] + edges[1:])
    of_slice = {
        "x": showers.x[:, None] + showers.tangent_x[:, None] * depth,
        "y": showers.y[:, None] + showers.tangent_y[:, None] * depth,
        "first": np.broadcast_to(showers.event[:, None] * math.prod(grid), spots.shape),
        "energy": energy / np.maximum(spots, 1),
    }
    # One row for each spot: every slice of every shower is repeated by its number of spots.
    repeats = spots.ravel()
    spot = {name: np.repeat(values.ravel(), repeats) for name, values in of_slice.items()}
    dx, dy = _offsets(rng, *(np.repeat(v.ravel(), repeats) for v in (weight, core, tail)))
    ix = np.floor((spot["x"] + dx) / crystals.size_mm).astype(np.int64)
    iy = np.floor((spot["y"] + dy) / crystals.size_mm).astype(np.int64)
    nx, ny = grid
    inside = (ix >= 0) & (ix < nx) & (iy >= 0) & (iy < ny)
    cell = spot["first"] + ix * ny + iy
    cells = np.bincount(cell[inside], spot["energy"][inside], minlength=events * nx * ny)
    return cells.reshape(events, nx, ny).astype(np.float32)


def _offsets(
    rng: np.random.Generator, weight: np.ndarray, core: np.ndarray, tail: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distances to the axis in x and y, mm, from 2 r R^2 / (r^2 + R^2)^2 of the core or the tail.

    Args:
      weight, core, tail: (spots,) share of the core, and radii in Moliere radii.
    """
    draw = partial(rng.random, len(weight), np.float32)
    radius = LEAD_TUNGSTATE.moliere_mm * np.where(draw() < weight, core, tail)
    v = draw()
    radius *= np.sqrt(v / (1.0 - v))
    angle = np.float32(2.0 * np.pi) * draw()
    return radius * np.cos(angle), radius * np.sin(angle)


def _in_batches(edges: np.ndarray, draws: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """``_profiles`` in batches of one compiled shape; repeated showers pad the last batch."""
    n = len(draws[0])
    size = -(-n // PROFILES_PER_BATCH) * PROFILES_PER_BATCH
    padded = [np.resize(np.asarray(values, np.float32), size) for values in draws]
    parts = [
        _profiles(edges.astype(np.float32), *(v[i : i + PROFILES_PER_BATCH] for v in padded))
        for i in range(0, size, PROFILES_PER_BATCH)
    ]
    return tuple(np.concatenate(values)[:n] for values in zip(*parts, strict=True))


@jax.jit
def _profiles(
    edges: Array, energy: Array, start: Array, z1: Array, z2: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """Energy, mean number of spots and radial profile of each slice of each shower."""
    one = partial(_profile, edges)
    return jax.vmap(one)(energy, start, z1, z2)


def _profile(
    edges: Array, energy: Array, start: Array, z1: Array, z2: Array
) -> tuple[Array, Array, Array, Array, Array]:
    medium = LEAD_TUNGSTATE
    log_y = jnp.log(energy / medium.critical_energy)
    mean = model.longitudinal(energy, medium)._replace(
        sigma_t=jnp.minimum(1.0 / jnp.maximum(-1.4 + 1.26 * log_y, 0.1), 0.5),
        sigma_a=jnp.minimum(1.0 / jnp.maximum(-0.58 + 0.86 * log_y, 0.1), 0.5),
        correlation=0.705 - 0.023 * log_y,
    )
    t, a = model.fluctuate(mean, z1, z2)
    depth = edges - start
    deposited = model.energy_by_layer(energy, t, a, depth)
    # Spots have a longitudinal profile of their own: they stand for particles that still have
    # enough energy to move away from the axis.
    t_spot = t * (0.698 + 0.00212 * medium.z)
    a_spot = jnp.maximum(a * (0.639 + 0.00334 * medium.z), 1.1)
    count = 93.0 * math.log(medium.z) * energy**0.876
    spots = model.energy_by_layer(count, t_spot, a_spot, depth)
    middle = jnp.maximum(0.5 * (depth[:-1] + depth[1:]), 0.0)
    tau = model.relative_depth(middle, t, a, mean)
    radial = model.radial(energy, tau, medium, PUBLISHED)
    return deposited, spots, radial.core_weight, radial.core_radius, radial.tail_radius
