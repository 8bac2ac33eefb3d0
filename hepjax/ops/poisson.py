"""Poisson numbers from one uniform number each: no rejection, so the same work for every rate."""

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

EXACT_BELOW = 12.0
"""Rates up to here are inverted exactly."""
TERMS = 36
"""Of the sum; at rate 12 the probability of more is 4e-9, below the step of a uniform number."""


def poisson(key: jax.Array, rate: jax.Array) -> jax.Array:
    """Poisson numbers, float32, of the shape of ``rate``.

    Below ``EXACT_BELOW`` by inversion of the distribution function. Above by the Cornish-Fisher
    expansion to third order (Abramowitz and Stegun 26.2.49), whose mean, variance and skewness are
    those of the Poisson distribution to 1 %.
    """
    u = jax.random.uniform(key, rate.shape, minval=1e-7, maxval=1 - 1e-7)
    small = jnp.minimum(rate, EXACT_BELOW)
    term = jnp.exp(-small)
    below, count = term, jnp.zeros_like(rate)
    for k in range(1, TERMS + 1):
        count += u > below
        term = term * small / k
        below += term
    root, z = jnp.sqrt(jnp.maximum(rate, 1.0)), ndtri(u)
    far = rate + root * z + (z * z - 1) / 6 + (z - z**3) / (72 * root) + 0.5
    return jnp.where(rate <= EXACT_BELOW, count, jnp.maximum(jnp.floor(far), 0.0))
