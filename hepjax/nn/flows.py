"""Conditional coupling flows: an exact likelihood, and samples in one pass.

A flow maps x to z, whose components are independent standard normal numbers. Each block leaves half
of the components as they are and transforms the other half with numbers that a network makes from
the first half and the conditions (Dinh et al., arXiv:1605.08803).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hepjax.nn.dense import Dense
from hepjax.nn.splines import parameters, spline

LARGEST_LOG_SCALE = 3.0
"""An affine block scales by exp of at most this."""
BOUND = 6.0
"""Splines act inside (-BOUND, BOUND)."""


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

    def setup(self) -> None:
        outputs = parameters(self.bins) if self.bins else 2
        self.networks = [
            _Network(self.hidden, (self.size - self.kept) * outputs, self.dtype)
            for _ in range(self.blocks)
        ]

    @property
    def kept(self) -> int:
        """Components that a block leaves as they are."""
        return self.size // 2

    def __call__(self, x: jax.Array, condition: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(n, size) and conditions (n, c) to z (n, size) and log |dz/dx| (n,)."""
        total = jnp.zeros(len(x))
        for order, network in zip(self._orders(), self.networks, strict=True):
            x = x[:, order]
            still, moved = x[:, : self.kept], x[:, self.kept :]
            moved, slopes = self._transform(moved, network(still, condition), inverse=False)
            x = jnp.concatenate([still, moved], axis=1)
            total += slopes.sum(1)
        return x, total

    def inverse(self, z: jax.Array, condition: jax.Array) -> jax.Array:
        """(n, size) and conditions (n, c) to x (n, size)."""
        for order, network in reversed(list(zip(self._orders(), self.networks, strict=True))):
            still, moved = z[:, : self.kept], z[:, self.kept :]
            moved, _ = self._transform(moved, network(still, condition), inverse=True)
            z = jnp.concatenate([still, moved], axis=1)[:, np.argsort(order)]
        return z

    def _orders(self) -> list[np.ndarray]:
        return [np.random.default_rng(k).permutation(self.size) for k in range(self.blocks)]

    def _transform(
        self, x: jax.Array, raw: jax.Array, *, inverse: bool
    ) -> tuple[jax.Array, jax.Array]:
        raw = raw.astype(jnp.float32).reshape(*x.shape, -1)
        if self.bins:
            return spline(x, raw, BOUND, inverse=inverse)
        shift = raw[..., 0]
        scale = LARGEST_LOG_SCALE * jnp.tanh(raw[..., 1] / LARGEST_LOG_SCALE)
        if inverse:
            return (x - shift) * jnp.exp(-scale), -scale
        return x * jnp.exp(scale) + shift, scale


class _Network(nn.Module):
    """Dense layers with SiLU; the last one begins at 0."""

    hidden: tuple[int, ...]
    outputs: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, *parts: jax.Array) -> jax.Array:
        for width in self.hidden:
            parts = (Dense(width, nn.silu, self.dtype)(*parts),)
        return Dense(self.outputs, None, self.dtype, nn.initializers.zeros)(*parts)


def log_normal(z: jax.Array) -> jax.Array:
    """Logarithm of the density of independent standard normal numbers (n, size), (n,)."""
    return -0.5 * (z * z + jnp.log(2 * jnp.pi)).sum(1)
