"""Three-dimensional convolution for CPUs in pure JAX, made of two-dimensional ones.

On CPUs XLA's 3-D convolution is some fifteen times slower than its 2-D one. Inputs are
(n, depth, height, width, channels), kernels (depth, height, width, in, out), and ``pads`` explicit.
``conv_platform`` chooses between this and the other implementations.
"""

import jax
import jax.numpy as jnp
from jax import lax

Triple = tuple[int, int, int]
Pads = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

BAND = 2  # output slices made by one 2-D convolution


def output_size(size: int, kernel: int, stride: int, pad: tuple[int, int]) -> int:
    """Outputs of a convolution along one axis; zero or negative if the kernel does not fit."""
    return (size + sum(pad) - kernel) // stride + 1


def conv_xla(x: jax.Array, w: jax.Array, strides: Triple, pads: Pads) -> jax.Array:
    """The convolution of XLA, in two dimensions if there is one slice."""
    x, pads = _without_excess(x, w, pads)
    if x.shape[1] == w.shape[0] == 1:
        return _conv_plane(x[:, 0], w[0], strides, pads)[:, None]
    return lax.conv_general_dilated(
        x, w, strides, pads, dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
    )


def conv_planes(x: jax.Array, w: jax.Array, strides: Triple, pads: Pads) -> jax.Array:
    """The same convolution, by the 2-D formulation that is fastest on CPUs for these shapes."""
    dtype = x.dtype
    x, w = x.astype(jnp.float32), w.astype(jnp.float32)
    x, pads = _without_excess(x, w, pads)
    return _formulation(w.shape, strides)(x, w, strides, pads).astype(dtype)


def _without_excess(x: jax.Array, w: jax.Array, pads: Pads) -> tuple[jax.Array, Pads]:
    """Pad or cut the input first, so that the convolution pads by at most kernel - 1 cells.

    With more, its transpose has a negative padding. jaxlib 0.10.2 gets that wrong on CPUs in 2-D.
    """
    kept = tuple(
        (min(max(low, 0), k - 1), min(max(high, 0), k - 1))
        for (low, high), k in zip(pads, w.shape, strict=False)
    )
    if kept == pads:
        return x, pads
    excess = [(a - c, b - d, 0) for (a, b), (c, d) in zip(pads, kept, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *excess, (0, 0, 0)]), kept  # type: ignore[return-value]


def _formulation(kernel_shape: tuple[int, ...], strides: Triple):  # type: ignore[no-untyped-def]
    """Rule from measurements: few products: sum; wide outputs or strides: stacked; else banded."""
    depth, _, _, c_in, c_out = kernel_shape
    if depth == 1 or c_in * c_out <= 8:
        return _conv_sum
    return _conv_stacked if c_out > 32 or strides[0] > 1 else _conv_banded


def _conv_plane(x: jax.Array, w: jax.Array, strides: Triple, pads: Pads) -> jax.Array:
    return lax.conv_general_dilated(
        x, w, strides[1:], pads[1:], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _padded_depth(x: jax.Array, pad: tuple[int, int]) -> jax.Array:
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (*pad, 0), *((0, 0, 0),) * 3))


def _shifted(x: jax.Array, w: jax.Array, strides: Triple, pads: Pads) -> list[jax.Array]:
    """The input shifted by each depth tap: a list of (n, depth out, h, w, channels)."""
    n_out = output_size(x.shape[1], w.shape[0], strides[0], pads[0])
    x = _padded_depth(x, pads[0])
    last = (n_out - 1) * strides[0] + 1
    return [lax.slice_in_dim(x, k, k + last, strides[0], axis=1) for k in range(w.shape[0])]


def _conv_sum(x: jax.Array, w: jax.Array, strides: Triple, pads: Pads) -> jax.Array:
    """Sum over depth taps of one 2-D convolution each."""

    def one(planes: jax.Array, kernel: jax.Array) -> jax.Array:
        n, d = planes.shape[:2]
        y = _conv_plane(planes.reshape(n * d, *planes.shape[2:]), kernel, strides, pads)
        return y.reshape(n, d, *y.shape[1:])

    return sum(map(one, _shifted(x, w, strides, pads), w))  # type: ignore[return-value]


def _conv_stacked(x: jax.Array, w: jax.Array, strides: Triple, pads: Pads) -> jax.Array:
    """One 2-D convolution with the depth taps stacked as input channels."""
    kd, kh, kw, c_in, c_out = w.shape
    planes = jnp.concatenate(_shifted(x, w, strides, pads), axis=-1)
    n, d = planes.shape[:2]
    kernel = w.transpose(1, 2, 0, 3, 4).reshape(kh, kw, kd * c_in, c_out)
    y = _conv_plane(planes.reshape(n * d, *planes.shape[2:]), kernel, strides, pads)
    return y.reshape(n, d, *y.shape[1:])


def _conv_banded(x: jax.Array, w: jax.Array, strides: Triple, pads: Pads) -> jax.Array:
    """One 2-D convolution that makes BAND output slices at once, as channels.

    Its kernel is a band matrix in (input slice, output slice). A share (BAND - 1) / (depth taps) of
    the products is with zeros, but the input is copied BAND times less often than when stacked.
    """
    kd, kh, kw, c_in, c_out = w.shape
    n, size, height, width, _ = x.shape
    n_out = output_size(size, kd, 1, pads[0])
    blocks = -(-n_out // BAND)
    span = BAND + kd - 1
    x = _padded_depth(x, (pads[0][0], (blocks - 1) * BAND + span - size - pads[0][0]))
    planes = jnp.stack([x[:, b * BAND : b * BAND + span] for b in range(blocks)], axis=1)
    planes = planes.transpose(0, 1, 3, 4, 2, 5).reshape(n * blocks, height, width, span * c_in)
    taps = jnp.stack([jnp.eye(span, kd, -out, dtype=w.dtype) for out in range(BAND)], axis=1)
    kernel = jnp.einsum("sok,khwij->hwsioj", taps, w).reshape(kh, kw, span * c_in, BAND * c_out)
    y = _conv_plane(planes, kernel, strides, pads)
    y = y.reshape(n, blocks, *y.shape[1:3], BAND, c_out).transpose(0, 1, 4, 2, 3, 5)
    return y.reshape(n, blocks * BAND, *y.shape[3:])[:, :n_out]
