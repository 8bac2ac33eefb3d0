"""The three published MLPF networks: elements (n, i, 12) to one candidate for each.

Padding never reaches an element: it is sorted behind all others, weighs nothing in any sum and its
outputs are 0. (``published_slips`` keeps two exceptions, below.)

``model.published_slips`` reproduces what is published and gives it the published number of
parameters. Each slip, and what is done without it:

- concat: the output of each energy layer enters the energy and pt heads twice; once.
- concat, additive: the class scores enter these heads twice; once.
- concat: the eta and phi heads compute gates that nothing uses, so that corrections are outputs 1
  and 1, 3; the heads give corrections only.
- additive: the pt head has a second output that nothing uses; one output.
- all: the number of hash directions is that of the bins of the padded event; of its elements.
- sparse: padding takes part in the graph and in the losses; it does not.
- concat, additive: the class loss takes the logarithm of clipped probabilities, without gradient
  where it clips; of the softmax, exactly.
- all: losses are sums divided by the number of slots, padding included; by that of the elements
  that count.

Source: jpata/particleflow v1.1 (sparse), erwulff/particleflow f4920921 (concat),
dcsouthwick/particleflow 78e5e21 (additive).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.engine.config import MeshConfig
from hepjax.engine.mesh import split_events
from hepjax.nn.dense import Dense
from hepjax.nn.int8 import around_last
from hepjax.nn.keras import exact_gelu
from hepjax.workloads.mlpf.config import ModelConfig
from hepjax.workloads.mlpf.heads import Heads, Outputs
from hepjax.workloads.mlpf.layers import DenseGraphLayer, encode, rows_of
from hepjax.workloads.mlpf.sparse_model import SparseModel


def network(cfg: ModelConfig, mesh: MeshConfig, dtype: jnp.dtype = jnp.float32) -> nn.Module:
    """The module of a configuration; call it with X (n, i, 12), mask (n, i) bool and ``train``."""
    kind = SparseModel if cfg.variant == "sparse" else DenseModel
    return Padded(cfg, kind(cfg, mesh, dtype))


class Padded(nn.Module):
    """A network on events of any length: pads to whole bins, and masks and cuts what comes out."""

    cfg: ModelConfig
    inner: nn.Module

    def __call__(self, X: jax.Array, mask: jax.Array, train: bool = False) -> Outputs:
        elements = X.shape[1]
        # An event of less than one bin is one bin as long as itself.
        size = min(self.cfg.bin_size, elements)
        more = -elements % size
        X = jnp.pad(X, ((0, 0), (0, more), (0, 0)))
        mask = jnp.pad(mask, ((0, 0), (0, more)))
        outputs = self.inner(jnp.where(mask[..., None], X, 0.0), mask, size, train)

        def cut(a: jax.Array) -> jax.Array:
            return jnp.where(mask if a.ndim == 2 else mask[..., None], a, 0.0)[:, :elements]

        logits = outputs["logits"].reshape(*mask.shape, -1)
        others = {k: a.reshape(mask.shape) for k, a in outputs.items() if k != "logits"}
        return jax.tree.map(cut, others | {"logits": logits})


class DenseModel(nn.Module):
    """Two stacks of dense graph layers, for classes and for energies, and the heads."""

    cfg: ModelConfig
    mesh: MeshConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, X: jax.Array, mask: jax.Array, size: int, train: bool) -> Outputs:
        cfg = self.cfg
        concat = cfg.variant == "concat"
        X = rows_of(self.mesh, split_events(self.mesh, X))
        encoded = encode(X, cfg.inputs == "log")
        x = encoded.astype(self.dtype)
        outer, inner = (around_last(cfg.quantise, end, end) for end in (True, False))
        if not concat:
            for k in range(2):
                kind = inner if k else outer
                name = f"encoding_{k}"
                x = Dense(cfg.width, exact_gelu, self.dtype, quantise=kind, name=name)(x)

        def stack(name: str) -> tuple[jax.Array, ...]:
            h, outputs = x, []
            for k in range(cfg.layers):
                kinds = (outer if concat and k == 0 else inner, inner)
                layer = DenseGraphLayer(cfg, self.mesh, size, self.dtype, kinds, name=f"{name}_{k}")
                out = layer(h, mask)
                h = out if concat else h + out
                outputs.append(out)
            return tuple(outputs) if concat else (h,)

        common, energy = stack("common"), stack("energy")
        if concat:
            common = (encoded.astype(self.dtype), *common)
        return Heads(cfg, self.dtype, name="heads")(X, common, energy)
