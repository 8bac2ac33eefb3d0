"""Fields of gas from fields of dark matter by formula, in pure JAX: targets whose truth is known.

``gas`` is what simulated targets are made by. It is local within ``REACH`` cells, depends on the
velocities, and is deterministic. ``fluctuating`` is the fluctuating Gunn-Peterson approximation
(Hui and Gnedin 1997): the same without shocks, and so the baseline that a network has to beat.

Fields are (n, n, n, 4) of dark matter (density in units of the mean, peculiar velocity in km/s) and
(n, n, n, 5) of gas (density in units of the mean, temperature in K, velocity in km/s).
"""

import jax
import jax.numpy as jnp

TEMPERATURE, SLOPE = 1.0e4, 0.55
"""Of gas at mean density, K, and of its logarithm against that of the density (gamma - 1)."""
NARROW, WIDE = 1, 3
"""Passes of the filter (1, 2, 1) / 4 along each axis: pressure smooths cold gas over 0.7 cells rms,
shocked gas over 1.2."""
ONSET, RANGE = 1.0, 3.0
"""Convergence, in units in which it is the overdensity of linear theory, at which a shock begins,
and over which it becomes complete."""
HEAT = 0.6
"""Of a complete shock, decades of temperature."""
LEAST = 0.01
"""Density of gas at least."""
REACH = 3
"""Cells to each side that a cell depends on."""


def gas(dark: jax.Array, rate: jax.Array | float) -> jax.Array:
    """Density, temperature and velocity of gas (n, n, n, 5).

    Args:
      dark: (n, n, n, 4).
      rate: a H f in km/s a cell, see ``shock``.
    """
    density, velocity = dark[..., 0], dark[..., 1:]
    weight = shock(velocity, rate)
    mixed = (1 - weight) * smooth(density, NARROW) + weight * smooth(density, WIDE)
    mixed = jnp.maximum(mixed, LEAST)
    heated = temperature(mixed) * 10 ** (HEAT * weight)
    return jnp.concatenate([mixed[..., None], heated[..., None], smooth(velocity, NARROW)], axis=-1)


def fluctuating(dark: jax.Array) -> jax.Array:
    """The same without shocks: gas follows the smoothed density, and its temperature that."""
    density = jnp.maximum(smooth(dark[..., 0], NARROW), LEAST)
    return jnp.concatenate(
        [density[..., None], temperature(density)[..., None], dark[..., 1:]], axis=-1
    )


def temperature(density: jax.Array) -> jax.Array:
    """K, of gas that no shock has heated."""
    return TEMPERATURE * density**SLOPE


def shock(velocity: jax.Array, rate: jax.Array | float) -> jax.Array:
    """How far each cell (n, n, n) is shocked, 0 to 1, by the convergence of velocities in km/s.

    Args:
      rate: a H f in km/s a cell: in linear theory the convergence over it is the overdensity.
    """
    slopes = [
        (jnp.roll(velocity[..., i], -1, i) - jnp.roll(velocity[..., i], 1, i)) / 2 for i in range(3)
    ]
    convergence = -sum(slopes[1:], slopes[0]) / rate
    return jnp.clip((convergence - ONSET) / RANGE, 0.0, 1.0)


def smooth(field: jax.Array, passes: int) -> jax.Array:
    """A periodic field (n, n, n, ...) under the filter (1, 2, 1) / 4; its mean stays."""
    for axis in range(3):
        for _ in range(passes):
            around = jnp.roll(field, 1, axis) + jnp.roll(field, -1, axis)
            field = field / 2 + around / 4
    return field


def bulk_velocity(density: jax.Array, momentum: jax.Array) -> jax.Array:
    """Velocity (n, n, n, 3) of cells from density and momentum on the mesh, both smoothed.

    Smoothing reaches over cells without particles; where there are none at all it is 0.
    """
    return smooth(momentum, 2) / (smooth(density, 2)[..., None] + 1e-3)
