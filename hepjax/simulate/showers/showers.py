"""Draw electromagnetic showers in a sampling calorimeter; arrays in, arrays out, no files.

A shower is a gamma profile in depth with fluctuating parameters, integrated over layers (here) and
sampled as spots (spots.py). A batch has a fixed number of slots for spots, a power of two: showers
with similar numbers of spots share a batch, and each number of slots compiles once.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hepjax import InputError
from hepjax.simulate.showers import model
from hepjax.simulate.showers.geometry import Calorimeter, effective_medium
from hepjax.simulate.showers.model import TUNED, Tuning
from hepjax.simulate.showers.spots import Layers, fill_cells

START_X0 = {"electron": 0.0, "photon": 9.0 / 7.0}
"""Mean depth at which the shower of a particle starts, exponentially distributed, X0."""
SAMPLING = 0.2
"""Fluctuation of the energy deposited in a layer, sqrt(GeV): variance over mean is its square."""
PROFILES_PER_BATCH = 128
SLOTS_PER_BATCH = 1 << 19
"""Spot slots, or cells if more, of one compiled call on one device: some 20 MB."""
FEWEST_SLOTS = 1024


def simulate_showers(
    calorimeter: Calorimeter,
    energy: np.ndarray | Sequence[float],
    theta: np.ndarray | Sequence[float] | float,
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
      theta: (n,) or one polar angle, radians; pi/2 is normal, below it y grows with depth.
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
    if not len(energy):
        return np.zeros((0, *calorimeter.shape), np.float32)
    index = np.arange(first, first + len(energy), dtype=np.uint32)
    draw = partial(_draw_layers, calorimeter, START_X0[particle], tuning, key)
    layers = _in_batches(draw, PROFILES_PER_BATCH, (energy, theta, index))

    cells = math.prod(calorimeter.shape)
    showers = np.zeros((len(energy), *calorimeter.shape), np.float32)
    spots = np.maximum(layers.spots.sum(axis=1), FEWEST_SLOTS)
    slots = 2 ** np.ceil(np.log2(spots)).astype(np.int64)
    for count in np.unique(slots).tolist():
        rows = np.flatnonzero(slots == count)
        fill = partial(
            fill_cells, calorimeter.shape, count, (tuning.spot_energy, tuning.spot_shape)
        )
        group = Layers(*(values[rows] for values in layers))
        showers[rows] = _in_batches(fill, max(1, SLOTS_PER_BATCH // max(count, cells)), (group,))
    return showers


def _check(energy: np.ndarray, theta: np.ndarray, particle: str) -> None:
    if particle not in START_X0:
        raise InputError(f"particle: expected one of {', '.join(START_X0)}, found {particle!r}")
    if not np.all((energy >= 0.5) & (energy <= 2000.0)):
        raise InputError(
            f"energy: expected 0.5 to 2000 GeV, found {energy.min():g} to {energy.max():g}"
        )
    if not np.all(np.abs(theta - np.pi / 2) <= np.pi / 4 + 1e-6):
        low, high = np.degrees([theta.min(), theta.max()])
        raise InputError(f"theta: expected 45 to 135 degrees, found {low:g} to {high:g}")


def _in_batches(function: Callable[..., Any], per_device: int, arrays: tuple[Any, ...]) -> Any:
    """Apply a compiled batch function over all local devices, in batches of one size."""
    mesh = Mesh(np.asarray(jax.local_devices()), ("data",))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    size = per_device * mesh.size
    total = len(jax.tree.leaves(arrays)[0])
    parts = []
    for start in range(0, total, size):
        # The last shower pads the last batch: one compiled shape.
        rows = np.minimum(np.arange(start, start + size), total - 1)
        batch = jax.device_put([jax.tree.map(lambda x, i=rows: x[i], a) for a in arrays], sharding)
        parts.append(jax.tree.map(np.asarray, function(*batch)))
    return jax.tree.map(lambda *x: np.concatenate(x)[:total], *parts)


@partial(jax.jit, static_argnums=0)
def _draw_layers(
    calorimeter: Calorimeter,
    mean_start: Array | float,
    tuning: Tuning,
    key: Array,
    energy: Array,
    theta: Array,
    index: Array,
) -> Layers:
    keys = jax.vmap(partial(jax.random.fold_in, key))(index)
    return jax.vmap(partial(_draw_one, calorimeter, mean_start, tuning))(energy, theta, keys)


def _draw_one(
    calorimeter: Calorimeter,
    mean_start: Array | float,
    tuning: Tuning,
    energy: Array,
    theta: Array,
    key: Array,
) -> Layers:
    k_profile, k_start, k_sampling, k_impact, k_count, k_seeds = jax.random.split(key, 6)
    medium = effective_medium(calorimeter)
    incidence = jnp.pi / 2 - theta
    start = mean_start * jax.random.exponential(k_start)
    depth = jnp.asarray(calorimeter.boundaries_x0(), jnp.float32) + tuning.plane
    depth = depth / jnp.cos(incidence) - start

    mean = model.longitudinal(energy, medium)
    t, a = model.fluctuate(mean, *jax.random.normal(k_profile, (2,)))
    # The tuning shifts the means and leaves the published fluctuations as they are.
    t += (tuning.depth - 1.0) * jnp.exp(mean.log_t)
    a += (tuning.shape - 1.0) * jnp.exp(mean.log_a)
    deposited = model.energy_by_layer(energy, t, a, depth)
    response = tuning.visible * medium.e_hat * calorimeter.mip_fractions()
    visible = jnp.asarray(response, jnp.float32) * _sampled(k_sampling, deposited)
    # Stochastic rounding keeps the mean energy of layers with less than one spot.
    up = jax.random.uniform(k_count, visible.shape)
    spots = jnp.floor(visible / tuning.spot_energy + up).astype(jnp.int32)

    middle = jnp.maximum(0.5 * (depth[:-1] + depth[1:]), 0.0)
    tau = model.relative_depth(middle, t, a, mean)
    profile = model.radial(energy, tau, medium, tuning)
    moliere = medium.moliere_mm / calorimeter.cell_mm
    axis = jnp.asarray(calorimeter.active_centres_mm(), jnp.float32) * jnp.tan(incidence)
    axis = _centred(axis / calorimeter.cell_mm, visible)
    impact = jax.random.uniform(k_impact, (2,))
    nx, ny, _ = calorimeter.shape
    return Layers(
        spots=spots,
        core_weight=profile.core_weight,
        core_radius=moliere * profile.core_radius,
        tail_radius=moliere * profile.tail_radius,
        x=nx // 2 + impact[0] + jnp.zeros_like(axis),
        y=ny // 2 + impact[1] + axis,
        stretch=1.0 / jnp.cos(incidence),
        seeds=jax.random.bits(k_seeds, (3,), jnp.uint32),
    )


def _sampled(key: Array, deposited: Array) -> Array:
    """Energies (layers,) with sampling fluctuations: gamma distributed, the mean kept."""
    shape = jnp.maximum(deposited / SAMPLING**2, 1e-3)
    # In logarithms: the small shapes of nearly empty layers underflow otherwise.
    drawn = SAMPLING**2 * jnp.exp(jax.random.loggamma(key, shape))
    return jnp.where(deposited > 0.0, drawn, 0.0)


def _centred(axis: Array, visible: Array) -> Array:
    """Shift an axis (layers,), in cells, by whole cells so that its barycentre is near zero."""
    barycentre = jnp.sum(visible * axis) / jnp.maximum(jnp.sum(visible), 1e-12)
    return axis - jnp.round(barycentre)
