"""Convolutions, pooling and dropout of detector images in two and three dimensions."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.nn.blocks import Blocks, Image, convolve_blocks, to_cells
from hepjax.nn.int8 import Kind, applied
from hepjax.nn.keras import GLOROT
from hepjax.ops import conv2d, conv3d, upsample_conv3d

Padding = Sequence[tuple[int, int]]


def in_int8(module: Any, x: jax.Array, w: jax.Array, strides: Any, pads: Any) -> jax.Array:
    """``conv3d`` in 8 bits as the layer ``module`` wants it."""

    def product(x: jax.Array, w: jax.Array) -> jax.Array:
        return conv3d(x, w, strides, pads)

    return applied(module, module.quantise, x, w, product)


class Conv3D(nn.Module):
    """Convolution of (n, x, y, z, channels), of the cells repeated ``scale`` times.

    ``Blocks`` go in and come out as such; they are not repeated.
    """

    features: int
    kernel: tuple[int, int, int]
    padding: Padding
    scale: tuple[int, int, int] = (1, 1, 1)
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = GLOROT
    dtype: jnp.dtype = jnp.float32
    quantise: Kind = ""
    """Of arrays, not of ``Blocks``."""

    @nn.compact
    def __call__(self, x: Image) -> Image:
        channels = x.channels if isinstance(x, Blocks) else x.shape[-1]
        shape = (*self.kernel, channels, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32).astype(self.dtype)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        padding = tuple(map(tuple, self.padding))
        if isinstance(x, Blocks):
            made = convolve_blocks(x.astype(self.dtype), kernel, padding)
            return made.with_bias(bias) if self.use_bias else made
        x = x.astype(self.dtype)
        if self.quantise:
            y = upsample_conv3d(x, kernel, self.scale, padding, partial(in_int8, self))
        elif self.scale == (1, 1, 1):
            y = conv3d(x, kernel, padding=padding)
        else:
            y = upsample_conv3d(x, kernel, self.scale, padding)
        return y + bias if self.use_bias else y


class Conv(nn.Module):
    """Square convolution; ``pad`` pixels on each side, or as Keras pads "SAME" if it is None."""

    features: int
    kernel: int
    stride: int = 1
    pad: int | None = None
    kernel_init: nn.initializers.Initializer = GLOROT
    dtype: jnp.dtype = jnp.float32
    quantise: Kind = ""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        padding = "SAME" if self.pad is None else ((self.pad, self.pad),) * 2
        convolution = partial(in_int8, self) if self.quantise else conv3d
        x = x.astype(self.dtype)
        return conv2d(x, kernel, (self.stride,) * 2, padding, convolution) + bias


def average_pool(x: Any, size: tuple[int, int, int]) -> Any:
    """Mean over blocks of ``size`` cells along x, y, z of (n, x, y, z, channels); a rest is cut.

    As sums of a reshaped array, which on a CPU takes half the time of ``nn.avg_pool``. ``Blocks``
    of that size come out as cells.
    """
    if size == (1, 1, 1):
        return x
    a, b, c = size
    if isinstance(x, Blocks):
        if x.block == size and not any(x.origin):
            i, j, k = (cells // s for cells, s in zip(x.size, size, strict=True))
            return x.by_cell[:, :i, :j, :k].mean(axis=4)
        x = to_cells(x)
    n, *cells, channels = x.shape
    i, j, k = (cell // s for cell, s in zip(cells, size, strict=True))
    x = x[:, : i * a, : j * b, : k * c]
    return x.reshape(n, i, a, j, b, k, c, channels).mean(axis=(2, 4, 6))


def max_pool(x: jax.Array) -> jax.Array:
    """Maximum over blocks of 2 x 2 pixels; an odd row or column at the end is left out.

    As maxima of slices, whose gradient takes a CPU a sixth less time for the whole update.
    """
    height, width = (size // 2 * 2 for size in x.shape[1:3])
    x = jnp.maximum(x[:, 0:height:2], x[:, 1:height:2])
    return jnp.maximum(x[:, :, 0:width:2], x[:, :, 1:width:2])


class Dropout(nn.Module):
    """Sets a share ``rate`` of the activations (n, ...) to 0 and scales the others up.

    One random byte decides each activation, so the share is right to 1/512 and the mean exactly.
    ``nn.Dropout`` draws four bytes, which cost a CPU more than the convolution beside it. The cells
    of ``Blocks`` meet the bytes that they would meet as cells.
    """

    rate: float

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Image:
        kept = round(256 * (1.0 - self.rate))
        if not train or kept == 256:
            return x
        key = self.make_rng("dropout")
        if isinstance(x, Blocks):
            shape = (len(x.array), *x.size, x.channels)
            random = x.like(random_bytes(key, shape))
            return x.with_cells(_drop(x.by_cell, random.by_cell, kept))
        return _drop(x, random_bytes(key, x.shape), kept)


def _drop(x: jax.Array, random: jax.Array, kept: int) -> jax.Array:
    return jnp.where(random < kept, x * (256 / kept), 0).astype(x.dtype)


def random_bytes(key: jax.Array, shape: Sequence[int]) -> jax.Array:
    """Uniform bytes (n, ...), four from each draw; those of an event do not depend on n."""
    n, size = shape[0], math.prod(shape[1:])
    words = jax.random.bits(key, (n, -(-size // 4)), jnp.uint32)
    return jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(n, -1)[:, :size].reshape(shape)
