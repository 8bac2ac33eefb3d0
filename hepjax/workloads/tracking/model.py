"""The interaction network: hits and edges exchange messages, and each edge gets a logit.

Events of a batch are one graph without edges between them. Rounds of messages are a scan whose body
is computed again in the backward pass, so that memory does not grow with their number.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import jraph

from hepjax.formats.tracking.detector import PARTS, SURFACES
from hepjax.workloads.tracking.config import ModelConfig

LENGTH = 1000.0
"""mm; coordinates enter in this unit."""


def features(
    xyz: jax.Array, surface: jax.Array, senders: jax.Array, receivers: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """What the network sees: of hits (n, N, 8) and of edges (n, E, 5).

    Hits: r, z, cos and sin of the azimuth, part of the detector (one of three), disc or cylinder.
    Edges: dr, dz, azimuth, slope of the azimuth, and where the line passes the beam.
    """
    r = jnp.hypot(xyz[..., 0], xyz[..., 1])
    safe = jnp.where(r > 0, r, 1.0)
    cosine, sine, z = xyz[..., 0] / safe, xyz[..., 1] / safe, xyz[..., 2]
    part = jax.nn.one_hot(jnp.array([s.part for s in SURFACES])[surface], len(PARTS))
    disc = jnp.array([float(s.disc) for s in SURFACES])[surface]
    hits = jnp.concatenate(
        [jnp.stack([r / LENGTH, z / LENGTH, cosine, sine, disc], axis=-1), part], axis=-1
    )

    def at(a: jax.Array, index: jax.Array) -> jax.Array:
        return jnp.take_along_axis(a, index, axis=1)

    ra, rb, za, zb = at(r, senders), at(r, receivers), at(z, senders), at(z, receivers)
    ca, cb, sa, sb = (at(f, i) for f in (cosine, sine) for i in (senders, receivers))
    dphi = jnp.arctan2(sb * ca - cb * sa, ca * cb + sa * sb)
    dr, dz = rb - ra, zb - za
    length = jnp.where(jnp.abs(dr) > 1e-3, dr, 1e-3)
    z0 = jnp.clip((za - ra * dz / length) / 250.0, -4.0, 4.0)
    edges = jnp.stack(
        [dr / LENGTH, dz / LENGTH, 10 * dphi, jnp.clip(2000 * dphi / length, -4.0, 4.0), z0],
        axis=-1,
    )
    return hits, edges


class Mlp(nn.Module):
    """Dense layers with SiLU, layer norm after each but the last."""

    cfg: ModelConfig
    outputs: int = 0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(self.cfg.layers - 1):
            x = nn.silu(nn.LayerNorm()(nn.Dense(self.cfg.hidden)(x)))
        x = nn.Dense(self.outputs or self.cfg.hidden)(x)
        return x if self.outputs else nn.silu(nn.LayerNorm()(x))


class Step(nn.Module):
    """One round: edges hear of both their hits, hits of the sums over their edges."""

    cfg: ModelConfig

    @nn.compact
    def __call__(self, graph: jraph.GraphsTuple, _: None) -> tuple[jraph.GraphsTuple, None]:
        def edges(e: jax.Array, sent: jax.Array, received: jax.Array, _: None) -> jax.Array:
            return e + Mlp(self.cfg, name="edges")(jnp.concatenate([e, sent, received], -1))

        def nodes(n: jax.Array, sent: jax.Array, received: jax.Array, _: None) -> jax.Array:
            sums = jnp.concatenate([n, sent / 4.0, received / 4.0], -1)  # about four edges a hit
            return n + Mlp(self.cfg, name="hits")(sums)

        return jraph.GraphNetwork(edges, nodes)(graph), None


class InteractionNetwork(nn.Module):
    """Graphs -> logits (n, E) of edges, float32."""

    cfg: ModelConfig

    @nn.compact
    def __call__(
        self, xyz: jax.Array, surface: jax.Array, senders: jax.Array, receivers: jax.Array
    ) -> jax.Array:
        hits, edges = features(xyz, surface, senders, receivers)
        n, size = xyz.shape[:2]
        offset = size * jnp.arange(n, dtype=senders.dtype)[:, None]
        count = jnp.full((1,), n * size, jnp.int32), jnp.full((1,), edges[..., 0].size, jnp.int32)
        graph = jraph.GraphsTuple(
            nodes=Mlp(self.cfg, name="encode_hits")(hits.reshape(n * size, -1)),
            edges=Mlp(self.cfg, name="encode_edges")(edges.reshape(-1, edges.shape[-1])),
            senders=(senders + offset).reshape(-1), receivers=(receivers + offset).reshape(-1),
            globals=None, n_node=count[0], n_edge=count[1],
        )  # fmt: skip
        rounds = nn.scan(
            nn.remat(Step, prevent_cse=False), variable_axes={"params": 0},
            split_rngs={"params": True}, length=self.cfg.steps,
        )  # fmt: skip
        graph, _ = rounds(self.cfg, name="steps")(graph, None)
        return Mlp(self.cfg, 1, name="score")(graph.edges).reshape(senders.shape)
