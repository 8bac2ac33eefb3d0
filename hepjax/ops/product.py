"""Matrix product of a dense layer with float32 accumulation, forward and backward.

XLA uses the matrix units of a CPU for bfloat16 inputs only if the result is float32. So products
accumulate in float32 and are rounded afterwards. Gradients are products of bfloat16 too.
"""

import jax
import jax.numpy as jnp


@jax.custom_vjp
def product(x: jax.Array, w: jax.Array) -> jax.Array:
    """x (..., k) times w (k, m), both of one type; returns (..., m) of that type."""
    return _sum_in_float32("...k,km->...m", x, w)


def _sum_in_float32(form: str, a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.einsum(form, a, b, preferred_element_type=jnp.float32).astype(a.dtype)


def _forward(x: jax.Array, w: jax.Array) -> tuple[jax.Array, tuple]:
    return product(x, w), (x, w)


def _backward(kept: tuple, gradient: jax.Array) -> tuple:
    x, w = kept
    return (
        _sum_in_float32("...m,km->...k", gradient, w),
        _sum_in_float32("...k,...m->km", x, gradient),
    )


product.defvjp(_forward, _backward)
