"""The autoencoders: a waveform becomes latents, latents a shape of unit area."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.workloads.waveforms.config import ModelConfig

SMALLEST_AREA = 1.0
"""Photoelectrons; what has less counts as this much."""
AREA, SPREAD = 8.5, 1.3
"""Mean and spread of the logarithm of usual areas, to which the network's input is scaled."""
PEAK = 4.0
"""Usual height of a shape, in units of the mean of its samples."""


def area_of(waveform: jax.Array) -> jax.Array:
    """Charge (n,) of waveforms (n, samples), photoelectrons."""
    return jnp.maximum(waveform.sum(-1), SMALLEST_AREA)


class Encoder(nn.Module):
    """Waveforms (n, samples) in photoelectrons -> means and log variances (n, latent)."""

    cfg: ModelConfig

    @nn.compact
    def __call__(self, waveform: jax.Array) -> tuple[jax.Array, jax.Array]:
        area = area_of(waveform)[:, None]
        size = (jnp.log(area) - AREA) / SPREAD
        x = waveform * (waveform.shape[1] / PEAK) / area
        if self.cfg.kind == "conv":
            x = x[..., None]
            for channels in self.cfg.channels:
                x = nn.silu(nn.Conv(channels, (self.cfg.kernel,), (2,))(x))
            x = jnp.concatenate([x.reshape(x.shape[0], -1), size], -1)
            x = nn.silu(nn.Dense(self.cfg.widths[-1])(x))
        else:
            x = jnp.concatenate([x, size], -1)
            for width in self.cfg.widths:
                x = nn.silu(nn.Dense(width)(x))
        mean, spread = jnp.split(nn.Dense(2 * self.cfg.latent)(x), 2, axis=-1)
        return mean, jnp.clip(spread, -12.0, 6.0)


class Decoder(nn.Module):
    """Latents (n, latent) -> shapes (n, samples), positive, of sum 1."""

    cfg: ModelConfig
    samples: int

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        if self.cfg.kind == "conv":
            stages = len(self.cfg.channels)
            shortest = -(-self.samples // 2**stages)
            x = nn.silu(nn.Dense(self.cfg.widths[-1])(z))
            x = nn.silu(nn.Dense(shortest * self.cfg.channels[-1])(x))
            x = x.reshape(z.shape[0], shortest, -1)
            for channels in (*self.cfg.channels[-2::-1], 1):
                x = nn.ConvTranspose(channels, (self.cfg.kernel,), (2,))(x)
                x = nn.silu(x) if channels > 1 else x
            x = x[:, : self.samples, 0]
        else:
            x = z
            for width in self.cfg.widths[::-1]:
                x = nn.silu(nn.Dense(width)(x))
            x = nn.Dense(self.samples)(x)
        x = nn.softplus(x) + 1e-6
        return x / x.sum(-1, keepdims=True)


class Autoencoder(nn.Module):
    """Waveforms and normal noise (n, latent) -> expected waveforms, means, log variances."""

    cfg: ModelConfig

    @nn.compact
    def __call__(
        self, waveform: jax.Array, noise: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        mean, spread = Encoder(self.cfg, name="encoder")(waveform)
        z = mean + noise * jnp.exp(spread / 2)
        shape = Decoder(self.cfg, waveform.shape[1], name="decoder")(z)
        return area_of(waveform)[:, None] * shape, mean, spread
