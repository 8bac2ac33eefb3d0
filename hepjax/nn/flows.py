"""Conditional coupling flows: an exact likelihood, and samples in one pass.

A flow maps x to z, whose components are independent standard normal numbers. Each block leaves half
of the components as they are and transforms the other half with numbers that a network makes from
the first half and the conditions (Dinh et al., arXiv:1605.08803).
"""

import itertools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hepjax.nn.splines import parameters, spline
from hepjax.ops.product import product

LARGEST_LOG_SCALE = 1.5
"""An affine block scales by exp of at most this."""
REACH = 8.0
"""Networks see components cut off here: what they make of a far one is bounded, so that errors of
the tails do not grow from block to block. The flow stays invertible."""
BOUND = 6.0
"""Splines act inside (-BOUND, BOUND)."""


SPREAD = nn.initializers.glorot_uniform(batch_axis=(0,))


class CouplingFlow(nn.Module):
    """Coupling blocks with fixed random permutations between them; the identity before training."""

    size: int
    """Components of x."""
    blocks: int
    hidden: tuple[int, ...]
    """Widths of the network in each block."""
    bins: int = 0
    """Of the rational-quadratic splines; 0: affine blocks."""
    dtype: jnp.dtype = jnp.float32

    @property
    def kept(self) -> int:
        """Components that a block leaves as they are."""
        return self.size // 2

    def __call__(self, x: jax.Array, condition: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(n, size) and conditions (n, c) to z (n, size) and log |dz/dx| (n,)."""

        def apply(x: jax.Array, block: Any) -> tuple[jax.Array, jax.Array]:
            order, weights = block
            x = x[:, order]
            still, moved = x[:, : self.kept], x[:, self.kept :]
            moved, slopes = self._transform(moved, self._network(weights, still, condition), False)
            return jnp.concatenate([still, moved], axis=1), slopes.sum(1)

        blocks = jnp.asarray(self._orders()), self._weights(condition.shape[1])
        z, slopes = jax.lax.scan(apply, x, blocks)
        return z, slopes.sum(0)

    def inverse(self, z: jax.Array, condition: jax.Array) -> jax.Array:
        """(n, size) and conditions (n, c) to x (n, size)."""

        def apply(z: jax.Array, block: Any) -> tuple[jax.Array, None]:
            order, weights = block
            still, moved = z[:, : self.kept], z[:, self.kept :]
            moved, _ = self._transform(moved, self._network(weights, still, condition), True)
            return jnp.concatenate([still, moved], axis=1)[:, order], None

        orders = jnp.asarray(np.argsort(self._orders(), axis=1))
        blocks = orders, self._weights(condition.shape[1])
        return jax.lax.scan(apply, z, blocks, reverse=True)[0]

    def _orders(self) -> np.ndarray:
        return np.stack([np.random.default_rng(k).permutation(self.size)
                         for k in range(self.blocks)])  # fmt: skip

    @nn.compact
    def _weights(self, conditions: int) -> list[tuple[jax.Array, jax.Array]]:
        """Kernels and biases of all blocks, so that one block is compiled; the last ones begin
        at 0."""
        outputs = (self.size - self.kept) * (parameters(self.bins) if self.bins else 2)
        sizes = [self.kept + conditions, *self.hidden, outputs]
        found = []
        for k, (size, out) in enumerate(itertools.pairwise(sizes)):
            init = nn.initializers.zeros if k == len(self.hidden) else SPREAD
            kernel = self.param(f"kernel_{k}", init, (self.blocks, size, out))
            bias = self.param(f"bias_{k}", nn.initializers.zeros, (self.blocks, out))
            found.append((kernel.astype(self.dtype), bias.astype(self.dtype)))
        return found

    def _network(self, weights: Any, still: jax.Array, condition: jax.Array) -> jax.Array:
        near = jnp.clip(still, -REACH, REACH)
        x = jnp.concatenate([near, condition], axis=1).astype(self.dtype)
        for kernel, bias in weights[:-1]:
            x = nn.silu(product(x, kernel) + bias)
        kernel, bias = weights[-1]
        return product(x, kernel) + bias

    def _transform(
        self, x: jax.Array, raw: jax.Array, inverse: bool
    ) -> tuple[jax.Array, jax.Array]:
        raw = raw.astype(jnp.float32).reshape(*x.shape, -1)
        if self.bins:
            return spline(x, raw, BOUND, inverse=inverse)
        shift = raw[..., 0]
        scale = LARGEST_LOG_SCALE * jnp.tanh(raw[..., 1] / LARGEST_LOG_SCALE)
        if inverse:
            return (x - shift) * jnp.exp(-scale), -scale
        return x * jnp.exp(scale) + shift, scale


def log_normal(z: jax.Array) -> jax.Array:
    """Logarithm of the density of independent standard normal numbers (n, size), (n,)."""
    return -0.5 * (z * z + jnp.log(2 * jnp.pi)).sum(1)
