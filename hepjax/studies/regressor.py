"""The task of genetic training: the energy of a shower from its projected image.

Showers of 25 x 25 x 25 cells, summed over one transverse axis, give images of 25 x 25 (transverse,
depth). One convolution and one dense layer regress the incident energy; the loss is the mean
relative error. Source: Khattak et al., AISIS 2019, section 5, which gives no sizes; those here are
the smallest with which the task is learnt.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

FILTERS, KERNEL, STRIDE = 4, 5, 3
SIDE = 25
FEATURES = FILTERS * (-(-SIDE // STRIDE)) ** 2
ENERGY_UNIT = 100.0
"""GeV, in which energies are regressed."""

Chromosome = dict[str, jax.Array]
"""Weights by name: kernel (5, 5, 1, 4), dense (324, 1), and biases."""


class Images(NamedTuple):
    """Projected showers and what is regressed."""

    image: jax.Array
    """(n, 25, 25), cell energies in units of their mean sum per energy."""
    energy: jax.Array
    """(n,) in 100 GeV."""


def project(showers: np.ndarray, energy: np.ndarray) -> Images:
    """Images of showers (n, x, y, z) in GeV of incident energies (n,) in GeV.

    Cells are scaled by one number, the visible energy per 100 GeV, so that images are about 1.
    """
    image = showers.sum(axis=1)
    scale = image.sum() / (energy.sum() / ENERGY_UNIT)
    return Images(
        jnp.asarray(image / scale, jnp.float32), jnp.asarray(energy / ENERGY_UNIT, jnp.float32)
    )


def shapes() -> dict[str, tuple[int, ...]]:
    """Shape of each array of a chromosome."""
    return {
        "kernel": (KERNEL, KERNEL, 1, FILTERS), "kernel_bias": (FILTERS,),
        "dense": (FEATURES, 1), "dense_bias": (1,),
    }  # fmt: skip


def uniform(key: jax.Array, reach: float = 0.5) -> Chromosome:
    """A random parent: weights uniform in (-reach, reach), biases 0."""
    keys = jax.random.split(key, len(shapes()))
    return {
        name: jnp.zeros(shape) if "bias" in name
        else jax.random.uniform(k, shape, minval=-reach, maxval=reach)
        for k, (name, shape) in zip(keys, shapes().items(), strict=True)
    }  # fmt: skip


def convolved(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolution of (n, y, x, channels) with (side, side, channels, filters), padded evenly.

    Written as a product with patches: of many children XLA makes one batched product of it, and of
    ``conv_general_dilated`` a grouped convolution, which is slow on CPUs.
    """
    side, pad = kernel.shape[0], kernel.shape[0] // 2
    padded = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    last = padded.shape[1] - side + 1
    shifts = [(dy, dx) for dy in range(side) for dx in range(side)]
    patches = [padded[:, dy : dy + last : stride, dx : dx + last : stride] for dy, dx in shifts]
    return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def regress(weights: Chromosome, image: jax.Array) -> jax.Array:
    """Energies (n,) in 100 GeV of images (n, 25, 25)."""
    hidden = convolved(image[..., None], weights["kernel"], STRIDE)
    hidden = jax.nn.relu(hidden + weights["kernel_bias"])
    flat = hidden.reshape(len(image), -1)
    return (flat @ weights["dense"] + weights["dense_bias"])[:, 0]


def relative_error(weights: Any, images: Images, apply: Any = regress) -> jax.Array:
    """Mean of |estimated - true| / true."""
    found = apply(weights, images.image)
    return jnp.mean(jnp.abs(found - images.energy) / images.energy)
