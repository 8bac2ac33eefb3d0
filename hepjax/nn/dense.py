"""Dense layers of several inputs side by side, and networks (MLPs) of them."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

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

    @nn.compact
    def __call__(self, *parts: jax.Array) -> jax.Array:
        ends = [sum(p.shape[-1] for p in parts[: k + 1]) for k in range(len(parts))]
        kernel = self.param("kernel", self.kernel_init, (ends[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        blocks: dict[int, jax.Array] = {}
        inputs = {id(part): part for part in parts}
        for part, block in zip(parts, jnp.split(kernel, ends[:-1]), strict=True):
            blocks[id(part)] = blocks.get(id(part), 0.0) + block
        products = [
            product(inputs[key].astype(self.dtype), block.astype(self.dtype))
            for key, block in blocks.items()
        ]
        y = sum(products[1:], products[0]) + bias.astype(self.dtype)
        return self.activation(y) if self.activation else y


class Network(nn.Module):
    """Dense layers with ELU and a last one without; dropout after each hidden layer."""

    hidden: Sequence[int]
    outputs: int
    dtype: jnp.dtype = jnp.float32
    last_init: nn.initializers.Initializer = GLOROT
    """Initial kernel of the last layer."""

    @nn.compact
    def __call__(self, *parts: jax.Array) -> jax.Array:
        for width in self.hidden:
            parts = (Dense(width, nn.elu, self.dtype)(*parts),)
        return Dense(self.outputs, None, self.dtype, self.last_init)(*parts)
