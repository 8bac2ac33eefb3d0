"""The published networks: ResNet-15 of jets, and the VGG-like reference of e/gamma.

Images (n, eta, phi, channels) -> logits (n, outputs) float32; the last output is the signal.
Sources: davidedicroce/multiGPU (Keras), bjornburkle/QCD_Glu_Quark (PyTorch), and
mbandrews/EBcrops_pho_ele (e/gamma). No batch normalisation, biases everywhere.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.nn.convolution import Conv, max_pool
from hepjax.nn.dense import dense
from hepjax.nn.int8 import around_last
from hepjax.nn.keras import GLOROT
from hepjax.workloads.tagger.config import ModelConfig

PYTORCH = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
EGAMMA = nn.initializers.truncated_normal(0.05)


class ResNet15(nn.Module):
    """Fifteen convolutions on the main path, 16 and then 32 features, one stage of stride 2."""

    cfg: ModelConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> jax.Array:
        pytorch = self.cfg.head == "global"
        init = PYTORCH if pytorch else GLOROT
        outer, inner = (around_last(self.cfg.quantise, end, end) for end in (True, False))

        def conv(x: jax.Array, features: int, kernel: int, stride: int = 1) -> jax.Array:
            # PyTorch pads a stride of 2 alike on both sides, Keras one pixel more at the end.
            pad = kernel // 2 if pytorch else None
            return Conv(features, kernel, stride, pad, init, self.dtype, inner)(x)

        def block(x: jax.Array, features: int, stride: int = 1) -> jax.Array:
            y = conv(nn.relu(conv(x, features, 3, stride)), features, 3)
            shortcut = x if stride == 1 else conv(x, features, 1, stride)
            return nn.relu(y + shortcut)

        g = self.cfg.granularity
        first = Conv(16, 7 * g, 2 * g, 1 if pytorch else None, init, self.dtype, outer)
        x = max_pool(nn.relu(first(image)))
        for features, stride in ((16, 1), (16, 1), (16, 1), (32, 2), (32, 1), (32, 1), (32, 1)):
            x = block(x, features, stride)
        x = x.max((1, 2)) if pytorch else max_pool(x).reshape(x.shape[0], -1)
        x = nn.Dropout(self.cfg.dropout, deterministic=not train)(x.astype(jnp.float32))
        return dense(1 if pytorch else 2, init, outer)(x)


class Vgg(nn.Module):
    """Four convolutions and two dense layers, the reference of the e/gamma images."""

    cfg: ModelConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> jax.Array:
        x, quantise = image, self.cfg.quantise
        outer, inner = (around_last(quantise, end, end) for end in (True, False))
        for features in (16, 32):
            for _ in range(2):
                kind = outer if x is image else inner
                conv = Conv(features, 3, kernel_init=EGAMMA, dtype=self.dtype, quantise=kind)
                x = nn.relu(conv(x))
            x = max_pool(x)
        x = x.reshape(x.shape[0], -1).astype(jnp.float32)
        for features in (256, 128):
            x = nn.relu(dense(features, EGAMMA, inner)(x))
            x = nn.Dropout(self.cfg.dropout, deterministic=not train)(x)
        return dense(1, EGAMMA, outer)(x)


def network(cfg: ModelConfig, dtype: jnp.dtype) -> ResNet15 | Vgg:
    """The module of a configuration; ``dtype`` is that of the convolutions."""
    return (ResNet15 if cfg.network == "resnet15" else Vgg)(cfg, dtype)
