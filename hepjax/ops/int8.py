"""The grids of 8-bit integers, with gradients for training (fake quantisation).

Inputs take 256 steps of a range, weights 255 steps of the largest of their output channel; 0 is on
both grids. The gradient passes the rounding straight through and is 0 beyond the range.
Source: Jacob et al., CVPR 2018 (arXiv:1712.05877).
"""

import jax
import jax.numpy as jnp

SMALLEST = 1e-30
"""Stands for the largest weight of a channel without any."""


@jax.custom_vjp
def rounded(x: jax.Array) -> jax.Array:
    """x to the nearest whole number, half to even; the gradient is that of x."""
    return jnp.round(x)


rounded.defvjp(lambda x: (jnp.round(x), None), lambda kept, g: (g,))


def whole_weights(kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whole numbers -127 to 127 of a kernel (..., channels), and the scale (channels,), float32."""
    kernel = kernel.astype(jnp.float32)
    largest = jnp.abs(kernel).max(axis=tuple(range(kernel.ndim - 1)))
    scale = jax.lax.stop_gradient(jnp.maximum(largest, SMALLEST) * (1 / 127))
    return rounded(kernel / scale), scale


def step(low: jax.Array, high: jax.Array) -> jax.Array:
    """The size of the 255 steps of a range; 1 of a range that no batch has given yet."""
    return jnp.where(high > low, (high - low) * (1 / 255), 1.0)


@jax.jit
def eight_bit_steps(x: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """x / step as whole numbers, from that of ``low`` on 256 of them; unchanged without a range.

    The exporter knows this function by its name.
    """
    size = step(low, high)
    least = jnp.round(low / size)
    whole = rounded(jnp.clip(x / size, least, least + 255.0))
    return jnp.where(high > low, whole, x)
