"""Classifiers whose logit is the log ratio of two densities: dense layers, or Deep Sets."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.nn.dense import Dense

SUM_SCALE = 16.0
"""Of the sum over particles, about their number, so that it is of order 1."""


class Ratio(nn.Module):
    """Events (n, d), or particles (n, p, d) and which of them there are (n, p), to log ratios (n,).

    The log ratio is 0 before the first update. With the cross-entropy of logits l it becomes
    ln p1(x) / p0(x) for classes of equal sums of weights (likelihood-ratio trick).
    """

    hidden: Sequence[int]
    of_particles: Sequence[int] = ()
    """Widths of the layers that each particle passes before the sum over all of them."""
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, there: jax.Array | None = None) -> jax.Array:
        if there is not None:
            for width in self.of_particles:
                x = Dense(width, nn.silu, self.dtype)(x)
            x = (x * there[..., None].astype(x.dtype)).sum(axis=-2) / SUM_SCALE
        for width in self.hidden:
            x = Dense(width, nn.silu, self.dtype)(x)
        last = Dense(1, None, self.dtype, nn.initializers.zeros)(x)
        return last[..., 0].astype(jnp.float32)
