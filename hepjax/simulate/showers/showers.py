"""Draw electromagnetic showers in a sampling calorimeter; arrays in, arrays out, no files.

A shower is a gamma profile in depth with fluctuating parameters, integrated over layers (here) and
sampled as spots (spots.py). A batch has a fixed number of slots for spots, a power of two: showers
with similar numbers of spots share a batch, and each number of slots compiles once.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hepjax.formats.showers.calorimeter import Calorimeter, Layer
from hepjax.formats.showers.materials import MATERIALS
from hepjax.simulate.showers import geometry, model
from hepjax.simulate.showers.conditions import HIGHEST_GEV, check
from hepjax.simulate.showers.model import TUNED, Tuning
from hepjax.simulate.showers.spots import QUANTUM, Layers, fill_cells, fill_rings

START_X0 = {"electron": 0.0, "photon": 9.0 / 7.0}
"""Mean depth at which the shower of a particle starts, exponentially distributed, X0."""
PROFILES_PER_BATCH = 128
SLOTS_PER_BATCH = 1 << 19
"""Spot slots, or cells if more, of one compiled call on one device: some 20 MB."""
FEWEST_SLOTS = 1024
TUNED_CROSSING = 1e-3 * (0.1 * 0.5 * MATERIALS["silicon"].mip_loss)
"""GeV that a minimum ionising particle leaves in the plates that ``TUNED`` was set on."""
CORE_RADII = (0.1, 0.2, 0.4)
"""Moliere radii; of the narrow core of a shower on its way through the stack."""


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

    The constants of ``tuning`` were set on silicon and tungsten; for another stack the energy of a
    spot is scaled with what a minimum ionising particle leaves in its plates.

    Shower i is drawn from ``fold_in(key, first + i)`` and its own energy and angle, so it does not
    depend on how many others are asked for with it, or on how many devices share the work.

    Args:
      energy: (n,) incident energies, GeV.
      theta: (n,) or one polar angle, radians; pi/2 is normal, below it y grows with depth.
      particle: ``electron`` or ``photon``.
      key: typed key of the whole sample.
      first: index of the first of these showers in the sample.
    Returns:
      (n, *calorimeter.shape) float32, GeV deposited in the active slabs over ``divided_by``. In a
      box the impact point is uniform in a cell and the window is shifted by whole cells so that the
      barycentre lies in its middle; a cylinder lies about the axis of the shower.
    Raises:
      InputError: an energy or angle out of range, another particle, or a calorimeter without slabs.
    """
    energy = np.asarray(energy, np.float32)
    theta = np.broadcast_to(np.asarray(theta, np.float32), energy.shape)
    check(calorimeter, energy, theta, particle)
    if not len(energy):
        return np.zeros((0, *calorimeter.shape), np.float32)
    index = np.arange(first, first + len(energy), dtype=np.uint32)
    draw = partial(_draw_layers, calorimeter, START_X0[particle], tuning, key)
    layers = _in_batches(draw, PROFILES_PER_BATCH, (energy, theta, index))

    showers = np.zeros((len(energy), *calorimeter.shape), np.float32)
    spots = np.maximum(layers.spots.sum(axis=1), FEWEST_SLOTS)
    slots = 2 ** np.ceil(np.log2(spots)).astype(np.int64)
    for count in np.unique(slots).tolist():
        rows = np.flatnonzero(slots == count)
        fill = _filler(calorimeter, count, tuning)
        group = Layers(*(values[rows] for values in layers))
        at_once = max(1, SLOTS_PER_BATCH // max(count, calorimeter.voxels))
        showers[rows] = _in_batches(fill, at_once, (group,))
    if calorimeter.divided_by != 1.0:
        showers /= np.float32(calorimeter.divided_by)
    return showers


def _filler(calorimeter: Calorimeter, slots: int, tuning: Tuning) -> Callable[[Layers], Array]:
    """Compiled: spots of a batch of showers into cells."""
    spot = (spot_energies(calorimeter, tuning), tuning.spot_shape)
    unit = quantum(calorimeter, tuning)
    if calorimeter.box:
        nx, ny, nz = calorimeter.shape
        return partial(fill_cells, (nx, ny, nz), slots, spot, quantum=unit)
    binning = tuple((layer.rings, layer.sectors) for layer in calorimeter.layers)
    return partial(fill_rings, binning, slots, spot, quantum=unit)


def spot_energies(calorimeter: Calorimeter, tuning: Tuning) -> Any:
    """(layers,) float32 mean energies of a spot, GeV: as many crossings as in the tuned plates."""
    crossings = geometry.crossing_energies(calorimeter) / TUNED_CROSSING
    return tuning.spot_energy * crossings.astype(np.float32)


def quantum(calorimeter: Calorimeter, tuning: Tuning) -> float:
    """Unit of the sums of cells, GeV: 1 eV times a power of two, so that no cell overflows.

    The hottest cell holds at most what its layer holds at the maximum of the shower (0.15 of the
    energy in a radiation length) times the share of the core, ``r^2 / (r^2 + R^2)`` within r.
    """
    medium = geometry.effective_medium(calorimeter)
    thickness = np.diff(geometry.boundaries_x0(calorimeter))
    share = np.minimum(1.0, 0.15 * thickness) * geometry.active_fractions(calorimeter)
    share = share * [
        _hottest(calorimeter, layer, medium.moliere_mm) for layer in calorimeter.layers
    ]
    highest = max(HIGHEST_GEV, calorimeter.energy[1])
    bound = highest * tuning.visible * medium.e_hat * float(share.max())
    return QUANTUM * 2.0 ** max(0, math.ceil(math.log2(bound / (2.0**32 * QUANTUM))))


def _hottest(calorimeter: Calorimeter, layer: Layer, moliere_mm: float) -> float:
    """Share of the core in the cell that holds most of it."""
    if calorimeter.box:
        rings: tuple[float, ...] = (0.0, math.sqrt(math.prod(calorimeter.cell_mm) / math.pi))
    else:
        rings = layer.rings
    return (
        max(
            b**2 / (b**2 + r**2) - a**2 / (a**2 + r**2)
            for a, b in itertools.pairwise(rings)
            for r in (radius * moliere_mm for radius in CORE_RADII)
        )
        / layer.sectors
    )


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
    medium = geometry.effective_medium(calorimeter)
    incidence = jnp.pi / 2 - theta
    start = mean_start * jax.random.exponential(k_start)
    depth = jnp.asarray(geometry.boundaries_x0(calorimeter), jnp.float32) + tuning.plane
    depth = depth / jnp.cos(incidence) - start

    mean = model.longitudinal(energy, medium)
    t, a = model.fluctuate(mean, *jax.random.normal(k_profile, (2,)))
    # The tuning shifts the means and leaves the published fluctuations as they are.
    t += (tuning.depth - 1.0) * jnp.exp(mean.log_t)
    a += (tuning.shape - 1.0) * jnp.exp(mean.log_a)
    deposited = model.energy_by_layer(energy, t, a, depth)
    response = tuning.visible * medium.e_hat * geometry.active_fractions(calorimeter)
    sampled = deposited
    if math.isfinite(medium.periods_per_x0) and calorimeter.sampling > 0:
        sampled = _sampled(k_sampling, deposited, calorimeter.sampling)
    visible = jnp.asarray(response, jnp.float32) * sampled
    # Stochastic rounding keeps the mean energy of layers with less than one spot.
    up = jax.random.uniform(k_count, visible.shape)
    spots = jnp.floor(visible / spot_energies(calorimeter, tuning) + up).astype(jnp.int32)

    middle = jnp.maximum(0.5 * (depth[:-1] + depth[1:]), 0.0)
    tau = model.relative_depth(middle, t, a, mean)
    profile = model.radial(energy, tau, medium, tuning)
    # Lengths across the shower: cells along x in a box, mm in a cylinder.
    unit, unit_y = calorimeter.cell_mm if calorimeter.box else (1.0, 1.0)
    moliere = medium.moliere_mm / unit
    axis = jnp.asarray(geometry.active_centres_mm(calorimeter), jnp.float32) * jnp.tan(incidence)
    axis = _centred(axis / unit_y, visible)
    impact = jax.random.uniform(k_impact, (2,))
    nx, ny = calorimeter.cells or (0, 0)
    return Layers(
        spots=spots,
        core_weight=profile.core_weight,
        core_radius=moliere * profile.core_radius,
        tail_radius=moliere * profile.tail_radius,
        x=nx // 2 + impact[0] + jnp.zeros_like(axis),
        y=ny // 2 + impact[1] + axis,
        stretch=(unit / unit_y) / jnp.cos(incidence),
        seeds=jax.random.bits(k_seeds, (3,), jnp.uint32),
    )


def _sampled(key: Array, deposited: Array, sampling: float) -> Array:
    """Energies (layers,) with sampling fluctuations: gamma distributed, the mean kept."""
    shape = jnp.maximum(deposited / sampling**2, 1e-3)
    # In logarithms: the small shapes of nearly empty layers underflow otherwise.
    drawn = sampling**2 * jnp.exp(jax.random.loggamma(key, shape))
    return jnp.where(deposited > 0.0, drawn, 0.0)


def _centred(axis: Array, visible: Array) -> Array:
    """Shift an axis (layers,), in cells, by whole cells so that its barycentre is near zero."""
    barycentre = jnp.sum(visible * axis) / jnp.maximum(jnp.sum(visible), 1e-12)
    return axis - jnp.round(barycentre)
