"""The networks of both stages, and the distribution of a cell (Flax linen)."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.nn.dense import Dense
from hepjax.nn.flows import CouplingFlow
from hepjax.ops.normal import quantile
from hepjax.physics.calorimeter import grids
from hepjax.workloads.calo import layers
from hepjax.workloads.calo.config import CaloConfig
from hepjax.workloads.calo.geometry import plan, shifted

LARGEST_EDGE = 5.0
"""Normal number below which a cell is empty, at most."""
FARTHEST = 8.0
"""As far as single precision can divide by the normal tail."""
NEIGHBOURS = tuple((a, b) for a in (-1, 0, 1) for b in (-1, 0, 1))


class Margins(NamedTuple):
    """How a cell is distributed, (n, layers, cells) each.

    The cell is empty where its standard normal number is below ``edge``. Above, the number is
    stretched to a standard normal number m (``inner_of``), which gives the logarithm of what the
    hit has above the threshold, in thresholds: ``location + scale * sinh((asinh(m) + skew) /
    tail)``, a sinh-arcsinh distribution (Jones and Pewsey, Biometrika 96, 2009). So a cell may be
    empty or well above the threshold, and seldom between.
    """

    edge: jax.Array
    location: jax.Array
    log_scale: jax.Array
    skew: jax.Array
    log_tail: jax.Array


def value_of(margins: Margins, inner: jax.Array) -> jax.Array:
    """Logarithm of the excess of hits over the threshold for standard normal numbers."""
    # jnp.arcsinh and jnp.sinh keep the relative error of tiny numbers, for twice the time.
    size = jnp.abs(inner)
    size = jnp.log(size + jnp.sqrt(size * size + 1.0))
    grown = jnp.exp((jnp.sign(inner) * size + margins.skew) * jnp.exp(-margins.log_tail))
    return margins.location + jnp.exp(margins.log_scale) * 0.5 * (grown - 1.0 / grown)


def normal_of(margins: Margins, value: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The inverse of ``value_of`` and the logarithm of its derivative."""
    x = (value - margins.location) * jnp.exp(-margins.log_scale)
    tail = jnp.exp(margins.log_tail)
    inner = tail * jnp.arcsinh(x) - margins.skew
    # log cosh without overflow
    log_cosh = jnp.abs(inner) + jnp.log1p(jnp.exp(-2 * jnp.abs(inner))) - jnp.log(2.0)
    slope = margins.log_tail + log_cosh - 0.5 * jnp.log1p(x * x) - margins.log_scale
    return jnp.sinh(inner), slope


def inner_of(edge: jax.Array, normal: jax.Array) -> jax.Array:
    """A standard normal number above the edge as a standard normal number without one."""
    root = np.float32(np.sqrt(0.5))
    share = jax.lax.erfc(root * normal) / jax.lax.erfc(root * jnp.minimum(edge, FARTHEST))
    return -quantile(jnp.clip(share, 1e-7, 1 - 1e-6))


def outer_of(edge: jax.Array, inner: jax.Array) -> jax.Array:
    """The inverse of ``inner_of``."""
    share = jax.scipy.special.ndtr(-inner) * jax.scipy.special.ndtr(-edge)
    return -jax.scipy.special.ndtri(jnp.clip(share, 1e-20, 1 - 1e-6))


class Profile(NamedTuple):
    """Of the training showers, over their layers with hits, (layers, cells) each."""

    hit: jax.Array
    """Share of showers in which a cell is hit."""
    value: jax.Array
    """Mean logarithm of the excess of hits over that of the layer's energy."""


class MarginNetwork(nn.Module):
    """From the results of stage 1 to the margins of all cells.

    One dense layer, the same for all layers of the calorimeter that are binned alike, makes the
    numbers of a layer's cells from its token.
    """

    calorimeter: Calorimeter
    hidden: tuple[int, ...]
    token: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, condition: jax.Array, log_energy: jax.Array, hits: jax.Array, profile: Profile
    ) -> Margins:
        """Condition (n, c), log of the layers' energies over the threshold (n, layers), their hits
        (n, layers), and the mean profile, relative to these energies."""
        count, cells = plan(self.calorimeter).inside.shape
        parts: tuple[jax.Array, ...] = (condition, 0.2 * log_energy, 0.2 * jnp.log1p(hits))
        for width in self.hidden:
            parts = (Dense(width, nn.silu, self.dtype)(*parts),)
        tokens = Dense(count * self.token, None, self.dtype)(*parts)
        tokens = nn.silu(tokens.reshape(-1, count, self.token))
        alike = self.calorimeter.box or self.calorimeter.regular is not None
        init = nn.initializers.variance_scaling(0.1, "fan_in", "normal", in_axis=-2, out_axis=-1)
        if alike:
            raw = Dense(5 * cells, None, self.dtype, init)(tokens)
        else:
            kernel = self.param("kernel", init, (count, self.token, 5 * cells))
            raw = jnp.einsum("nlt,ltk->nlk", tokens, kernel.astype(self.dtype))
        bias = self.param("bias", nn.initializers.zeros, (count, 5, cells))
        raw = raw.astype(jnp.float32).reshape(-1, count, 5, cells) + bias
        edge, shift, scale, skew, tail = (raw[:, :, k] for k in range(5))
        rare = -jax.scipy.special.ndtri(jnp.clip(profile.hit, 1e-3, 1 - 1e-3))
        return Margins(
            LARGEST_EDGE * jnp.tanh((rare + edge) / LARGEST_EDGE),
            log_energy[..., None] + profile.value + shift,
            0.3 + 2.5 * jnp.tanh(scale / 2.5),
            0.7 * jnp.tanh(skew),
            0.4 * jnp.tanh(tail),
        )


class Mixing(nn.Module):
    """Standard normal numbers, one a cell, mixed with those of the 3 x 3 neighbours.

    Each stays standard normal: the sum is divided by its spread, that at the edges included.
    """

    calorimeter: Calorimeter

    @nn.compact
    def __call__(self, noise: jax.Array) -> jax.Array:
        """(n, layers, cells) to (n, layers, cells)."""
        weights = self.weights()
        there = jnp.asarray(plan(self.calorimeter).inside, jnp.float32)[None]
        mixed, squares = 0.0, 0.0
        for k, (a, b) in enumerate(NEIGHBOURS):
            w = weights[:, k, None]
            mixed = mixed + w * shifted(self.calorimeter, noise, a, b)
            squares = squares + w**2 * shifted(self.calorimeter, there, a, b)
        return mixed / jnp.sqrt(jnp.maximum(squares, 1e-6))

    @nn.compact
    def weights(self) -> jax.Array:
        """(layers, 9) weights of the neighbours; the cell itself has 1."""
        count = len(self.calorimeter.layers)
        free = self.param("weights", nn.initializers.constant(0.1), (count, 9))
        return jnp.where(jnp.arange(9) == 4, 1.0, free)


class WindowFlow(nn.Module):
    """A flow over the numbers of the window in a layer, the same for all layers: each tells it of
    itself by a token."""

    layers: int
    size: int
    blocks: int
    hidden: tuple[int, ...]
    token: int
    bins: int
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        """The flow and the network of the tokens."""
        self.flow = CouplingFlow(self.size, self.blocks, self.hidden, self.bins, self.dtype)
        self.first = Dense(4 * self.token, nn.silu, self.dtype)
        self.last = Dense(self.layers * self.token, None, self.dtype)

    def __call__(self, x: jax.Array, condition: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(n, layers, size) and (n, c) to z (n, layers, size) and log |dz/dx| (n, layers)."""
        z, slopes = self.flow(x.reshape(-1, self.size), self.tokens(condition))
        return z.reshape(x.shape), slopes.reshape(x.shape[:2])

    def inverse(self, z: jax.Array, condition: jax.Array) -> jax.Array:
        """(n, layers, size) and (n, c) to x (n, layers, size)."""
        x = self.flow.inverse(z.reshape(-1, self.size), self.tokens(condition))
        return x.reshape(z.shape)

    def tokens(self, condition: jax.Array) -> jax.Array:
        """(n, c) to (n * layers, token)."""
        tokens = self.last(self.first(condition))
        return nn.silu(tokens.astype(jnp.float32)).reshape(-1, self.token)


def layer_flow(cfg: CaloConfig) -> CouplingFlow:
    """The flow of stage 1."""
    own = cfg.model.layers
    size = layers.size(cfg.calorimeter, own.moments)
    return CouplingFlow(size, own.blocks, own.hidden, own.bins, jnp.dtype(cfg.train.dtype))


def margin_network(cfg: CaloConfig) -> MarginNetwork:
    """The margins of stage 2."""
    own = cfg.model.cells
    return MarginNetwork(cfg.calorimeter, own.hidden, own.token, jnp.dtype(cfg.train.dtype))


def cell_flow(cfg: CaloConfig) -> CouplingFlow:
    """The copula of stage 2 as a flow."""
    own = cfg.model.cells
    dtype = jnp.dtype(cfg.train.dtype)
    return CouplingFlow(cfg.calorimeter.voxels, own.blocks, own.flow_hidden, own.bins, dtype)


def window_flow(cfg: CaloConfig) -> WindowFlow:
    """What makes the cells near the axis dependent where copula=mix."""
    own = cfg.model.cells
    count, cells = plan(cfg.calorimeter).inside.shape
    return WindowFlow(
        count, min(own.window, cells), own.blocks, own.flow_hidden, own.token, own.bins,
        jnp.dtype(cfg.train.dtype),
    )  # fmt: skip


def cells_inside(calorimeter: Calorimeter) -> np.ndarray:
    """(voxels,) numbers in (layers * cells) of the cells that exist, layer by layer."""
    return np.flatnonzero(plan(calorimeter).inside.ravel())


def average_cells(calorimeter: Calorimeter) -> np.ndarray:
    """(layers, 1) number of cells."""
    return grids.cells_of_layers(calorimeter)[:, None]
