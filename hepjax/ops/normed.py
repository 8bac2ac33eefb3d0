"""A dense layer, layer norm and SiLU as one function, with a kernel of its own on CPUs.

XLA reads and writes such arrays many times, and in the backward pass sums over rows in one loop
with what it normalises, for each number anew. The native kernel (``kernels/layer.cc``) keeps a tile
of rows in the cache from the product to the result, and one of gradients back to the product. Where
it cannot run (other platforms, other types, several devices) the function is written in JAX.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.ops import native

EPSILON = 1e-6
"""Added to the variance, as in Flax."""


def normed_silu(
    x: jax.Array, kernel: jax.Array, added: jax.Array, scale: jax.Array, shift: jax.Array
) -> jax.Array:
    """``silu(norm(x @ kernel + added) * scale + shift)``.

    Args:
      x: (..., i).
      kernel: (i, o).
      added: (o,), the bias; or (..., o).
      scale, shift: (o,) of the layer norm.
    Returns:
      (..., o). With the native kernel there are first derivatives only, backwards.
    """
    arrays = (x, kernel, added, scale, shift)
    if not _is_native(arrays):
        return _in_jax(*arrays)
    rows, more = x.reshape(-1, x.shape[-1]), added.reshape(-1, kernel.shape[1])
    y = _native(added.ndim == 1, rows, kernel, more, scale, shift)
    return y.reshape(*x.shape[:-1], kernel.shape[1])


def _is_native(arrays: tuple[jax.Array, ...]) -> bool:
    if jax.default_backend() != "cpu" or native.is_library_only():
        return False
    mesh = jax.sharding.get_abstract_mesh()
    if (not mesh.empty and mesh.size > 1) or any(a.dtype != jnp.float32 for a in arrays):
        return False
    kernels = native.kernels()
    if kernels.path is None:
        native.warn_once(kernels.note)
    return kernels.path is not None


def _in_jax(
    x: jax.Array, kernel: jax.Array, added: jax.Array, scale: jax.Array, shift: jax.Array
) -> jax.Array:
    return jax.nn.silu(layer_norm(x @ kernel + added, scale, shift))


@jax.custom_vjp
def layer_norm(x: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
    """(..., f) with mean 0 and variance 1, times ``scale`` (f,), plus ``shift`` (f,).

    The normalised numbers are kept for the backward pass, and sums over rows are products with
    ones: XLA would compute what it sums again for each number.
    """
    return _normalised(x)[0] * scale + shift


def _normalised(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    away = x - x.mean(-1, keepdims=True)
    inverse = jax.lax.rsqrt((away * away).mean(-1, keepdims=True) + EPSILON)
    return away * inverse, inverse


Kept = tuple[jax.Array, ...]


def _norm_forward(x: jax.Array, scale: jax.Array, shift: jax.Array) -> tuple[jax.Array, Kept]:
    normal, inverse = _normalised(x)
    return normal * scale + shift, (normal, inverse, scale)


def _norm_backward(kept: Kept, slope: jax.Array) -> Kept:
    normal, inverse, scale = kept
    inner = slope * scale
    along = (inner * normal).mean(-1, keepdims=True)
    x = inverse * (inner - inner.mean(-1, keepdims=True) - normal * along)
    return x, _over_rows(slope * normal), _over_rows(slope)


def _over_rows(x: jax.Array) -> jax.Array:
    ones = jnp.ones(x.shape[:-1], x.dtype)
    return jnp.tensordot(ones, x, x.ndim - 1, precision="highest")


layer_norm.defvjp(_norm_forward, _norm_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _native(alike: bool, *arrays: jax.Array) -> jax.Array:
    """``normed_silu`` of rows; ``alike``: what is added, (1, o), is the same for all."""
    return _forward(False, *arrays)[0]


def _forward(keep: bool, *arrays: jax.Array) -> tuple[jax.Array, ...]:
    """The result, and what its gradient needs: normalised numbers, and the factor of each row."""
    rows, width = arrays[0].shape[0], arrays[1].shape[1]
    kept = rows if keep else 0
    shapes = tuple(
        jax.ShapeDtypeStruct(size, jnp.float32) for size in ((rows, width), (kept, width), (kept,))
    )

    def in_jax(
        x: jax.Array, kernel: jax.Array, added: jax.Array, scale: jax.Array, shift: jax.Array
    ) -> tuple[jax.Array, ...]:
        normal, inverse = _normalised(x @ kernel + added)
        return jax.nn.silu(normal * scale + shift), normal[:kept], inverse[:kept, 0]

    call = functools.partial(_call, native.LAYER, shapes)
    return jax.lax.platform_dependent(*arrays, cpu=call, default=in_jax)


def _forward_kept(alike: bool, *arrays: jax.Array) -> tuple[jax.Array, Kept]:
    x, kernel, _, scale, shift = arrays
    y, normal, inverse = _forward(True, *arrays)
    return y, (x, kernel, scale, shift, normal, inverse)


def _backward(alike: bool, kept: Kept, slope: jax.Array) -> Kept:
    x, kernel, scale, shift, *_ = kept
    added = jax.ShapeDtypeStruct((1 if alike else x.shape[0], kernel.shape[1]), x.dtype)
    shapes = tuple(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (x, kernel, added, scale, shift))
    call = functools.partial(_call, native.LAYER_GRADIENT, shapes)
    in_jax = functools.partial(_gradient, alike)
    return jax.lax.platform_dependent(*kept, slope, cpu=call, default=in_jax)


def _gradient(
    alike: bool, x: jax.Array, kernel: jax.Array, scale: jax.Array, shift: jax.Array,
    normal: jax.Array, inverse: jax.Array, slope: jax.Array,
) -> Kept:  # fmt: skip
    """What the kernel does, for other platforms that a program of this one is compiled for."""
    (slope,) = jax.vjp(jax.nn.silu, normal * scale + shift)[1](slope)
    z, of_scale, of_shift = _norm_backward((normal, inverse[:, None], scale), slope)
    of_added = _over_rows(z)[None] if alike else z
    return z @ kernel.T, x.T @ z, of_added, of_scale, of_shift


def _call(name: str, shapes: Any, *operands: jax.Array) -> Any:
    call = jax.ffi.ffi_call(name, shapes, vmap_method="sequential")
    return call(*operands, epsilon=np.float32(EPSILON))


_native.defvjp(_forward_kept, _backward)
