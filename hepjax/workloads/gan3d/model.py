"""The two networks of the 3DGAN as walks over lists of layers, with the semantics of Keras.

Generator: latent (n, latent) -> shower (n, *image, 1). Discriminator: shower -> its answers.
Sources: svalleco/3Dgan, branches Energy-gan and Anglegan; Khattak et al., ICIP 2018.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.nn.blocks import BatchNorm, Image, elementwise, to_blocks, to_cells
from hepjax.nn.convolution import Conv3D, Dropout, average_pool
from hepjax.nn.dense import dense
from hepjax.nn.int8 import Kind, around_last
from hepjax.nn.keras import BATCH_NORM, leaky
from hepjax.ops import blocks_of_network
from hepjax.workloads.gan3d.config import ModelConfig
from hepjax.workloads.gan3d.heads import Answers, analytic
from hepjax.workloads.gan3d.layers import ONE, Layer

INITS = {
    "he_uniform": nn.initializers.he_uniform(),
    "glorot_uniform": nn.initializers.glorot_uniform(),
    "glorot_normal": nn.initializers.glorot_normal(),
}
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {"relu": nn.relu, "leaky": leaky}


class Generator(nn.Module):
    """Latent vector -> cell energies (n, *image, 1), float32."""

    cfg: ModelConfig
    dtype: jnp.dtype = jnp.float32
    closed: bool = False
    """Whether the first axis of the image is an azimuth, whose ends meet."""
    norm_axis: str | None = None
    """Mesh axis over which batch statistics are averaged in a program for each device."""

    @nn.compact
    def __call__(self, latent: jax.Array, train: bool) -> jax.Array:
        """``latent`` (n, cfg.latent); ``train`` uses and updates the statistics of the batch."""
        x, norm = latent, _norm(self.cfg, self.dtype, self.norm_axis, train)
        layers = self.cfg.generator
        weighted = [k for k, layer in enumerate(layers) if layer.dense or layer.filters]
        for number, layer in enumerate(layers):
            ends = number in weighted[:1], number in weighted[-1:]
            kind = around_last(self.cfg.quantise, *ends)
            x = _layer(layer, x, norm, self.closed, self.dtype, kind)
        cells = (x if x.ndim == 5 else x[..., None]).astype(jnp.float32)
        if self.cfg.energy_power:
            energy = latent[:, 0].reshape(-1, *(1,) * (cells.ndim - 1))
            cells *= energy**self.cfg.energy_power
        return cells


class Discriminator(nn.Module):
    """Shower (n, *image, 1) -> its answers, (n,) or (n, bins), float32, by name.

    ``real`` is a logit; the published output is its sigmoid, and the loss takes the logit, which is
    the same number without overflow. ``energy`` is the incident energy in 100 GeV. The answers of
    heads.py follow from the cells, before they were raised to ``power``, and learn nothing.
    """

    cfg: ModelConfig
    dtype: jnp.dtype = jnp.float32
    closed: bool = False
    scale: float = 1.0
    power: float = 1.0
    norm_axis: str | None = None

    @nn.compact
    def __call__(self, showers: jax.Array, train: bool) -> Answers:
        """With ``train`` a ``dropout`` key is needed."""
        x = self._in_blocks(showers) if showers.ndim == 5 else showers[..., 0]
        norm = _norm(self.cfg, self.dtype, self.norm_axis, train)
        for layer in self.cfg.discriminator:
            x = _layer(replace(layer, pool=ONE), x, norm, self.closed, self.dtype)
            x = Dropout(self.cfg.dropout)(x, train)
            x = average_pool(x, layer.pool)
        x = to_cells(x)
        x = x.reshape(x.shape[0], -1).astype(jnp.float32)
        answers = {"real": nn.Dense(1, name="generation")(x)[:, 0]}
        if "energy" in self.cfg.heads:
            answers["energy"] = nn.Dense(1, name="auxiliary")(x)[:, 0]
        return answers | analytic(self.cfg.heads, showers, self.scale, self.power)

    def _in_blocks(self, showers: jax.Array) -> Image:
        """The showers in the form that suits the platform, if all layers are plain convolutions."""
        layers = self.cfg.discriminator
        if self.closed or not all(layer.filters and layer.upsample == ONE for layer in layers):
            return showers
        channels = (showers.shape[4], *(layer.filters for layer in layers))
        kernels = [layer.kernel for layer in layers]
        block = blocks_of_network(self.dtype, showers.shape[1:4], kernels, channels)
        before = [[low for low, _ in layer.pads()] for layer in layers]
        return to_blocks(showers, block, before) if block else showers


Norm = Callable[[Any], Any]


def _norm(cfg: ModelConfig, dtype: jnp.dtype, axis: str | None, train: bool) -> Norm:
    """Batch norm as a function; each call is a layer of the module that calls it."""
    constants = BATCH_NORM | {"epsilon": cfg.norm_epsilon}

    def norm(x: Any) -> Any:
        return BatchNorm(
            use_running_average=not train, dtype=dtype, axis_name=axis if train else None,
            **constants,
        )(x)  # fmt: skip

    return norm


def _layer(
    layer: Layer, x: Any, norm: Norm, closed: bool, dtype: jnp.dtype, quantise: Kind = ""
) -> Any:  # fmt: skip
    """A layer without dropout; its modules belong to the module that calls it."""
    if layer.dense:
        # In float32: converting hundreds of thousands of weights costs more than it would save.
        size = math.prod(layer.dense)
        x = dense(size, INITS[layer.init], quantise)(x.reshape(x.shape[0], -1))
        x = x.reshape(-1, *layer.dense)
    elif layer.filters:
        x, padding, scale = _around(layer, x, closed)
        x = Conv3D(
            layer.filters, layer.kernel, padding, scale, layer.bias, INITS[layer.init], dtype,
            quantise,
        )(x)  # fmt: skip
    elif layer.upsample != ONE:
        x = _repeated(x, layer.upsample)
    if layer.activation in ACTIVATIONS:
        x = elementwise(ACTIVATIONS[layer.activation], x)
    x = norm(x) if layer.norm else x
    return average_pool(x, layer.pool)


def _around(
    layer: Layer, x: Any, closed: bool
) -> tuple[Any, tuple[tuple[int, int], ...], tuple[int, int, int]]:
    """Input, zero padding and upsampling of a convolution; an azimuth is continued, not padded."""
    pads, scale = layer.pads(), layer.upsample
    if not closed or pads[0] == (0, 0):
        return x, pads, scale
    x = _repeated(x, (scale[0], 1, 1))
    x = jnp.pad(x, (*((0, 0), pads[0]), *((0, 0),) * (x.ndim - 2)), mode="wrap")
    return x, ((0, 0), *pads[1:]), (1, *scale[1:])


def _repeated(x: jax.Array, times: tuple[int, int, int]) -> jax.Array:
    """Nearest-neighbour upsampling."""
    for axis, n in enumerate(times):
        x = jnp.repeat(x, n, axis=axis + 1) if n > 1 else x
    return x
