"""Where a network looks: derivatives of its output with respect to the input, pure jax."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def saliency(output: Callable[[jax.Array], jax.Array], images: jax.Array) -> jax.Array:
    """|d output / d pixel| of each event.

    Args:
      output: (n, rows, columns, channels) to (n,), each event on its own.
      images: (n, rows, columns, channels).
    Returns:
      Of the shape of ``images``.
    Source: Simonyan et al., arXiv:1312.6034.
    """
    # Events do not mix, so the gradient of the sum holds the gradient of each.
    return jnp.abs(jax.grad(lambda x: output(x).sum())(images))
