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


def sums_by_class(maps: jax.Array, label: jax.Array, classes: int) -> tuple[jax.Array, jax.Array]:
    """Sum of the maps of each class and their number; labels outside are left out.

    Args:
      maps: (n, ...); label: (n,) integer.
    Returns:
      (classes, ...) and (classes,).
    """
    member = jax.nn.one_hot(label, classes, dtype=maps.dtype)
    return jnp.tensordot(member, maps, axes=(0, 0)), member.sum(0)
