"""The MLPF of the paper: sparse graphs of nearest neighbours, one for the classes and the momenta.

Source: Pata et al., EPJC 81 (2021) 381; jpata/particleflow v1.1.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import jraph

from hepjax.engine.config import MeshConfig
from hepjax.engine.mesh import split_events
from hepjax.formats.particleflow.columns import CLASSES, Element
from hepjax.nn.dense import Dense, Network
from hepjax.ops import graphs, lsh
from hepjax.workloads.mlpf.config import ModelConfig
from hepjax.workloads.mlpf.heads import Outputs, scaled
from hepjax.workloads.mlpf.layers import (
    Binning,
    GatedConvolution,
    encode,
    rows_of,
)

AROUND = 2
"""Dense layers before the graph layers of a stream, and as many after."""


class SparseModel(nn.Module):
    """Edges once, then a stream of graph layers for the classes and one for the momenta."""

    cfg: ModelConfig
    mesh: MeshConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, X: jax.Array, mask: jax.Array, size: int, train: bool) -> Outputs:
        cfg = self.cfg
        if cfg.published_slips:
            mask = jnp.ones_like(mask)
        encoded = encode(X, cfg.inputs == "log").astype(self.dtype)
        z = Dense(cfg.distance_dim, nn.elu, self.dtype, name="distance")(encoded)
        z = nn.Dropout(cfg.dropout, deterministic=not train)(z).astype(jnp.float32)
        order, inverse = Binning(cfg, size)(z, mask)

        # Everything but the last line is in the order of the bins, where edges lie close.
        def binned(a: jax.Array) -> jax.Array:
            return split_events(self.mesh, lsh.to_bins(a, order, inverse, size))

        neighbours = partial(graphs.nearest_neighbours, neighbours=min(cfg.neighbours, size))
        graph, valid = jax.vmap(neighbours)(binned(z), binned(mask))
        encoded, X, mask = (lsh.permute(a, order, inverse) for a in (encoded, X, mask))
        graph = self.weighted(graph._replace(nodes=encoded), mask, valid)

        encoded, X = (rows_of(self.mesh, a) for a in (encoded, X))
        known = (encoded, self.stream("class", (encoded,), graph, mask, train))
        logits = self.head("class_head", 2, len(CLASSES), *known)
        charge = self.head("charge_head", 1, 1, *known)[..., 0]
        scores = logits.astype(self.dtype)
        momentum = self.stream("momentum", (encoded, scores), graph, mask, train)
        pt, eta, sin, cos, energy = jnp.moveaxis(
            self.head("momentum_head", 2, 5, encoded, scores, momentum), -1, 0
        )
        if cfg.inputs == "log":
            pt, energy = scaled(X[..., Element.PT], pt), scaled(X[..., Element.ENERGY], energy)
        outputs = {
            "logits": logits, "charge": charge, "pt": pt, "eta": eta,
            "sin_phi": sin, "cos_phi": cos, "energy": energy,
        }  # fmt: skip

        def unsorted(a: jax.Array) -> jax.Array:
            inner = a.shape[-1:] if a is logits else ()
            return lsh.permute(a.reshape(*mask.shape, *inner), inverse, order)

        return jax.tree.map(unsorted, outputs)

    def head(self, name: str, hidden: int, outputs: int, *parts: jax.Array) -> jax.Array:
        """Hidden layers of one width, then the outputs in float32."""
        widths = (self.cfg.head_width,) * hidden
        return Network(widths, outputs, self.dtype, name=name)(*parts).astype(jnp.float32)

    def weighted(
        self, graph: jraph.GraphsTuple, mask: jax.Array, valid: jax.Array
    ) -> jraph.GraphsTuple:
        """Weight of each edge by a network of both ends and of exp(-distance)."""
        cfg = self.cfg
        ends = (
            jnp.take_along_axis(graph.nodes, index[..., None], axis=1, mode="promise_in_bounds")
            for index in (graph.receivers, graph.senders)
        )
        near = jnp.exp(-cfg.distance_scale * graph.edges)[..., None].astype(self.dtype)
        network = Network((cfg.distance_hidden,) * 2, 1, self.dtype, name="edge")
        graph = graph._replace(edges=network(*ends, near)[..., 0])
        return jax.vmap(graphs.zero_out_padding)(graph, mask, valid)

    def stream(
        self, name: str, parts: tuple[jax.Array, ...], graph: jraph.GraphsTuple,
        mask: jax.Array, train: bool,
    ) -> jax.Array:  # fmt: skip
        """Dense layers, graph layers on the one graph, dense layers: rows (..., cfg.width)."""
        cfg = self.cfg

        def around(label: str, *x: jax.Array) -> tuple[jax.Array, ...]:
            for k in range(AROUND):
                y = Dense(cfg.width, nn.elu, self.dtype, name=f"{name}_{label}_{k}")(*x)
                x = (nn.Dropout(cfg.dropout, deterministic=not train)(y),)
            return x

        def propagate(a: jax.Array) -> jax.Array:
            nodes = a.reshape(*mask.shape, -1)
            return jax.vmap(graphs.propagate)(graph._replace(nodes=nodes), mask).reshape(a.shape)

        (h,) = around("before", *parts)
        for k in range(cfg.layers):
            h = GatedConvolution(cfg.width, self.dtype, name=f"{name}_{k}")(h, propagate)
        return around("after", h)[0]
