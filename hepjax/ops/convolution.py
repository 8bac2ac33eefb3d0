"""Three-dimensional convolution, alone or after upsampling, for every platform.

Models call these two functions. ``conv_platform`` chooses the implementation.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from hepjax.ops.conv_jax import Pads, Triple, output_size
from hepjax.ops.conv_platform import convolve

DTYPES = (jnp.float32, jnp.bfloat16)

Padding = str | Sequence[Sequence[int]]


def conv3d(
    x: jax.Array, w: jax.Array, strides: Sequence[int] = (1, 1, 1), padding: Padding = "SAME"
) -> jax.Array:
    """Cross-correlation of (n, d, h, w, in) with a (d, h, w, in, out) kernel.

    Args:
      x: float32 or bfloat16 (products are summed in float32).
      w: same dtype as ``x``.
      strides: cells between outputs along the three axes.
      padding: zeros around the input: ``((low, high),) * 3``, "VALID" (none), or "SAME"
        (inputs / stride outputs; an odd zero goes to the end).
    Returns:
      (n, d', h', w', out), dtype of ``x``.
    Raises:
      TypeError: other or unequal dtypes. ValueError: shapes that do not fit.
    """
    strides = _triple("strides", strides)
    pads = _check(x, w, x.shape[1:4], strides, padding)
    return convolve(x, w, strides, pads)


Convolution = Callable[[jax.Array, jax.Array, Any, Any], jax.Array]
"""(x, w, strides, pads) to the output."""


def upsample_conv3d(
    x: jax.Array, w: jax.Array, scale: Sequence[int], padding: Padding = "SAME",
    convolution: Convolution = convolve,
) -> jax.Array:  # fmt: skip
    """Nearest-neighbour upsampling by ``scale``, then ``conv3d`` with stride 1.

    If it takes fewer products, the sub-pixel form is used, a convolution of the cells before
    upsampling. The ``scale`` outputs of a cell along each axis become output channels, and taps
    that meet the same cell are summed. Arguments, result and errors are the ones of ``conv3d``;
    ``padding`` counts cells after upsampling. ``convolution`` computes the one that is left.
    """
    scale = _triple("scale", scale)
    size = tuple(s * r for s, r in zip(x.shape[1:4], scale, strict=False))
    pads = _check(x, w, size, (1, 1, 1), padding)
    n_out = tuple(map(output_size, size, w.shape, (1, 1, 1), pads))
    taps, low_pads = _coarse_grid(x.shape[1:4], w.shape[:3], scale, pads, n_out)
    coarse_out = tuple(-(-n // r) for n, r in zip(n_out, scale, strict=True))
    if math.prod(coarse_out + scale) * math.prod(len(t) for t in taps) >= math.prod(
        n_out + w.shape[:3]
    ):
        for axis, r in enumerate(scale):
            x = jnp.repeat(x, r, axis=axis + 1)
        return convolution(x, w, (1, 1, 1), pads)
    low = tuple(p[0] for p in pads)
    kernel = lax.platform_dependent(
        w.astype(jnp.float32),
        cpu=functools.partial(_coarse_by_products, taps=taps, scale=scale, low=low),
        default=functools.partial(_coarse_by_sums, taps=taps, scale=scale, low=low),
    )
    kernel = kernel.reshape(*kernel.shape[:4], -1).astype(w.dtype)
    y = convolution(x, kernel, (1, 1, 1), low_pads)
    return _interleave(y, scale, w.shape[-1], n_out)


def _coarse_grid(
    size: Sequence[int], kernel: Sequence[int], scale: Triple, pads: Pads, n_out: Sequence[int]
) -> tuple[list[range], Pads]:
    """For each axis the offsets of the cells that a coarse output meets, and the padding."""
    taps = [
        range((-p[0]) // r, (r + k - 2 - p[0]) // r + 1)
        for k, r, p in zip(kernel, scale, pads, strict=True)
    ]
    low_pads = tuple(
        (-t[0], -(-n // r) - 1 + t[-1] - (s - 1))
        for t, n, r, s in zip(taps, n_out, scale, size, strict=True)
    )
    return taps, low_pads  # type: ignore[return-value]


# The kernel of the coarse grid, (cells along d, h, w, in, phases along d, h, w, out): sums of the
# taps that meet the same cell. Tap k of an output of phase p meets cell (p + k - low) // scale.


def _coarse_by_products(
    w: jax.Array, taps: list[range], scale: Triple, low: tuple[int, ...]
) -> jax.Array:
    """By products with matrices of ones, for CPUs."""

    def meets(cells: range, kernel: int, scale: int, low: int) -> jax.Array:
        cell = (jnp.arange(scale)[:, None] + jnp.arange(kernel)[None, :] - low) // scale
        return (cell[None] == jnp.asarray(cells)[:, None, None]).astype(jnp.float32)

    a, b, c = map(meets, taps, w.shape[:3], scale, low)
    return jnp.einsum("apx,bqy,crz,xyzio->abcipqro", a, b, c, w)


def _coarse_by_sums(
    w: jax.Array, taps: list[range], scale: Triple, low: tuple[int, ...]
) -> jax.Array:
    """By sums of slices, which a GPU does in one or two launches in place of a dozen."""
    for axis, (cells, r, pad) in enumerate(zip(taps, scale, low, strict=True)):
        first, last = r * cells[0] + pad - (r - 1), r * cells[-1] + pad + r - 1
        edges = [(0, 0, 0)] * w.ndim
        edges[axis] = (-first, last - (w.shape[axis] - 1), 0)
        w = lax.pad(w, jnp.zeros((), w.dtype), edges)
        reach = r * (len(cells) - 1) + 1
        sums = [
            sum(
                lax.slice_in_dim(w, at, at + reach, r, axis)
                for at in range(r - 1 - p, 2 * r - 1 - p)
            )
            for p in range(r)
        ]
        w = jnp.stack(sums, axis=-1)
    return w.transpose(0, 1, 2, 3, 5, 6, 7, 4)


def _interleave(y: jax.Array, scale: Triple, features: int, n_out: Sequence[int]) -> jax.Array:
    """(n, d, h, w, scale * features) -> (n, *n_out, features)."""
    n, d, h, w, _ = y.shape
    y = y.reshape(n, d, h, w, *scale, features).transpose(0, 1, 4, 2, 5, 3, 6, 7)
    y = y.reshape(n, d * scale[0], h * scale[1], w * scale[2], features)
    return y[:, : n_out[0], : n_out[1], : n_out[2]]


def _triple(name: str, value: Sequence[int]) -> Triple:
    value = tuple(value)
    if len(value) != 3 or any(v < 1 for v in value):
        raise ValueError(f"{name}: expected three positive integers, found {value}")
    return value


def _check(
    x: jax.Array, w: jax.Array, size: Sequence[int], strides: Triple, padding: Padding
) -> Pads:
    """Check the operands; return the explicit padding of a convolution over ``size`` cells."""
    shapes = f"x {x.dtype}{list(x.shape)}, w {w.dtype}{list(w.shape)}"
    if x.ndim != 5 or w.ndim != 5:
        raise ValueError(
            f"conv3d: expected (n, d, h, w, in) and (d, h, w, in, out), found {shapes}"
        )
    if x.dtype not in DTYPES or w.dtype != x.dtype:
        raise TypeError(f"conv3d: expected both float32 or both bfloat16, found {shapes}")
    if x.shape[4] != w.shape[3]:
        raise ValueError(f"conv3d: expected as many input channels in both, found {shapes}")
    if min(w.shape) < 1:
        raise ValueError(f"conv3d: expected a kernel without empty axes, found {shapes}")
    if isinstance(padding, str):
        if padding not in ("SAME", "VALID"):
            raise ValueError(f"conv3d: expected padding 'SAME' or 'VALID', found '{padding}'")
        pads = tuple(lax.padtype_to_pads(size, w.shape[:3], strides, padding))
    else:
        pads = tuple((int(low), int(high)) for low, high in padding)
        if len(pads) != 3 or min(map(min, pads)) < 0:
            raise ValueError(f"conv3d: expected three pairs of padding, not negative, found {pads}")
    if any(n < 1 for n in map(output_size, size, w.shape, strides, pads)):
        raise ValueError(
            f"conv3d: expected a kernel that fits the padded input, found {shapes}, padding {pads}"
        )
    return pads  # type: ignore[return-value]
