"""Convolutions of periodic boxes (n, x, y, z, channels), whole or cut along x over devices.

A box has no rim: cells beyond one face are those of the opposite one. Whole boxes are padded by
wrapping. Where ``over`` names a mesh axis, each device has slices of x, and gets the faces next to
them from its two neighbours (halo exchange, ``ppermute``) inside ``shard_map``. Both give the
same numbers.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from hepjax.ops import conv3d

WEIGHTS = nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal")
"""He et al. (2015), for layers before a ReLU."""
TRANSPOSED = nn.initializers.variance_scaling(16.0, "fan_in", "truncated_normal")
"""The same where an output meets 8 of 64 taps."""


def wrapped(x: jax.Array, faces: int, over: str | None = None) -> jax.Array:
    """A box with so many more slices on each side of its three axes.

    Args:
      over: mesh axis over which x is cut; a device has at least ``faces`` slices of it.
    """
    if over is None or lax.axis_size(over) == 1:
        x = _both_sides(x, faces, 1)
    else:
        devices = lax.axis_size(over)
        onwards = [(i, (i + 1) % devices) for i in range(devices)]
        back = [(i, (i - 1) % devices) for i in range(devices)]
        before = lax.ppermute(x[:, -faces:], over, onwards)
        after = lax.ppermute(x[:, :faces], over, back)
        x = jnp.concatenate([before, x, after], axis=1)
    return _both_sides(_both_sides(x, faces, 2), faces, 3)


def _both_sides(x: jax.Array, faces: int, axis: int) -> jax.Array:
    """Wrapped along one axis; the box may have fewer slices than are added."""
    size = x.shape[axis]
    if isinstance(size, int) and size < faces:
        pads = [(0, 0)] * x.ndim
        pads[axis] = (faces, faces)
        return jnp.pad(x, pads, mode="wrap")
    before = lax.slice_in_dim(x, size - faces, size, axis=axis)
    return jnp.concatenate([before, x, lax.slice_in_dim(x, 0, faces, axis=axis)], axis=axis)


class PeriodicConv(nn.Module):
    """Convolution of a periodic box, with as many cells out as in, or over ``stride`` fewer.

    The kernel reaches (kernel - stride) / 2 cells beyond an output and its stride on both sides:
    3 with stride 1, 4 with stride 2, and so on.
    """

    features: int
    kernel: int = 3
    stride: int = 1
    over: str | None = None
    dtype: jnp.dtype = jnp.float32
    weights: nn.initializers.Initializer = WEIGHTS

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*(self.kernel,) * 3, x.shape[-1], self.features)
        kernel = self.param("kernel", self.weights, shape, jnp.float32).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        faces = (self.kernel - self.stride) // 2
        x = x.astype(self.dtype)
        if faces:
            x = wrapped(x, faces, self.over)
        return conv3d(x, kernel, (self.stride,) * 3, "VALID") + bias


class PeriodicTranspose(nn.Module):
    """Transposed convolution of 4^3 taps and stride 2 of a periodic box: twice the cells an axis.

    Output 2 m + p sees the inputs m and m - 1 (p = 0) or m + 1 (p = 1). All eight phases are the
    channels of one convolution of 2^3 taps (sub-pixel form), which takes as many products. The
    numbers and the kernel, (4, 4, 4, in, out), are those of PyTorch's ``ConvTranspose3d(4, 2, 1)``
    on a periodic box.
    """

    features: int
    over: str | None = None
    dtype: jnp.dtype = jnp.float32
    weights: nn.initializers.Initializer = TRANSPOSED

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (4, 4, 4, x.shape[-1], self.features)
        kernel = self.param("kernel", self.weights, shape, jnp.float32).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        n, *cells, _ = x.shape
        x = wrapped(x.astype(self.dtype), 1, self.over)
        y = conv3d(x, _phases(kernel), padding="VALID")
        y = y.reshape(*y.shape[:4], 2, 2, 2, self.features)
        for axis, size in enumerate(cells):  # phase p begins p cells later
            phases = [
                lax.slice_in_dim(
                    lax.index_in_dim(y, p, axis + 4, keepdims=True), p, p + size, 1, axis + 1
                )
                for p in range(2)
            ]
            y = jnp.concatenate(phases, axis=axis + 4)
        y = y.transpose(0, 1, 4, 2, 5, 3, 6, 7)
        return y.reshape(n, *(2 * size for size in cells), self.features) + bias


def _phases(kernel: jax.Array) -> jax.Array:
    """(4, 4, 4, in, out) -> (2, 2, 2, in, phases * out): the taps of phase 0 are 3, 1 and of phase
    1 are 2, 0 along each axis."""
    taps = jnp.array([[3, 2], [1, 0]])  # (tap, phase)
    for axis in range(3):
        kernel = jnp.take(kernel, taps.reshape(-1), axis=axis)
    c_in, c_out = kernel.shape[3:]
    kernel = kernel.reshape(2, 2, 2, 2, 2, 2, c_in, c_out).transpose(0, 2, 4, 6, 1, 3, 5, 7)
    return kernel.reshape(2, 2, 2, c_in, 8 * c_out)
