"""Convolution from blocks of cells to blocks of cells, for networks that stay in blocks.

The convolution on blocks has more channels and fewer taps, and goes through ``conv_platform`` like
any other, so each platform takes its best form of it.
"""

from collections.abc import Sequence

import jax
from jax import lax

from hepjax.ops.conv_cells import blocks_to_cells, cells_to_blocks, kernel_on_blocks
from hepjax.ops.conv_jax import Triple
from hepjax.ops.conv_platform import convolve

__all__ = ["blocks_to_cells", "cells_to_blocks", "conv_blocked"]


def conv_blocked(
    x: jax.Array, w: jax.Array, block: Triple, first: Sequence[int], blocks: Sequence[int]
) -> jax.Array:
    """Stride-1 convolution of (n, d, h, w, cells * in), on blocks, with a kernel of cells.

    Args:
      w: (d, h, w, in, out), in cells.
      first: the input block that the first tap of the first output block meets; may lie outside.
      blocks: output blocks along each axis.
    Returns:
      (n, *blocks, cells * out).
    """
    kernel = kernel_on_blocks(w, block)
    edges = [
        (-f, f + number + k - 1 - size)
        for f, number, k, size in zip(first, blocks, kernel.shape, x.shape[1:4], strict=False)
    ]
    cut = [(0, 0, 0), *((min(low, 0), min(high, 0), 0) for low, high in edges), (0, 0, 0)]
    x = lax.pad(x, jax.numpy.zeros((), x.dtype), cut)
    pads = tuple((max(low, 0), max(high, 0)) for low, high in edges)
    return convolve(x, kernel, (1, 1, 1), pads)  # type: ignore[arg-type]
