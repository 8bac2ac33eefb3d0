"""The two networks of the fixed-angle 3DGAN, with the semantics of Keras.

Generator: latent (n, 200) -> shower (n, 25, 25, 25, 1). Discriminator: shower -> real/fake
probability, incident energy / 100 GeV, visible energy. Source: svalleco/3Dgan, branch Energy-gan;
Khattak et al., ICIP 2018.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.nn.blocks import BatchNorm, elementwise, to_blocks, to_cells
from hepjax.nn.convolution import Conv3D, Dropout, average_pool
from hepjax.nn.keras import BATCH_NORM, leaky
from hepjax.ops import blocks_of_network
from hepjax.workloads.gan3d.config import ModelConfig

GRID = (25, 25, 25)


class Generator(nn.Module):
    """Latent noise times (incident energy / 100 GeV) -> cell energies, (n, 25, 25, 25, 1)."""

    cfg: ModelConfig
    dtype: jnp.dtype = jnp.float32
    norm_axis: str | None = None
    """Mesh axis over which batch statistics are averaged in a program for each device."""

    @nn.compact
    def __call__(self, latent: jax.Array, train: bool) -> jax.Array:
        """``latent`` (n, cfg.latent); ``train`` uses and updates the statistics of the batch."""
        he = nn.initializers.he_uniform()
        filters = self.cfg.generator_filters
        axis = self.norm_axis if train else None

        def norm(x: jax.Array) -> jax.Array:
            return nn.BatchNorm(
                use_running_average=not train, dtype=self.dtype, axis_name=axis, **BATCH_NORM
            )(x)

        x = nn.Dense(
            7 * 7 * 8 * self.cfg.seed_channels,
            kernel_init=nn.initializers.glorot_uniform(),
        )(latent)  # in float32: converting its 630,000 weights would cost more than it saves
        x = x.reshape(-1, 7, 7, 8, self.cfg.seed_channels)
        # An even kernel with 'same' padding pads one cell more at the end, as in Keras.
        same = ((2, 3), (2, 3), (3, 4))
        x = norm(leaky(Conv3D(filters[0], (6, 6, 8), same, kernel_init=he, dtype=self.dtype)(x)))
        x = Conv3D(
            filters[1], (6, 5, 8), ((2, 2), (2, 2), (0, 0)),
            scale=(2, 2, 2), kernel_init=he, dtype=self.dtype,
        )(x)  # fmt: skip
        x = norm(leaky(x))
        x = Conv3D(
            filters[2], (3, 3, 8), ((1, 1), (0, 0), (3, 3)),
            scale=(2, 2, 3), kernel_init=he, dtype=self.dtype,
        )(x)  # fmt: skip
        x = leaky(x)
        x = Conv3D(
            1, (2, 2, 2), ((0, 0),) * 3, use_bias=False,
            kernel_init=nn.initializers.glorot_normal(), dtype=self.dtype,
        )(x)  # fmt: skip
        return nn.relu(x).astype(jnp.float32)


class Discriminator(nn.Module):
    """Shower -> (real/fake logit, incident energy / 100 GeV, visible energy), each (n,).

    The published output is the sigmoid of the logit; the loss takes the logit, which is the same
    number without overflow. The visible energy is the sum of the cells, before they were raised to
    ``power``, and learns nothing.
    """

    cfg: ModelConfig
    dtype: jnp.dtype = jnp.float32
    power: float = 1.0
    norm_axis: str | None = None

    @nn.compact
    def __call__(self, showers: jax.Array, train: bool) -> tuple[jax.Array, jax.Array, jax.Array]:
        """``showers`` (n, 25, 25, 25, 1); with ``train`` a ``dropout`` key is needed."""
        k = self.cfg.discriminator_kernel
        # Published for k = 5: 'same', then zero padding 2, 2 and 1 before valid convolutions.
        pads = (k // 2, k // 2, k // 2, k // 2 - 1)
        axis = self.norm_axis if train else None
        block = blocks_of_network(self.dtype, self.cfg.discriminator_filters)
        x = to_blocks(showers, block, [(p, p, p) for p in pads]) if block else showers
        for layer, (features, pad) in enumerate(
            zip(self.cfg.discriminator_filters, pads, strict=True)
        ):
            x = Conv3D(features, (k, k, k), ((pad, pad),) * 3, dtype=self.dtype)(x)
            x = elementwise(leaky, x)
            if layer > 0:
                x = BatchNorm(
                    use_running_average=not train, dtype=self.dtype, axis_name=axis, **BATCH_NORM
                )(x)
            x = Dropout(self.cfg.dropout)(x, train)
            if layer == 0:
                x = average_pool(x, self.cfg.discriminator_pool)
        x = to_cells(average_pool(x, 2))
        x = x.reshape(x.shape[0], -1).astype(jnp.float32)
        logit = nn.Dense(1, name="generation")(x)[:, 0]
        energy = nn.Dense(1, name="auxiliary")(x)[:, 0]
        return logit, energy, (showers ** (1.0 / self.power)).sum(axis=(1, 2, 3, 4))
