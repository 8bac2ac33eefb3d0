"""The Grindhammer-Peters parametrisation of electromagnetic showers in sampling calorimeters.

Formulas and constants only: mean shapes and their fluctuations. showers.py draws showers from
them. Depths are in radiation lengths, radii in Moliere radii, energies GeV.

Source: G. Grindhammer and S. Peters, hep-ex/0001020, appendix A.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammainc

from hepjax.simulate.showers.geometry import Medium


class Tuning(NamedTuple):
    """What the formulas leave open or get wrong here; docs/reference/simulation.md says how it was
    set."""

    visible: float  # factor on the visible energy
    depth: float  # factor on the mean depth of the maximum, T
    shape: float  # factor on the mean shape a
    plane: float  # a silicon plane sees the profile this much deeper than its layer, X0
    core_radius: float  # factor on the core radius
    core_front: float  # factor on the widening of the core at the front of the shower
    tail_radius: float  # factor on the tail radius
    tail_weight: float  # added to the weight of the tail
    spot_energy: float  # mean energy of a spot in its silicon plane, GeV
    spot_shape: float  # Weibull shape of that energy


PUBLISHED = Tuning(
    visible=1.0,
    depth=1.0,
    shape=1.0,
    plane=0.0,
    core_radius=1.0,
    core_front=1.0,
    tail_radius=1.0,
    tail_weight=0.0,
    spot_energy=5.5e-4,  # 10.3 ln(Z) E^0.959 spots of equal energy, at 50 GeV
    spot_shape=20.0,
)
TUNED = Tuning(
    visible=1.125,
    depth=1.13,
    shape=1.155,
    plane=0.66,
    core_radius=0.81,
    core_front=0.0,
    tail_radius=1.17,
    tail_weight=0.15,
    spot_energy=3.15e-4,
    spot_shape=1.17,
)
"""Set on EGSnrc electrons of 10-100 GeV at normal incidence."""


class Longitudinal(NamedTuple):
    """Mean and fluctuation of the gamma profile of depth: its maximum T and its shape a."""

    log_t: Array
    log_a: Array
    sigma_t: Array
    sigma_a: Array
    correlation: Array


class Radial(NamedTuple):
    """Two-component radial profile: weight of the core, and the radii of core and tail."""

    core_weight: Array
    core_radius: Array
    tail_radius: Array


def longitudinal(energy: Array, medium: Medium) -> Longitudinal:
    """Parameters of the longitudinal profile in a sampling calorimeter; shapes as ``energy``."""
    log_y = jnp.log(energy / medium.critical_energy)
    t = log_y - 0.812 - 0.55 / medium.periods_per_x0 - 0.69 * (1.0 - medium.e_hat)
    a = 0.81 + (0.458 + 2.26 / medium.z) * log_y - 0.476 / medium.periods_per_x0
    return Longitudinal(
        log_t=jnp.log(jnp.maximum(t, 0.1)),
        log_a=jnp.log(jnp.maximum(a, 0.1)),
        sigma_t=_sigma(-2.5 + 1.25 * log_y),
        sigma_a=_sigma(-0.82 + 0.79 * log_y),
        correlation=0.784 - 0.023 * log_y,
    )


def _sigma(inverse: Array) -> Array:
    # Below about 1 GeV the published line 1/(a + b ln y) leaves its range; 0.5 is its ceiling.
    return jnp.minimum(1.0 / jnp.maximum(inverse, 0.1), 0.5)


def fluctuate(mean: Longitudinal, z1: Array, z2: Array) -> tuple[Array, Array]:
    """Depth of maximum T and shape a of single showers from two standard normal draws."""
    plus = jnp.sqrt(0.5 * (1.0 + mean.correlation)) * z1
    minus = jnp.sqrt(0.5 * (1.0 - mean.correlation)) * z2
    t = jnp.exp(mean.log_t + mean.sigma_t * (plus + minus))
    a = jnp.exp(mean.log_a + mean.sigma_a * (plus - minus))
    # A gamma profile needs a > 1 to start from zero.
    return jnp.maximum(t, 1.0), jnp.maximum(a, 1.1)


def energy_by_layer(energy: Array, t: Array, a: Array, boundaries: Array) -> Array:
    """(layers,) energy one shower deposits between consecutive depths ``boundaries``, GeV.

    Args:
      energy, t, a: (), incident energy and profile parameters.
      boundaries: (layers + 1,) depths from the start of the shower; negative ones hold no energy.
    """
    scale = (a - 1.0) / t
    contained = gammainc(a, jnp.maximum(scale * boundaries, 0.0))
    return energy * jnp.diff(contained)


def radial(energy: Array, tau: Array, medium: Medium, tuning: Tuning) -> Radial:
    """Radial profile at depth ``tau`` (in units of the mean depth); shapes as ``tau``."""
    log_e, fs, not_e = jnp.log(energy), medium.periods_per_x0, 1.0 - medium.e_hat
    core = 0.0251 + 0.00319 * log_e + (0.1162 - 0.000381 * medium.z) * tau
    core += -0.0203 * not_e + tuning.core_front * 0.0397 / fs * jnp.exp(-tau)
    rise = jnp.exp((0.3585 + 0.0412 * log_e) * (tau - 0.645))
    tail = (0.659 - 0.00309 * medium.z) * (jnp.exp(-2.59 * (tau - 0.645)) + rise)
    tail += -0.14 * not_e - 0.495 / fs * jnp.exp(-tau)
    p1, p2 = 2.632 - 0.00094 * medium.z, 0.401 + 0.00187 * medium.z
    u = (p2 - tau) / (1.313 - 0.0686 * log_e)
    weight = p1 * jnp.exp(u - jnp.exp(u))
    weight += not_e * (0.348 - 0.642 / fs * jnp.exp(-jnp.square(tau - 1.0)))
    weight -= tuning.tail_weight
    core = tuning.core_radius * jnp.maximum(core, 1e-3)
    # The exponent of the tail grows without bound behind the shower, where no energy is left.
    tail = tuning.tail_radius * jnp.clip(tail, 1e-3, 10.0)
    return Radial(jnp.clip(weight, 0.0, 1.0), core, jnp.maximum(tail, core))


def relative_depth(depth: Array, t: Array, a: Array, mean: Longitudinal) -> Array:
    """Depth over the mean depth of the shower, the ``tau`` of the radial profile."""
    mean_a = jnp.exp(mean.log_a)
    return depth / t * (a - 1.0) / a * mean_a / jnp.maximum(mean_a - 1.0, 0.1)
