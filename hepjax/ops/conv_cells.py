"""Three-dimensional convolution for processors that want many channels: blocks, bands, products.

The matrix units of GPUs want 32 channels and more on both sides; the 3DGAN has 1, 6, 8 and 32. Each
form trades cells or taps for channels and gives the numbers of the direct convolution. Arguments as
in ``conv_jax``; any strides and padding.

blocks    The cells of a block become channels. A kernel of k taps along an axis becomes one of
          ceil((r + k - 1) / r) taps on blocks of r cells, filled with copies of the weights.
bands     Groups of output slices see their input slices as channels of one 2-D convolution, which
          XLA lays out for GPUs as NHWC, without conversions. A depth of 1 has no slices to group.
products  Shifted views side by side times the kernel as a matrix: no convolution at all.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from hepjax.ops.conv_jax import Pads, Triple, conv_xla, output_size

MOST_COLUMNS = 1024
"""Of one product: more taps than fit are several products, summed in float32."""


def conv_blocks(
    x: jax.Array, w: jax.Array, strides: Triple, pads: Pads, block: Triple
) -> jax.Array:
    """The convolution on blocks of ``block`` output cells each."""
    n_out = tuple(map(output_size, x.shape[1:4], w.shape, strides, pads))
    r: Triple = tuple(map(min, block, n_out))  # type: ignore[assignment]
    into: Triple = tuple(a * s for a, s in zip(r, strides, strict=True))  # type: ignore[assignment]
    kernel = kernel_on_blocks(w, r, strides)
    blocks = [-(-n // a) for n, a in zip(n_out, r, strict=True)]
    needed = [b + k - 1 for b, k in zip(blocks, kernel.shape, strict=False)]
    x = cells_to_blocks(x, into, tuple(-low for low, _ in pads), needed)
    y = conv_xla(x, kernel, (1, 1, 1), ((0, 0),) * 3)
    return blocks_to_cells(y, r, (0, 0, 0), n_out)


def cells_to_blocks(
    x: jax.Array, block: Triple, origin: Sequence[int], blocks: Sequence[int]
) -> jax.Array:
    """(n, d, h, w, c) -> (n, *blocks, cells of a block * c).

    The first block begins at cell ``origin``, which may lie outside; cells outside are 0.
    """
    edges = [
        (-first, first + number * r - size, 0)
        for first, number, r, size in zip(origin, blocks, block, x.shape[1:4], strict=True)
    ]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
    (a, b, c), (i, j, k) = blocks, block
    x = x.reshape(len(x), a, i, b, j, c, k, -1).transpose(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(len(x), a, b, c, -1)


def blocks_to_cells(
    y: jax.Array, block: Triple, origin: Sequence[int], size: Sequence[int]
) -> jax.Array:
    """The inverse of ``cells_to_blocks`` for a grid of ``size`` cells."""
    n, a, b, c, _ = y.shape
    i, j, k = block
    y = y.reshape(n, a, b, c, i, j, k, -1).transpose(0, 1, 4, 2, 5, 3, 6, 7)
    y = y.reshape(n, a * i, b * j, c * k, -1)
    cut = [slice(-first, length - first) for first, length in zip(origin, size, strict=True)]
    return y[:, cut[0], cut[1], cut[2]]


def kernel_on_blocks(w: jax.Array, block: Triple, strides: Triple = (1, 1, 1)) -> jax.Array:
    """The kernel from blocks of ``block * strides`` input cells to blocks of ``block`` outputs.

    The first tap of the first output of a block meets the first cell of an input block.
    """
    c_in, c_out = w.shape[3:]
    for axis in range(3):
        w = _spread(w, axis, block[axis], strides[axis])
    cells = [b * s for b, s in zip(block, strides, strict=True)]
    (a, i), (b, j), (c, k) = ((n // m, m) for n, m in zip(w.shape, cells, strict=False))
    w = w.reshape(a, i, b, j, c, k, c_in, c_out, *block)
    w = w.transpose(0, 2, 4, 1, 3, 5, 6, 8, 9, 10, 7)
    return w.reshape(a, b, c, math.prod(cells) * c_in, math.prod(block) * c_out)


def _spread(w: jax.Array, axis: int, outputs: int, stride: int) -> jax.Array:
    """The taps along an axis where each of ``outputs`` neighbours meets them; those come last.

    The axis is as long as whole blocks of the cells that the outputs begin at.
    """
    taps, cells = w.shape[axis], outputs * stride
    length = -(-((outputs - 1) * stride + taps) // cells) * cells
    return jnp.stack([_moved(w, axis, n * stride, length) for n in range(outputs)], axis=-1)


def _moved(w: jax.Array, axis: int, first: int, length: int) -> jax.Array:
    edges = [(0, 0, 0)] * w.ndim
    edges[axis] = (first, length - w.shape[axis] - first, 0)
    return lax.pad(w, jnp.zeros((), w.dtype), edges)


def conv_bands(x: jax.Array, w: jax.Array, strides: Triple, pads: Pads, slices: int) -> jax.Array:
    """The convolution with ``slices`` output slices at a time as channels of a 2-D convolution.

    Of the products a share is with zeros: slices / (slices + taps - 1) of them count.
    """
    kd, kh, kw, c_in, c_out = w.shape
    n, size, height, width, _ = x.shape
    step = strides[0]
    n_out = output_size(size, kd, step, pads[0])
    slices = min(slices, n_out)
    bands, seen = -(-n_out // slices), (slices - 1) * step + kd
    low = pads[0][0]
    needed = (bands - 1) * slices * step + seen
    x = lax.pad(
        x, jnp.zeros((), x.dtype), [(0, 0, 0), (low, needed - size - low, 0)] + [(0, 0, 0)] * 3
    )
    starts = [band * slices * step for band in range(bands)]
    planes = jnp.stack([x[:, start : start + seen] for start in starts], axis=1)
    planes = planes.transpose(0, 1, 3, 4, 2, 5).reshape(n * bands, 1, height, width, seen * c_in)
    kernel = jnp.stack([_moved(w, 0, n * step, seen) for n in range(slices)], axis=-2)
    kernel = kernel.transpose(1, 2, 0, 3, 4, 5).reshape(1, kh, kw, seen * c_in, slices * c_out)
    y = conv_xla(planes, kernel, (1, *strides[1:]), ((0, 0), *pads[1:]))
    y = y.reshape(n, bands, *y.shape[2:4], slices, c_out).transpose(0, 1, 4, 2, 3, 5)
    return y.reshape(n, bands * slices, *y.shape[3:])[:, :n_out]


def conv_products(x: jax.Array, w: jax.Array, strides: Triple, pads: Pads) -> jax.Array:
    """The convolution as products of shifted views, ``MOST_COLUMNS`` wide, with the kernel."""
    n_out = tuple(map(output_size, x.shape[1:4], w.shape, strides, pads))
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*p, 0) for p in pads), (0, 0, 0)])
    taps = [
        (a, b, c) for a in range(w.shape[0]) for b in range(w.shape[1]) for c in range(w.shape[2])
    ]
    last = [(n - 1) * s + 1 for n, s in zip(n_out, strides, strict=True)]

    def view(tap: tuple[int, ...]) -> jax.Array:
        end = [t + m for t, m in zip(tap, last, strict=True)]
        return lax.slice(x, (0, *tap, 0), (len(x), *end, x.shape[4]), (1, *strides, 1))

    together = max(1, MOST_COLUMNS // w.shape[3])
    matrix = w.reshape(len(taps), w.shape[3], w.shape[4])
    # One product alone may round at once, which keeps its derivatives products of bfloat16.
    dtype = x.dtype if together >= len(taps) else jnp.float32
    parts = []
    for start in range(0, len(taps), together):
        group = slice(start, start + together)
        columns = jnp.concatenate([view(tap) for tap in taps[group]], axis=-1)
        rows = matrix[group].reshape(-1, w.shape[4])
        parts.append(jnp.einsum("ndhwk,ko->ndhwo", columns, rows, preferred_element_type=dtype))
    return sum(parts[1:], parts[0]).astype(x.dtype)
