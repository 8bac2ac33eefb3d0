"""The periodic U-Net: down by convolutions of stride 2, up by transposed ones, with skips.

With ``ModelConfig()`` it is the published network, 117.0 million parameters: 4^3 taps, LeakyReLU
downwards, ReLU upwards, no normalisation, and a bounded output; its zero padding is replaced by
wrapping. So a box rolled by ``ModelConfig.divisor`` cells gives a rolled answer, and a network
applies to boxes larger than those it was trained on.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.formats.fields.box import GAS
from hepjax.nn.periodic import PeriodicConv, PeriodicTranspose
from hepjax.workloads.fields.config import ModelConfig

SLOPE = 0.2
"""Of LeakyReLU below 0, as in pix2pix (Isola et al. 2017), whose U-Net this is in 3-D."""
BOUND = 14.0
"""The published output is tanh(y), with exp(14 y) the density: logarithms within +-14."""
LEAST = 0.1
"""Added to the density before the logarithm of the input."""
SPEED = 100.0
"""km/s; velocities enter and leave in this unit."""


def features(dark: jax.Array) -> jax.Array:
    """What the network sees (n, x, y, z, 4) of dark matter in physical units."""
    return jnp.concatenate([jnp.log(dark[..., :1] + LEAST), dark[..., 1:] / SPEED], axis=-1)


def scaled(gas: jax.Array) -> jax.Array:
    """Fields of gas (n, x, y, z, 5) as the network makes them: numbers of about 1.

    The logarithm of the density, that of the temperature over 1e4 K, velocities.
    """
    logs = jnp.log(jnp.maximum(gas[..., :2] * jnp.array([1.0, 1e-4]), 1e-6))
    return jnp.concatenate([logs, gas[..., 2:] / SPEED], axis=-1)


def physical(y: jax.Array) -> jax.Array:
    """The inverse of ``scaled``."""
    y = y.astype(jnp.float32)
    logs = jnp.exp(y[..., :2]) * jnp.array([1.0, 1e4])
    return jnp.concatenate([logs, y[..., 2:] * SPEED], axis=-1)


class UNet(nn.Module):
    """From (n, x, y, z, 4) to (n, x, y, z, 5), both as ``features`` and ``scaled`` have them.

    Args:
      over: mesh axis over which boxes are cut along x, inside ``shard_map``.
    """

    cfg: ModelConfig
    over: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        cfg, kind = self.cfg, dict[str, Any](over=self.over, dtype=self.dtype)
        seen, skips = x, []
        if cfg.full:
            for _ in range(cfg.depth):
                x = nn.leaky_relu(PeriodicConv(cfg.full, **kind)(x), SLOPE)
            skips.append(x)
        for level, features in enumerate(cfg.channels):
            x = nn.leaky_relu(PeriodicConv(features, 4, 2, **kind)(x), SLOPE)
            if level < len(cfg.channels) - 1:
                skips.append(x)
        ends = [*cfg.channels[-2::-1], *([cfg.full] if cfg.full else [])]
        for features, skip in zip(ends, skips[::-1], strict=True):
            x = nn.relu(PeriodicTranspose(features, **kind)(x))
            x = jnp.concatenate([x, skip], axis=-1)
        # A correction begins as none.
        last = kind | ({"weights": nn.initializers.zeros} if cfg.residual else {})
        if not cfg.full:
            y = PeriodicTranspose(len(GAS), **last)(x)
        else:
            for _ in range(cfg.depth - 1):
                x = nn.leaky_relu(PeriodicConv(cfg.full, **kind)(x), SLOPE)
            x = jnp.concatenate([x, seen.astype(x.dtype)], axis=-1)
            y = PeriodicConv(len(GAS), 1, **last)(x)
        return BOUND * jnp.tanh(y.astype(jnp.float32) / BOUND)
