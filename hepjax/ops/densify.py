"""Sparse detector images to dense ones on the device, inside the compiled step.

The inverse on the host, and what a cell is, are in formats/images.py.
"""

from math import prod

import jax
import jax.numpy as jnp
import numpy as np


def densify(
    cell: jax.Array, value: jax.Array, shape: tuple[int, ...], coarsenings: tuple[int, ...]
) -> jax.Array:
    """Images from their stored cells, bit for bit; differentiable in ``value``.

    Channels last is the order in memory, so the cells of a fine channel go to their pixels in one
    scatter. Coarse channels are laid out before it, each cell repeated over its block of pixels.

    Args:
      cell: (n, K) int32, channel by channel, row-major inside one; each at most once in an event.
        Cells out of range are dropped, which is how rows are padded.
      value: (n, K) float32.
      shape: pixels along each image axis.
      coarsenings: for each channel the pixels along each axis that one cell fills.
    Returns:
      (n, *shape, channels) float32.
    """
    planes = [tuple(pixels // k for pixels in shape) for k in coarsenings]
    starts = np.cumsum([0, *map(prod, planes)]).tolist()
    n, channels = len(cell), len(coarsenings)
    # Indices out of range differ too: then the compiler may know that none comes twice.
    outside = jnp.arange(cell.shape[1], dtype=jnp.int32)

    image = jnp.zeros((n, *shape, channels), value.dtype)
    target = jnp.broadcast_to(image[0].size + outside, cell.shape)
    for number, (k, plane) in enumerate(zip(coarsenings, planes, strict=True)):
        inside = (cell >= starts[number]) & (cell < starts[number + 1])
        pixel = cell - starts[number]
        if k == 1:
            target = jnp.where(inside, pixel * channels + number, target)
            continue
        pixel = jnp.where(inside, pixel, prod(plane) + outside)
        pixels = _put(jnp.zeros((n, prod(plane)), value.dtype), pixel, value)
        pixels = pixels.reshape(n, *plane)
        for axis in reversed(range(1, pixels.ndim)):
            pixels = jnp.repeat(pixels, k, axis)
        image = jnp.where(jnp.arange(channels) == number, pixels[..., None], image)
    return _put(image.reshape(n, -1), target, value).reshape(image.shape)


def _put(flat: jax.Array, index: jax.Array, value: jax.Array) -> jax.Array:
    """``value`` (n, K) at ``index`` (n, K) of the rows of ``flat``, each event on its own."""
    return jax.vmap(lambda f, i, v: f.at[i].set(v, mode="drop", unique_indices=True))(
        flat, index, value
    )
