"""Images in three dimensions whose blocks of cells are their channels, through several layers.

GPUs want 32 channels and more. A network of few channels makes blocks once, at its input, and stays
in them: its layers (``Conv3D``, ``BatchNorm``, ``Dropout``, ``average_pool``) take ``Blocks`` in
place of an array, with the same parameters, statistics and random numbers. Cells that pad the last
or first blocks hold anything between layers; a convolution sets them to 0, statistics leave them
out, and pooling drops them.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hepjax.ops.blocked import blocks_to_cells, cells_to_blocks, conv_blocked

Triple = tuple[int, int, int]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Blocks:
    """``array`` (n, blocks along x, y, z, cells of a block * channels) of a grid of ``size`` cells.

    The first block begins ``-origin`` cells before the grid, which aligns the blocks of a layer
    with those of the one before it.
    """

    array: jax.Array
    size: Triple = dataclasses.field(metadata={"static": True})
    block: Triple = dataclasses.field(metadata={"static": True})
    origin: Triple = dataclasses.field(metadata={"static": True})

    @property
    def channels(self) -> int:
        """Channels of a cell."""
        return self.array.shape[-1] // math.prod(self.block)

    @property
    def by_cell(self) -> jax.Array:
        """The array as (n, blocks along x, y, z, cells of a block, channels)."""
        return self.array.reshape(*self.array.shape[:4], -1, self.channels)

    @property
    def inside(self) -> np.ndarray:
        """Which cells lie in the grid, (1, blocks along x, y, z, cells of a block, 1)."""
        number = zip(self.array.shape[1:4], self.block, self.origin, self.size, strict=True)
        axes = []
        for blocks, cells, origin, size in number:
            at = np.arange(blocks * cells) + origin
            axes.append(((at >= 0) & (at < size)).reshape(blocks, cells))
        mask = np.einsum("ai,bj,ck->abcijk", *axes)
        return mask.reshape(1, *self.array.shape[1:4], -1, 1)

    def sums(self, *by_cell: jax.Array) -> list[jax.Array]:
        """Sums over events and cells, (channels,), of arrays in the shape of ``by_cell``."""
        return [jnp.where(self.inside, a, 0).sum((0, 1, 2, 3, 4)) for a in by_cell]

    def means(self, sums: list[jax.Array], axis_name: str | None) -> list[jax.Array]:
        """The means over events and cells, and over a mesh axis, of such sums."""
        count = len(self.array) * math.prod(self.size)
        means = [total / count for total in sums]
        return jax.lax.pmean(means, axis_name) if axis_name else means

    def like(self, x: jax.Array) -> "Blocks":
        """(n, x, y, z, channels) in the same blocks."""
        number = self.array.shape[1:4]
        return dataclasses.replace(self, array=cells_to_blocks(x, self.block, self.origin, number))

    def astype(self, dtype: Any) -> "Blocks":
        """The same with elements of another type."""
        return dataclasses.replace(self, array=self.array.astype(dtype))

    def with_bias(self, bias: jax.Array) -> "Blocks":
        """The same with a constant (channels,) added to each cell.

        As one constant for each channel of the array, which cuDNN adds in the convolution; a
        constant for each cell XLA would lay out as an array of the size of the image first.
        """
        return dataclasses.replace(self, array=_plus(self.array, bias))

    def with_cells(self, by_cell: jax.Array) -> "Blocks":
        """The same grid with other values, in the shape of ``by_cell``."""
        return dataclasses.replace(self, array=by_cell.reshape(*by_cell.shape[:4], -1))


Image = jax.Array | Blocks


def to_blocks(x: jax.Array, block: Triple, pads: Sequence[Sequence[int]]) -> Blocks:
    """Blocks of (n, x, y, z, channels).

    Args:
      pads: zeros before the cells of each axis, layer by layer, in the convolutions to come. After
        them the first block begins with the first cell, as pooling needs it.
    """
    size: Triple = x.shape[1:4]  # type: ignore[assignment]
    x_pads, y_pads, z_pads = (sum(before) for before in zip(*pads, strict=True))
    origin = (-(x_pads % block[0]), -(y_pads % block[1]), -(z_pads % block[2]))
    number = _number(size, block, origin)
    return Blocks(cells_to_blocks(x, block, origin, number), size, block, origin)


def to_cells(x: Image) -> jax.Array:
    """(n, x, y, z, channels) of an image in either form."""
    if not isinstance(x, Blocks):
        return x
    return blocks_to_cells(x.array, x.block, x.origin, x.size)


@jax.custom_vjp
def _plus(array: jax.Array, bias: jax.Array) -> jax.Array:
    return array + jnp.tile(bias, array.shape[-1] // len(bias))


def _plus_backward(channels: int, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    # Summed from memory, where the convolution wants it anyway. XLA would rather sum while it
    # computes it, and for that cuts the computation into two passes.
    kept = jax.lax.optimization_barrier(dy)
    return dy, kept.reshape(-1, channels).sum(0)


_plus.defvjp(lambda array, bias: (_plus(array, bias), len(bias)), _plus_backward)


def _number(size: Triple, block: Triple, origin: Triple) -> list[int]:
    """Blocks along each axis."""
    return [-(-(s - o) // b) for s, b, o in zip(size, block, origin, strict=True)]


def elementwise(function: Callable[[jax.Array], jax.Array], x: Any) -> Any:
    """An activation of an image in either form."""
    if not isinstance(x, Blocks):
        return function(x)
    return dataclasses.replace(x, array=_activated(function, x.array))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _activated(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    return function(x)


def _activated_backward(
    function: Callable[[jax.Array], jax.Array], x: jax.Array, dy: jax.Array
) -> tuple[jax.Array]:
    # The gradient times the slope, which takes it once. XLA does not join a pass over the
    # activations to one that takes its result twice, as what jax derives for LeakyReLU does.
    return (dy * jax.jvp(function, (x,), (jnp.ones_like(x),))[1],)


_activated.defvjp(lambda function, x: (function(x), x), _activated_backward)


def convolve_blocks(x: Blocks, kernel: jax.Array, pads: Sequence[Sequence[int]]) -> Blocks:
    """Convolution (stride 1, zeros around as in ``pads``) with a kernel of cells."""
    zero = jnp.zeros((), x.array.dtype)
    clean = x.with_cells(jnp.where(x.inside, x.by_cell, zero))
    size: Triple = tuple(
        s + sum(p) - k + 1 for s, p, k in zip(x.size, pads, kernel.shape, strict=False)
    )  # type: ignore[assignment]
    # The first tap of the first output meets the first cell of an input block.
    origin: Triple = tuple(
        -(-(o + p[0]) % b) for o, p, b in zip(x.origin, pads, x.block, strict=True)
    )  # type: ignore[assignment]
    before = [
        (o - p[0] - first) // b
        for o, p, first, b in zip(origin, pads, x.origin, x.block, strict=True)
    ]
    y = conv_blocked(clean.array, kernel, x.block, before, _number(size, x.block, origin))
    return Blocks(y, size, x.block, origin)


class BatchNorm(nn.BatchNorm):
    """``nn.BatchNorm`` of an image in either form, with the same variables.

    Cells that only pad blocks do not count. The mask of ``nn.BatchNorm`` would do the same, but
    counts the cells anew in each program, which XLA takes seconds to find constant.
    """

    def __call__(self, x: Any, use_running_average: bool | None = None, *, mask: Any = None) -> Any:
        if isinstance(x, Blocks):
            return self.of_blocks(x)
        return super().__call__(x, use_running_average, mask=mask)

    @nn.compact
    def of_blocks(self, x: Blocks) -> Blocks:
        """The norm over events and cells, for each channel."""
        shape = (x.channels,)
        mean_so_far = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        var_so_far = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        scale = self.param("scale", self.scale_init, shape, self.param_dtype)
        bias = self.param("bias", self.bias_init, shape, self.param_dtype)
        if self.use_running_average:
            mean, var = mean_so_far.value, var_so_far.value
            factor = jax.lax.rsqrt(var + self.epsilon) * scale
            y = ((x.by_cell - mean) * factor + bias).astype(self.dtype)
            return x.with_cells(y)
        made = _normalised(x, scale, bias, self.epsilon, self.axis_name, self.dtype)
        y, mean, var = made
        if not self.is_initializing():
            keep = self.momentum
            mean_so_far.value = keep * mean_so_far.value + (1 - keep) * mean
            var_so_far.value = keep * var_so_far.value + (1 - keep) * var
        return y


# The gradient is written out: two passes over the activations, one for two sums and one for the
# result. XLA makes three of what jax derives, and keeps an array between them.


@partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def _normalised(
    x: Blocks, scale: jax.Array, bias: jax.Array, epsilon: float, axis_name: str | None, dtype: Any
) -> tuple[Blocks, jax.Array, jax.Array]:
    """Batch norm by the statistics of the batch; those as well, (channels,) without gradient."""
    return _forward(x, scale, bias, epsilon, axis_name, dtype)[0]


def _forward(
    x: Blocks, scale: jax.Array, bias: jax.Array, epsilon: float, axis_name: str | None, dtype: Any
) -> tuple[Any, Any]:
    cells = x.by_cell.astype(jnp.float32)
    mean, squares = x.means(x.sums(cells, jnp.square(cells)), axis_name)
    var = jnp.maximum(0.0, squares - jnp.square(mean))
    factor = jax.lax.rsqrt(var + epsilon)
    y = (cells - mean) * (factor * scale) + bias
    return (x.with_cells(y.astype(dtype)), mean, var), (x, scale, mean, factor)


def _backward(
    epsilon: float, axis_name: str | None, dtype: Any, kept: Any, gradients: Any
) -> tuple[Blocks, jax.Array, jax.Array]:
    x, scale, mean, factor = kept
    dy = gradients[0].by_cell.astype(jnp.float32)
    unit = (x.by_cell.astype(jnp.float32) - mean) * factor
    sums = x.sums(dy, dy * unit)
    of_dy, of_both = x.means(sums, axis_name)
    dx = jnp.where(x.inside, factor * scale * (dy - of_dy - unit * of_both), 0)
    return x.with_cells(dx.astype(x.array.dtype)), sums[1], sums[0]


_normalised.defvjp(_forward, _backward)
