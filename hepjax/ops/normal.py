"""Quantiles of the standard normal distribution, fast."""

import jax
import jax.numpy as jnp
import numpy as np

CENTRE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
    -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
    -0.0076224613, 0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip
"""Of the inverse error function over its argument, highest power first: M. Giles, Approximating the
erfinv function, GPU Computing Gems, 2011, table 5, single precision."""


def quantile(share: jax.Array) -> jax.Array:
    """Of the standard normal distribution, for shares of 1e-7 to 1 - 1e-6, to 2e-6.

    It has no tails beyond and takes half the time of ``jax.scipy.special.ndtri``.
    """
    depth = -jnp.log(4.0 * share * (1.0 - share))
    near, far = jnp.minimum(depth, 5.0) - 2.5, jnp.sqrt(jnp.maximum(depth, 5.0)) - 3.0
    ratio = jnp.where(depth < 5.0, _polynomial(CENTRE, near), _polynomial(TAIL, far))
    return np.float32(np.sqrt(2.0)) * ratio * (2.0 * share - 1.0)


def _polynomial(factors: tuple[float, ...], x: jax.Array) -> jax.Array:
    """By Horner's rule, highest power first."""
    value = jnp.full_like(x, factors[0])
    for factor in factors[1:]:
        value = value * x + factor
    return value
