"""When electrons and their light arrive: densities in samples, for simulation and likelihoods.

Times and widths are in samples; sample k lasts from k to k + 1.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr

NARROWEST = 1e-3
"""Samples; smaller widths count as this one."""


def arrivals(centre: jax.Array, width: jax.Array, samples: int) -> jax.Array:
    """Share (samples,) of a Gaussian in each sample."""
    edges = jnp.arange(samples + 1, dtype=jnp.float32)
    return jnp.diff(ndtr((edges - centre) / jnp.maximum(width, NARROWEST)))


def two_over_one(
    electrons: jax.Array, centre: jax.Array, width: jax.Array, separation: jax.Array,
    fraction: jax.Array,
) -> jax.Array:  # fmt: skip
    """Logarithm of the likelihood ratio of two scatters to one, for electrons (samples,).

    Numbers of electrons in samples are independent Poisson numbers of equal total, so only their
    densities count, which are taken in the middle of each sample. Both hypotheses have their mean
    at ``centre``.
    """
    width = jnp.maximum(width, NARROWEST)

    def density(at: jax.Array) -> jax.Array:
        return -0.5 * ((jnp.arange(len(electrons)) + 0.5 - at) / width) ** 2

    first = centre - fraction * separation
    two = jnp.logaddexp(
        jnp.log1p(-fraction) + density(first), jnp.log(fraction) + density(first + separation)
    )
    return jnp.where(electrons > 0, electrons * (two - density(centre)), 0.0).sum()


def delayed(centre: jax.Array, width: jax.Array, delay: float, samples: int) -> jax.Array:
    """Share (samples,) of a Gaussian whose times are delayed by an exponential of mean ``delay``.

    From the distribution function of the exponentially modified Gaussian.
    """
    edges = jnp.arange(samples + 1, dtype=jnp.float32)
    x, s = (edges - centre) / delay, jnp.maximum(width, NARROWEST) / delay
    late = jnp.exp(jnp.minimum(s * s / 2 - x, 30.0)) * ndtr(x / s - s)
    return jnp.diff(ndtr(x / s) - late)


def light(electrons: jax.Array, transit: jax.Array) -> jax.Array:
    """Light (samples,) of electrons (samples,) that each shine evenly for ``transit`` samples.

    An electron's time is anywhere in its sample, so that the first and the last sample of its light
    have half a share. What shines after the last sample is lost.

    Args:
      electrons: the light that the electrons of each sample make in all.
      transit: a whole number of samples.
    """
    total = jnp.cumsum(electrons)
    ended = jnp.arange(len(electrons)) - transit
    before = jnp.where(ended >= 0, total[jnp.maximum(ended, 0)], 0.0)
    shining = (total - before) / transit
    return (shining + jnp.concatenate([jnp.zeros(1), shining[:-1]])) / 2
