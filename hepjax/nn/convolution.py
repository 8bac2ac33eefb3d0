"""Convolutions, pooling and dropout of detector images in two and three dimensions."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.nn.keras import GLOROT
from hepjax.ops import conv2d, conv3d, upsample_conv3d

Padding = Sequence[tuple[int, int]]


class Conv3D(nn.Module):
    """Convolution of (n, x, y, z, channels), of the cells repeated ``scale`` times."""

    features: int
    kernel: tuple[int, int, int]
    padding: Padding
    scale: tuple[int, int, int] = (1, 1, 1)
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = GLOROT
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32).astype(self.dtype)
        padding = tuple(map(tuple, self.padding))
        if self.scale == (1, 1, 1):
            y = conv3d(x.astype(self.dtype), kernel, padding=padding)
        else:
            y = upsample_conv3d(x.astype(self.dtype), kernel, self.scale, padding)
        if self.use_bias:
            y += self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return y


class Conv(nn.Module):
    """Square convolution; ``pad`` pixels on each side, or as Keras pads "SAME" if it is None."""

    features: int
    kernel: int
    stride: int = 1
    pad: int | None = None
    kernel_init: nn.initializers.Initializer = GLOROT
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        padding = "SAME" if self.pad is None else ((self.pad, self.pad),) * 2
        return conv2d(x.astype(self.dtype), kernel, (self.stride,) * 2, padding) + bias


def average_pool(x: jax.Array, size: int) -> jax.Array:
    """Mean over blocks of ``size`` cells along each axis of (n, x, y, z, channels); a rest is cut.

    As sums of a reshaped array, which on a CPU takes half the time of ``nn.avg_pool``.
    """
    if size == 1:
        return x
    n, *cells, channels = x.shape
    i, j, k = (c // size for c in cells)
    x = x[:, : i * size, : j * size, : k * size]
    return x.reshape(n, i, size, j, size, k, size, channels).mean(axis=(2, 4, 6))


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
    ``nn.Dropout`` draws four bytes, which cost a CPU more than the convolution beside it.
    """

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        kept = round(256 * (1.0 - self.rate))
        if not train or kept == 256:
            return x
        n, size = x.shape[0], math.prod(x.shape[1:])
        words = jax.random.bits(self.make_rng("dropout"), (n, -(-size // 4)), jnp.uint32)
        random = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(n, -1)[:, :size]
        return jnp.where(random.reshape(x.shape) < kept, x * (256 / kept), 0).astype(x.dtype)
