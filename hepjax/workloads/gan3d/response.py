"""The visible over the incident energy of generated showers beside that of real ones, as a loss.

The MAPE of the visible energy asks for the median of what an energy gives, so it takes the
fluctuations away. The energy distance is 0 if all of the distribution is right.
"""

import jax
import jax.numpy as jnp


def energy_distance(one: jax.Array, other: jax.Array) -> jax.Array:
    """Unbiased estimate of 2 E|x - y| - E|x - x'| - E|y - y'| of two samples (n,), (m,), n, m > 1.

    Its expectation is 0 if both have one distribution, and above 0 otherwise (Székely and Rizzo,
    2013). A pair of equal numbers has gradient 0.
    """

    def distances(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.abs(a[:, None] - b[None, :]).sum()

    n, m = len(one), len(other)
    within = distances(one, one) / (n * (n - 1)) + distances(other, other) / (m * (m - 1))
    return 2 * distances(one, other) / (n * m) - within


def response_loss(made: jax.Array, real: jax.Array) -> jax.Array:
    """Energy distance of responses (n,) in percent of the real ones' mean; 0 of a single shower."""
    if len(made) < 2:
        return jnp.zeros(())
    unit = 0.01 * jnp.maximum(real.mean(), 1e-7)
    return energy_distance(made / unit, real / unit)
