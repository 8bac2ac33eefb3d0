"""Constants and activations of Keras, which the published networks rely on."""

import flax.linen as nn
import jax

BATCH_NORM = {"momentum": 0.99, "epsilon": 1e-3}  # flax shares the convention of the momentum
GLOROT = nn.initializers.glorot_uniform()
NORMAL = nn.initializers.normal(0.05)  # "random_normal"
LAYER_NORM_EPSILON = 1e-3
LEAKY_SLOPE = 0.3


def leaky(x: jax.Array) -> jax.Array:
    """LeakyReLU."""
    return nn.leaky_relu(x, LEAKY_SLOPE)


def exact_gelu(x: jax.Array) -> jax.Array:
    """GELU by the error function."""
    return nn.gelu(x, approximate=False)
