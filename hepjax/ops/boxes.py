"""Boxes of dark matter and gas from a random key: the particle mesh, then the formulas of gas.

``plan`` computes on the host what depends on size, cosmology and redshift; ``make`` is one compiled
program for all of them that have as many cells and steps, also inside a train step.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.ops import cosmology as universe
from hepjax.ops import gas, particle_mesh
from hepjax.ops.cosmology import Cosmology, Schedule

BEGIN = 0.1
"""Scale factor at which the simulation starts."""


class Setting(NamedTuple):
    """Of a box: cells along an edge, the edge in Mpc/h, redshift, steps of the simulation."""

    cells: int = 32
    length: float = 25.0
    redshift: float = 3.0
    steps: int = 12
    cosmology: Cosmology = Cosmology()


class Plan(NamedTuple):
    """What ``make`` needs of a setting.

    Attributes:
      amplitudes: (n, n, n // 2 + 1). schedule: of the simulation.
      speed: km/s of a momentum of 1. rate: a H f, km/s a cell.
    """

    amplitudes: np.ndarray
    schedule: Schedule
    speed: np.float32
    rate: np.float32


def plan(setting: Setting) -> Plan:
    """The plan of a setting; steps are equal in the scale factor, from ``BEGIN`` on."""
    cosmology, a = setting.cosmology, 1 / (1 + setting.redshift)
    scales = np.linspace(min(BEGIN, a / 2), a, setting.steps + 1)
    cell = setting.length / setting.cells
    return Plan(
        universe.amplitudes(cosmology, setting.cells, setting.length),
        universe.schedule(cosmology, scales),
        np.float32(100 * cell / a), np.float32(rate(cosmology, setting.redshift, cell)),
    )  # fmt: skip


def rate(cosmology: Cosmology, redshift: float, cell: float) -> float:
    """a H f in km/s a cell of ``cell`` Mpc/h, as ``gas.shock`` wants it."""
    return across(cosmology, redshift, cell) * universe.growth(cosmology, 1 / (1 + redshift))[1]


def across(cosmology: Cosmology, redshift: float, cell: float) -> float:
    """a H in km/s a cell: how fast the faces of a cell of ``cell`` Mpc/h part by expansion."""
    a = 1 / (1 + redshift)
    return 100 * cell * a * float(universe.expansion(cosmology, a))


def dark_matter(key: jax.Array, plan: Any) -> jax.Array:
    """Density in units of the mean and velocity in km/s (n, n, n, 4) of a box.

    Args:
      plan: a ``Plan``, also of traced arrays.
    """
    n = plan.amplitudes.shape[0]
    noise = jax.random.normal(key, (n, n, n))
    field = particle_mesh.linear_field(noise, jnp.asarray(plan.amplitudes))
    particles = particle_mesh.simulate(field, plan.schedule)
    density = particle_mesh.paint(particles.position, n)
    momentum = jnp.stack(
        [particle_mesh.paint(particles.position, n, p) for p in particles.momentum.T], axis=-1
    )
    velocity = plan.speed * gas.bulk_velocity(density, momentum)
    return jnp.concatenate([density[..., None], velocity], axis=-1)


def make(key: jax.Array, plan: Any) -> tuple[jax.Array, jax.Array]:
    """Dark matter (n, n, n, 4) and gas (n, n, n, 5) of a box; pure, one box."""
    dark = dark_matter(key, plan)
    return dark, gas.gas(dark, plan.rate)
