"""What the three MLPF networks are built of: encoding, dense layers, hashing, gated convolution.

Axes: n events, i elements. Initial weights as in Keras, which the published code uses.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.engine.config import MeshConfig
from hepjax.engine.mesh import split_events
from hepjax.formats.particleflow.columns import ELEMENT_TYPES, TOWER, Element, Tower
from hepjax.nn.dense import Activation, Network
from hepjax.nn.int8 import Kind, applied
from hepjax.nn.keras import NORMAL
from hepjax.ops import lsh
from hepjax.ops.product import product
from hepjax.workloads.mlpf.config import ModelConfig


def encode(X: jax.Array, log: bool) -> jax.Array:
    """One-hot type and the other eleven columns, (n, i, 14).

    With ``log`` the momenta and energies (columns 1 and 5, of towers 6 and 7 as well) enter as
    log(1 + GeV).
    """
    kind, columns = X[..., 0].astype(jnp.int32), X[..., 1:]
    if log:
        column = jnp.arange(1, X.shape[-1])
        energies = (column == Element.PT) | (column == Element.ENERGY)
        of_towers = (column == Tower.ENERGY_EM) | (column == Tower.ENERGY_HAD)
        scaled = energies | (of_towers & (kind == TOWER)[..., None])
        columns = jnp.where(scaled, jnp.log1p(jnp.maximum(columns, 0.0)), columns)
    return jnp.concatenate(
        [jax.nn.one_hot(kind, len(ELEMENT_TYPES), dtype=X.dtype), columns], axis=-1
    )


def rows_of(mesh: MeshConfig, x: jax.Array) -> jax.Array:
    """Elements (n, i, ...) as rows (n i, ...), of which a CPU multiplies matrices faster.

    Not where devices share an event: a row would no longer tell where it lies.
    """
    return x if mesh.layout == "spatial" else x.reshape(-1, *x.shape[2:])


class Binning(nn.Module):
    """Hash of coordinates (n, i, d) float32: the order that sorts elements into bins, its inverse.

    The random directions are fixed, in the collection ``lsh``. As many are used as an event has
    bins, which with ``published_slips`` counts the padding as well.
    """

    cfg: ModelConfig
    size: int

    @nn.compact
    def __call__(self, z: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        codebook = self.variable(
            "lsh", "codebook",
            lambda: NORMAL(self.make_rng("params"), (z.shape[-1], self.cfg.max_bins // 2)),
        )  # fmt: skip
        if self.cfg.published_slips:
            bins: jax.Array | int = z.shape[1] // self.size
        else:
            bins = -(-mask.sum(axis=1) // self.size)
        codes = lsh.hash_codes(jax.lax.stop_gradient(z), codebook.value, bins)
        return lsh.sort_by_code(codes, mask)


class GatedConvolution(nn.Module):
    """GHConv: gate * neighbours + (1 - gate) * self, each a linear map of the element.

    ``propagate`` takes (n, i, features) to the degree-normalised sum over neighbours. Source: Xu et
    al., arXiv:2004.04635, as in the published MLPF.
    """

    features: int
    dtype: jnp.dtype = jnp.float32
    quantise: Kind = ""

    @nn.compact
    def __call__(self, x: jax.Array, propagate: Activation) -> jax.Array:
        shape = (x.shape[-1], self.features)
        theta, w_h, w_t = (self.param(k, NORMAL, shape) for k in ("theta", "w_h", "w_t"))
        bias = self.param("b_t", NORMAL, (self.features,))
        maps = jnp.concatenate([theta, w_h, w_t], axis=1).astype(self.dtype)
        x = x.astype(self.dtype)
        sums = applied(self, self.quantise, x, maps, product) if self.quantise else product(x, maps)
        near, far, gate = jnp.split(sums, 3, axis=-1)
        gate = nn.sigmoid(gate + bias.astype(self.dtype))
        near = propagate(near).astype(self.dtype)
        return nn.elu(gate * near + (1 - gate) * far)


class DenseGraphLayer(nn.Module):
    """One layer of the dense models: hash, all pairs within a bin, one gated convolution."""

    cfg: ModelConfig
    mesh: MeshConfig
    size: int
    dtype: jnp.dtype = jnp.float32
    quantise: tuple[Kind, Kind] = ("", "")
    """Of products with ``x``, and of those behind them."""

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        """Rows (..., features) of elements with mask (n, i) to rows (..., cfg.width).

        i is a multiple of ``size``.
        """
        cfg = self.cfg
        network = Network(
            (cfg.distance_hidden,), cfg.distance_dim, self.dtype, quantise=self.quantise
        )
        z = network(x).astype(jnp.float32)
        z = z.reshape(*mask.shape, -1)
        order, inverse = Binning(cfg, self.size)(z, mask)

        def binned(a: jax.Array) -> jax.Array:
            return split_events(self.mesh, lsh.to_bins(a, order, inverse, self.size))

        def propagate(a: jax.Array) -> jax.Array:
            inside = binned(a.reshape(*mask.shape, -1))
            sums = lsh.propagate(binned(z), inside, binned(mask), cfg.distance_scale)
            return lsh.from_bins(sums, order, inverse).reshape(a.shape)

        out = GatedConvolution(cfg.width, self.dtype, self.quantise[0])(x, propagate)
        return split_events(self.mesh, out * mask.reshape(*x.shape[:-1], 1))
