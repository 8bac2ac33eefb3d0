"""Draw electromagnetic showers in a sampling calorimeter; arrays in, arrays out, no files.

A shower is a gamma profile in depth with fluctuating parameters, cut into layers and made of spots:
each stands for one particle crossing a silicon plane, at a radius drawn from the profile of its
layer. Spots are counted per layer, so a batch needs a fixed number of slots: showers are grouped by
energy, and each group compiles once.
"""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hepjax.errors import InputError
from hepjax.simulate import shower_model
from hepjax.simulate.geometry import Calorimeter, effective_medium
from hepjax.simulate.shower_model import TUNED, Tuning

PARTICLES = ("electron", "photon")
CONVERSION_X0 = 9.0 / 7.0
"""Mean depth at which a photon converts, radiation lengths."""
QUANTUM = 1e-9
"""Cells add up in units of 1 eV, as integers: the sum is the same in any order, on any device."""
SLOTS_PER_BATCH = 1 << 20
"""Spot slots of one compiled call on one device; bounds its memory to about 50 MB."""
FEWEST_SLOTS = 1024


def simulate_showers(
    calorimeter: Calorimeter,
    energy: np.ndarray | Sequence[float],
    theta: np.ndarray | Sequence[float],
    particle: str,
    key: Array,
    *,
    first: int = 0,
    tuning: Tuning = TUNED,
) -> np.ndarray:
    """Energy in every cell for electrons or photons that hit the calorimeter at its centre.

    Shower i is drawn from ``fold_in(key, first + i)`` and its own energy and angle, so it does not
    depend on how many others are asked for with it, or on how many devices share the work.

    Args:
      energy: (n,) incident energies, GeV.
      theta: (n,) polar angles, radians; pi/2 is normal incidence, below it y grows with depth.
      particle: ``electron`` or ``photon``.
      key: typed key of the whole sample.
      first: index of the first of these showers in the sample.
    Returns:
      (n, x, y, layers) float32, GeV deposited in the silicon. The impact point is uniform in a cell
      and the window is shifted by whole cells so that the barycentre lies in its middle.
    Raises:
      InputError: an energy or angle out of range, or another particle.
    """
    energy = np.asarray(energy, np.float32)
    theta = np.broadcast_to(np.asarray(theta, np.float32), energy.shape)
    _check(energy, theta, particle)
    mesh = Mesh(np.asarray(jax.local_devices()), ("data",))
    showers = np.zeros((len(energy), *calorimeter.shape), np.float32)
    slots = spot_slots(energy, calorimeter, tuning)
    for count in np.unique(slots):
        rows = np.flatnonzero(slots == count)
        batch = max(1, SLOTS_PER_BATCH // int(count)) * mesh.size
        draw = partial(_draw_batch, calorimeter, tuning, particle, int(count))
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            # The last batch is filled up with its own last shower, to keep one compiled shape.
            filled = np.pad(part, (0, batch - len(part)), mode="edge")
            sharding = NamedSharding(mesh, PartitionSpec("data"))
            inputs = (energy[filled], theta[filled], (filled + first).astype(np.uint32))
            placed = [jax.device_put(x, sharding) for x in inputs]
            showers[part] = np.asarray(draw(*placed, key))[: len(part)]
    return showers


def _check(energy: np.ndarray, theta: np.ndarray, particle: str) -> None:
    if particle not in PARTICLES:
        raise InputError(f"particle: expected one of {', '.join(PARTICLES)}, found {particle!r}")
    if not np.all((energy >= 0.5) & (energy <= 2000.0)):
        raise InputError(
            f"energy: expected 0.5 to 2000 GeV, found {energy.min():g} to {energy.max():g}"
        )
    if not np.all(np.abs(theta - np.pi / 2) <= np.pi / 4):
        low, high = np.degrees([theta.min(), theta.max()])
        raise InputError(f"theta: expected 45 to 135 degrees, found {low:g} to {high:g}")


def spot_slots(energy: np.ndarray, calorimeter: Calorimeter, tuning: Tuning) -> np.ndarray:
    """(n,) slots for the spots of each shower: a power of two with room for its fluctuations."""
    medium = effective_medium(calorimeter)
    visible = tuning.visible * medium.e_hat * calorimeter.mip_fractions().max() * energy
    expected = visible / tuning.spot_energy
    needed = np.maximum(expected * (1.0 + 0.5 / np.sqrt(energy)), FEWEST_SLOTS)
    return (1 << np.ceil(np.log2(needed)).astype(np.int64)).astype(np.int64)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _draw_batch(
    calorimeter: Calorimeter,
    tuning: Tuning,
    particle: str,
    slots: int,
    energy: Array,
    theta: Array,
    index: Array,
    key: Array,
) -> Array:
    draw = partial(_draw_shower, calorimeter, tuning, particle, slots)
    keys = jax.vmap(partial(jax.random.fold_in, key))(index)
    return jax.vmap(draw)(energy, theta, keys)


def _draw_shower(
    calorimeter: Calorimeter,
    tuning: Tuning,
    particle: str,
    slots: int,
    energy: Array,
    theta: Array,
    key: Array,
) -> Array:
    k_profile, k_start, k_sampling, k_impact, k_count, k_spots = jax.random.split(key, 6)
    medium = effective_medium(calorimeter)
    incidence = jnp.pi / 2 - theta
    start = CONVERSION_X0 * jax.random.exponential(k_start) if particle == "photon" else 0.0
    depth = jnp.asarray(calorimeter.boundaries_x0(), jnp.float32) / jnp.cos(incidence) - start

    mean = shower_model.longitudinal(energy, medium)
    t, a = shower_model.fluctuate(mean, *jax.random.normal(k_profile, (2,)))
    deposited = shower_model.energy_by_layer(energy, t, a, depth)
    fluctuated = _sampling_fluctuation(k_sampling, deposited, tuning.sampling)
    response = tuning.visible * medium.e_hat * calorimeter.mip_fractions()
    visible = jnp.asarray(response, jnp.float32) * fluctuated

    middle = jnp.maximum(0.5 * (depth[:-1] + depth[1:]), 0.0)
    tau = shower_model.relative_depth(middle, t, a, mean)
    profile = shower_model.radial(energy, tau, medium, tuning)

    slope = jnp.tan(incidence)
    axis = _axis_in_window(calorimeter, visible, slope) / calorimeter.cell_mm
    scale = jnp.float32(medium.moliere_mm / calorimeter.cell_mm)
    layer, weight = _spots_by_layer(k_count, visible, slots, tuning.spot_energy)
    bits = jax.random.bits(k_spots, (2, slots), jnp.uint32)
    radius = scale * _radius(_unit(bits[0]), *(values[layer] for values in profile))
    angle = 2.0 * jnp.pi * _unit(bits[1])
    size = weight * _spot_size(_unit(bits[1] << 16), tuning.spot_shape)

    impact = jax.random.uniform(k_impact, (2,))
    nx, ny, nz = calorimeter.shape
    x = impact[0] + nx // 2 + radius * jnp.cos(angle)
    y = impact[1] + ny // 2 + axis[layer] + radius * jnp.sin(angle) / jnp.cos(incidence)
    ix, iy = jnp.floor(x).astype(jnp.int32), jnp.floor(y).astype(jnp.int32)
    inside = (ix >= 0) & (ix < nx) & (iy >= 0) & (iy < ny)
    cell = jnp.where(inside, (ix * ny + iy) * nz + layer, nx * ny * nz)
    quanta = jnp.round(size * (1.0 / QUANTUM)).astype(jnp.uint32)
    cells = jnp.zeros(nx * ny * nz, jnp.uint32).at[cell].add(quanta, mode="drop")
    return QUANTUM * cells.astype(jnp.float32).reshape(nx, ny, nz)


def _sampling_fluctuation(key: Array, deposited: Array, c: float) -> Array:
    """Energies with the same mean and variance ``c**2`` GeV times the mean."""
    shape = jnp.maximum(deposited / c**2, 1e-3)
    # log-gamma: for tiny shapes the draw itself underflows
    return jnp.where(deposited > 0.0, c**2 * jnp.exp(jax.random.loggamma(key, shape)), 0.0)


def _axis_in_window(calorimeter: Calorimeter, visible: Array, slope: Array) -> Array:
    """(layers,) y of the shower axis in each layer, mm, after the shift by whole cells."""
    y = slope * jnp.asarray(calorimeter.active_centres_mm(), jnp.float32)
    barycentre = jnp.sum(visible * y) / jnp.maximum(jnp.sum(visible), 1e-12)
    return y - calorimeter.cell_mm * jnp.round(barycentre / calorimeter.cell_mm)


def _spots_by_layer(
    key: Array, visible: Array, slots: int, spot_energy: float
) -> tuple[Array, Array]:
    """(slots,) layer of each spot and its mean energy, zero for the slots that are not used."""
    wanted = visible / spot_energy
    scale = jnp.minimum(1.0, (slots - len(visible)) / jnp.sum(wanted))
    # Rounding up or down at random keeps the mean energy of layers with less than one spot.
    count = jnp.floor(scale * wanted + jax.random.uniform(key, visible.shape)).astype(jnp.int32)
    ends = jnp.cumsum(count)
    slot = jnp.arange(slots)
    layer = jnp.sum(slot[:, None] >= ends[None, :-1], axis=1)
    return layer, jnp.where(slot < ends[-1], spot_energy / scale, 0.0)


def _unit(bits: Array) -> Array:
    """Uniform in (0, 1), from the upper 24 of 32 random bits."""
    return (bits >> 8).astype(jnp.float32) * 2.0**-24 + 2.0**-25


def _radius(u: Array, core_weight: Array, core: Array, tail: Array) -> Array:
    """Radius from one uniform draw: first which component, then where in it."""
    is_core = u < core_weight
    low = jnp.where(is_core, 0.0, core_weight)
    share = jnp.where(is_core, core_weight, 1.0 - core_weight)
    v = jnp.clip((u - low) / share, 0.0, 1.0 - 2.0**-20)
    return jnp.where(is_core, core, tail) * jnp.sqrt(v / (1.0 - v))


def _spot_size(u: Array, shape: float) -> Array:
    """Energy over mean energy of a spot, Weibull distributed."""
    return (-jnp.log(u)) ** (1.0 / shape) / math.gamma(1.0 + 1.0 / shape)

