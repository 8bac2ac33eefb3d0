"""The network of CosmoFlow: 8.9 million parameters for 128^3 cells at four redshifts."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.formats.fields.cosmoflow import PARAMETERS
from hepjax.nn.convolution import Conv3D, Dropout
from hepjax.nn.periodic import PeriodicConv
from hepjax.workloads.cosmoflow.config import ModelConfig

SLOPE = 0.3
"""Of LeakyReLU below 0, as in Keras."""


def max_pool(x: jax.Array) -> jax.Array:
    """Maximum over blocks of 2^3 cells of (n, x, y, z, channels), whose edges are even."""
    n, a, b, c, channels = x.shape
    return x.reshape(n, a // 2, 2, b // 2, 2, c // 2, 2, channels).max((2, 4, 6))


class CosmoFlow(nn.Module):
    """From counts (n, x, y, z, 4) to (n, 4) before the last tanh."""

    cfg: ModelConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, counts: jax.Array, train: bool) -> jax.Array:
        cfg = self.cfg
        x = jnp.log1p(counts.astype(jnp.float32)).astype(self.dtype)
        for features in cfg.channels:
            if cfg.periodic:
                x = PeriodicConv(features, dtype=self.dtype)(x)
            else:
                x = Conv3D(features, (3, 3, 3), ((1, 1),) * 3, dtype=self.dtype)(x)
            x = max_pool(nn.leaky_relu(x, SLOPE))
        x = x.reshape(x.shape[0], -1)
        for features in cfg.dense:
            x = nn.leaky_relu(nn.Dense(features, dtype=self.dtype)(x), SLOPE)
            x = Dropout(cfg.dropout)(x, train)
        return nn.Dense(PARAMETERS, dtype=self.dtype)(x).astype(jnp.float32)
