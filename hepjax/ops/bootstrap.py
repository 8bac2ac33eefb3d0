"""Poisson bootstrap: how often each replica of a sample has each event, a function of both."""

import jax
import jax.numpy as jnp

POISSON = (0.36787944, 0.73575888, 0.91969860, 0.98101184, 0.99634015, 0.99940582, 0.99991676)
"""Distribution function of the Poisson distribution of mean 1 at 0 to 6."""
KEY = 2**31 - 3
"""A fold of the seed that no update reaches."""


def drawn(seed: int, replica: jax.Array, rows: jax.Array) -> jax.Array:
    """(n,) float32 from a Poisson distribution of mean 1, at most 7, of the events ``rows`` (n,).

    Numbers of a row and a replica are the same in whatever batch and on whatever device it is.
    """
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), KEY), replica)
    uniform = jax.vmap(lambda row: jax.random.uniform(jax.random.fold_in(key, row)))(rows)
    found = jnp.searchsorted(jnp.array(POISSON), uniform, side="right")
    return found.astype(jnp.float32)
