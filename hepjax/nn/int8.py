"""Products and convolutions that train as 8-bit integers compute (fake quantisation).

Inputs take 256 steps of a range that follows the training, weights 255 steps of the largest of
their output channel; 0 is on both grids. The gradient passes the rounding straight through and is 0
beyond the range. Products are of whole numbers and the scales multiply their sums, so float32 gives
what integers give as long as sums stay below 2^24, and so do bfloat16 and TF32, which hold 8 bits.
Source: Jacob et al., CVPR 2018 (arXiv:1712.05877).
"""

from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

Kind = Literal["", "weights", "int8"]
"""What of a layer is in 8 bits: nothing, its weights, or its inputs too."""
STATE = "batch_stats"
"""Collection of the ranges, beside the statistics of batch norm."""
KEPT = 0.99
"""Of a range at an update; the rest is that of the batch. The first batch gives it whole."""
SMALLEST = 1e-30
"""Stands for the largest weight of a channel without any."""

Product = Callable[[jax.Array, jax.Array], jax.Array]
"""(x, kernel) to sums, both with the output channels on the last axis."""


def around_last(kind: str, first: bool, last: bool) -> Kind:
    """What a layer of a network in int8 does: the first sees physical inputs of many decades and
    the last gives answers, so of both only the weights are in 8 bits."""
    if kind == "none":
        return ""
    return "weights" if first or last else "int8"


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


def whole_inputs(module: nn.Module, x: jax.Array, name: str) -> tuple[jax.Array, jax.Array]:
    """Inputs of a layer as whole numbers, float32, and their step.

    The range is in ``STATE`` of the module. It moves where that collection may change.
    """
    low, high = (
        module.variable(STATE, f"{name}_{end}", jnp.zeros, (), jnp.float32)
        for end in ("low", "high")
    )
    x = x.astype(jnp.float32)
    if module.is_mutable_collection(STATE) and not module.is_initializing():
        seen = jax.lax.stop_gradient((jnp.minimum(x.min(), 0.0), jnp.maximum(x.max(), 0.0)))
        new = low.value == high.value
        for known, value in zip((low, high), seen, strict=True):
            known.value = jnp.where(new, value, KEPT * known.value + (1 - KEPT) * value)
    return eight_bit_steps(x, low.value, high.value), step(low.value, high.value)


def applied(
    module: nn.Module, kind: Kind, x: jax.Array, kernel: jax.Array, product: Product,
    name: str = "inputs",
) -> jax.Array:  # fmt: skip
    """``product(x, kernel)`` in whole numbers, times the scales; in the type of ``x``.

    Args:
      module: compact, of the layer; holds the range of its inputs under ``name``.
    """
    dtype = x.dtype
    weights, scale = whole_weights(kernel)
    if kind == "int8":
        x, size = whole_inputs(module, x, name)
        scale = scale * size
    return product(x.astype(dtype), weights.astype(dtype)) * scale.astype(dtype)
