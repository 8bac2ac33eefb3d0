"""Dense layers of several inputs side by side, and networks (MLPs) of them."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.nn.int8 import Kind, applied
from hepjax.nn.keras import GLOROT
from hepjax.ops.product import product

Activation = Callable[[jax.Array], jax.Array]


class Dense(nn.Module):
    """Dense layer of several inputs side by side, without laying them side by side.

    An input that is given twice is multiplied once, by the sum of its two blocks of the kernel.
    """

    features: int
    activation: Activation | None = None
    dtype: jnp.dtype = jnp.float32
    kernel_init: nn.initializers.Initializer = GLOROT
    quantise: Kind = ""

    @nn.compact
    def __call__(self, *parts: jax.Array) -> jax.Array:
        ends = [sum(p.shape[-1] for p in parts[: k + 1]) for k in range(len(parts))]
        kernel = self.param("kernel", self.kernel_init, (ends[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        blocks: dict[int, jax.Array] = {}
        inputs = {id(part): part for part in parts}
        for part, block in zip(parts, jnp.split(kernel, ends[:-1]), strict=True):
            blocks[id(part)] = blocks.get(id(part), 0.0) + block
        products = []
        for number, (key, block) in enumerate(blocks.items()):
            pair = inputs[key].astype(self.dtype), block.astype(self.dtype)
            if self.quantise:
                name = f"inputs_{number}"
                products.append(applied(self, self.quantise, *pair, product, name))
            else:
                products.append(product(*pair))
        y = sum(products[1:], products[0]) + bias.astype(self.dtype)
        return self.activation(y) if self.activation else y


def dense(
    features: int, kernel_init: nn.initializers.Initializer, quantise: Kind = ""
) -> nn.Module:  # fmt: skip
    """``nn.Dense``, or the layer with the same parameters that computes in 8 bits."""
    if quantise:
        return Dense(features, kernel_init=kernel_init, quantise=quantise)
    return nn.Dense(features, kernel_init=kernel_init)


class Network(nn.Module):
    """Dense layers with ELU and a last one without; dropout after each hidden layer."""

    hidden: Sequence[int]
    outputs: int
    dtype: jnp.dtype = jnp.float32
    last_init: nn.initializers.Initializer = GLOROT
    """Initial kernel of the last layer."""
    quantise: tuple[Kind, Kind] = ("", "")
    """Of the first layer and of hidden ones; of the last layer then the weights."""

    @nn.compact
    def __call__(self, *parts: jax.Array) -> jax.Array:
        first, others = self.quantise
        for number, width in enumerate(self.hidden):
            kind = others if number else first
            parts = (Dense(width, nn.elu, self.dtype, quantise=kind)(*parts),)
        last: Kind = "weights" if others else ""
        return Dense(self.outputs, None, self.dtype, self.last_init, last)(*parts)
