"""Generator and critic: dense networks on voxels in units of the incident energy."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.nn.keras import BATCH_NORM
from hepjax.ops.product import product
from hepjax.workloads.wgan.config import ModelConfig

HE_UNIFORM = nn.initializers.he_uniform()
FORMS = {"swish": nn.swish, "relu": nn.relu}


class Layer(nn.Module):
    """A dense layer with the initial weights of the published code."""

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", HE_UNIFORM, (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return product(x.astype(self.dtype), kernel.astype(self.dtype)) + bias.astype(self.dtype)


class Scaled(nn.Module):
    """Batch norm that keeps the statistics it begins with, mean 0 and variance 1.

    The published code calls its generator outside of training mode, in training too, so that its
    batch norm is a learnt scale and offset and its moving statistics, half of its numbers, stay.
    """

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        factor = scale / jnp.sqrt(1.0 + BATCH_NORM["epsilon"])
        return x * factor.astype(self.dtype) + bias.astype(self.dtype)


class Generator(nn.Module):
    """From noise (n, latent) and condition (n, 1 or 2) to voxels (n, voxels) over E."""

    cfg: ModelConfig
    voxels: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, noise: jax.Array, condition: jax.Array) -> jax.Array:
        x = jnp.concatenate([noise, condition], axis=-1)
        widths = (*self.cfg.generator, self.voxels)
        for number, width in enumerate(widths):
            last = number == len(widths) - 1
            x = Layer(width, self.dtype)(x)
            if self.cfg.norm == "all" or (self.cfg.norm == "hidden" and not last):
                x = Scaled(self.dtype)(x)
            x = FORMS[self.cfg.output if last else self.cfg.activation](x)
        return x.astype(jnp.float32)


class Critic(nn.Module):
    """From voxels (n, voxels) over E and condition to a number (n,): high for real showers."""

    cfg: ModelConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, voxels: jax.Array, condition: jax.Array) -> jax.Array:
        x = jnp.concatenate([voxels, condition], axis=-1)
        for width in self.cfg.critic:
            x = nn.relu(Layer(width, self.dtype)(x))
        return Layer(1, self.dtype)(x)[:, 0].astype(jnp.float32)
