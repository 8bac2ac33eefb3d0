"""Products and convolutions that train as 8-bit integers compute (fake quantisation).

The range of inputs follows the training. Products are of whole numbers and the scales multiply
their sums, so float32 gives what integers give as long as sums stay below 2^24, and so do bfloat16
and TF32, which hold 8 bits. Own layers rather than qwix: that package replaces products and
convolutions of JAX, and those of hepjax are kernels in C++ and forms of their own; and the exporter
has to know the grids. Source: Jacob et al., CVPR 2018 (arXiv:1712.05877).
"""

from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.ops.int8 import eight_bit_steps, step, whole_weights

Kind = Literal["", "weights", "int8"]
"""What of a layer is in 8 bits: nothing, its weights, or its inputs too."""
STATE = "batch_stats"
"""Collection of the ranges, beside the statistics of batch norm."""
KEPT = 0.99
"""Of a range at an update; the rest is that of the batch. The first batch gives it whole."""

Product = Callable[[jax.Array, jax.Array], jax.Array]
"""(x, kernel) to sums, both with the output channels on the last axis."""


def around_last(kind: str, first: bool, last: bool) -> Kind:
    """What a layer of a network in int8 does: the first sees physical inputs of many decades and
    the last gives answers, so of both only the weights are in 8 bits."""
    if kind == "none":
        return ""
    return "weights" if first or last else "int8"


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
