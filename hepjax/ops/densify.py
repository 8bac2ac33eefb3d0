"""Sparse to dense detector images, on the device and inside the compiled step.

formats/images.py defines a cell and has the inverse for the host.
"""

from math import prod

import jax
import jax.numpy as jnp
import numpy as np


def densify(
    cell: jax.Array, value: jax.Array, shape: tuple[int, ...], coarsenings: tuple[int, ...]
) -> jax.Array:
    """Dense images from sparse cells, exact to the bit and differentiable in ``value``.

    One scatter writes the cells of all fine channels. A coarse channel is scattered on its own grid
    first and then upsampled by repetition.

    Args:
      cell: (n, K) int32 flat index, channel by channel and row-major inside a channel. An index
        occurs at most once in an event. Indices out of range are padding and are dropped.
      value: (n, K) float32.
      shape: pixels along each image axis.
      coarsenings: for each channel, the pixels along each axis that one cell fills.
    Returns:
      (n, *shape, channels) float32.
    """
    planes = [tuple(pixels // k for pixels in shape) for k in coarsenings]
    starts = np.cumsum([0, *map(prod, planes)]).tolist()
    n, channels = len(cell), len(coarsenings)
    # Padding gets distinct indices too, so that the scatter may assume unique indices.
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
    """Scatter ``value`` (n, K) to ``index`` (n, K) of ``flat`` (n, cells), event by event."""
    return jax.vmap(lambda f, i, v: f.at[i].set(v, mode="drop", unique_indices=True))(
        flat, index, value
    )
