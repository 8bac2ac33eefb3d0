"""The interaction network: hits and edges exchange messages, and each edge gets a logit.

Rounds of messages are a scan. Of large graphs its body is computed again in the backward pass, so
that memory does not grow with their number times that of edges. The sums at hits are kept, because
those of edges on several devices cost an all-reduce.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from hepjax.formats.tracking.detector import PARTS, SURFACES
from hepjax.ops.normed import normed_silu
from hepjax.workloads.tracking.config import ModelConfig
from hepjax.workloads.tracking.edges import ends, met, sums

LENGTH = 1000.0
"""mm; coordinates enter in this unit."""
LARGE = 2**31
"""Bytes of activations from which on rounds are computed again in the backward pass."""
OF_A_ROUND = 8
"""Arrays of the size of all edges' features that a round keeps otherwise, about."""
KEPT = "sums"
"""What a round of messages keeps for the backward pass."""


def features(
    xyz: jax.Array, surface: jax.Array, senders: jax.Array, receivers: jax.Array,
    split: bool = False,
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    """What a network sees: of hits (n, N, 8), see ``of_hits``, and of edges (n, E, 5).

    Edges: dr, dz, azimuth, slope of the azimuth, and where the line passes the beam.
    """
    hits = of_hits(xyz, surface)
    r, z, cosine, sine = (hits[..., 0] * LENGTH, xyz[..., 2], hits[..., 2], hits[..., 3])

    at_ends = ends(split, jnp.stack([r, z, cosine, sine], axis=-1), senders, receivers)
    ra, za, ca, sa, rb, zb, cb, sb = jnp.moveaxis(at_ends, -1, 0)
    dphi = jnp.arctan2(sb * ca - cb * sa, ca * cb + sa * sb)
    dr, dz = rb - ra, zb - za
    length = jnp.where(jnp.abs(dr) > 1e-3, dr, 1e-3)
    z0 = jnp.clip((za - ra * dz / length) / 250.0, -4.0, 4.0)
    edges = jnp.stack(
        [dr / LENGTH, dz / LENGTH, 10 * dphi, jnp.clip(2000 * dphi / length, -4.0, 4.0), z0],
        axis=-1,
    )
    return hits, edges


def of_hits(xyz: jax.Array, surface: jax.Array) -> jax.Array:
    """r, z, cos and sin of the azimuth, disc or cylinder, part of the detector (one of three)."""
    r = jnp.hypot(xyz[..., 0], xyz[..., 1])
    safe = jnp.where(r > 0, r, 1.0)
    cosine, sine, z = xyz[..., 0] / safe, xyz[..., 1] / safe, xyz[..., 2]
    part = jax.nn.one_hot(jnp.array([s.part for s in SURFACES])[surface], len(PARTS))
    disc = jnp.array([float(s.disc) for s in SURFACES])[surface]
    return jnp.concatenate(
        [jnp.stack([r / LENGTH, z / LENGTH, cosine, sine, disc], axis=-1), part], axis=-1
    )


class Layer(nn.Module):
    """Weights of ``nn.Dense``, for who multiplies with parts of them."""

    inputs: int
    outputs: int

    @nn.compact
    def __call__(self) -> tuple[jax.Array, jax.Array]:
        """Kernel (inputs, outputs) and bias (outputs,)."""
        kernel = self.param("kernel", nn.linear.default_kernel_init, (self.inputs, self.outputs))
        return kernel, self.param("bias", nn.initializers.zeros, (self.outputs,))


class Norm(nn.Module):
    """Weights of ``nn.LayerNorm``."""

    features: int

    @nn.compact
    def __call__(self) -> tuple[jax.Array, jax.Array]:
        """Scale and shift (features,)."""
        scale = self.param("scale", nn.initializers.ones, (self.features,))
        return scale, self.param("bias", nn.initializers.zeros, (self.features,))


class Mlp(nn.Module):
    """Dense layers with SiLU, layer norm after each but the last."""

    cfg: ModelConfig
    outputs: int = 0

    @nn.compact
    def __call__(
        self, x: jax.Array, more: Callable[..., jax.Array] | None = None, inputs: int = 0
    ) -> jax.Array:
        """(..., f) to (..., outputs or hidden).

        Args:
          more: what ``inputs`` further features add to the first layer, given their part of its
            kernel (inputs, hidden) and its bias (hidden,).
        """
        for number in range(self.cfg.layers):
            last = number == self.cfg.layers - 1
            width = (self.outputs if last else 0) or self.cfg.hidden
            own, further = x.shape[-1], inputs if number == 0 else 0
            kernel, added = Layer(own + further, width, name=f"Dense_{number}")()
            if more is not None and number == 0:
                kernel, added = kernel[:own], more(kernel[own:], added)
            if last and self.outputs:
                x = x @ kernel + added
            else:
                x = normed_silu(x, kernel, added, *Norm(width, name=f"LayerNorm_{number}")())
        return x


class Step(nn.Module):
    """One round: edges hear of both their hits, hits of the sums over their edges."""

    cfg: ModelConfig
    split: bool

    @nn.compact
    def __call__(
        self, graph: tuple[jax.Array, jax.Array], senders: jax.Array, receivers: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
        hits, edges = graph

        def near(kernel: jax.Array, bias: jax.Array) -> jax.Array:
            if self.split:  # hits, half as wide, are what goes back between devices
                return ends(True, hits, senders, receivers) @ kernel + bias
            # Multiplied before edges fetch them: there are many more edges.
            products = hits @ jnp.concatenate(jnp.split(kernel, 2), axis=1)
            of_senders, of_receivers = jnp.split(products, 2, axis=-1)
            return met(of_senders + bias, of_receivers, senders, receivers)

        edges = edges + Mlp(self.cfg, name="edges")(edges, near, 2 * hits.shape[-1])
        heard = sums(self.split, edges, senders, receivers, hits.shape[1]) / 4.0  # edges of a hit
        heard = checkpoint_name(heard, KEPT)
        hits = hits + Mlp(self.cfg, name="hits")(jnp.concatenate([hits, heard], -1))
        return (hits, edges), None


def _fits(cfg: ModelConfig, edges: tuple[int, ...]) -> bool:
    """Whether the activations of all rounds are small; of sizes that are open (exports) no."""
    if not all(isinstance(size, int) for size in edges):
        return False
    return 4 * OF_A_ROUND * cfg.steps * cfg.hidden * math.prod(edges) < LARGE


class InteractionNetwork(nn.Module):
    """Graphs -> logits (n, E) of edges; or of hits (n, N, 1 + d), weight and point."""

    cfg: ModelConfig
    split: bool = False
    """Whether the edges of an event are shared among devices (edges.py)."""

    @nn.compact
    def __call__(
        self, xyz: jax.Array, surface: jax.Array, senders: jax.Array, receivers: jax.Array
    ) -> jax.Array:
        hits, edges = features(xyz, surface, senders, receivers, self.split)
        hits = Mlp(self.cfg, name="encode_hits")(hits)
        edges = Mlp(self.cfg, name="encode_edges")(edges)
        large = self.split or not _fits(self.cfg, senders.shape)
        step = Step if not large else nn.remat(
            Step, prevent_cse=False,
            policy=jax.checkpoint_policies.save_only_these_names(KEPT),
        )  # fmt: skip
        rounds = nn.scan(
            step, variable_axes={"params": 0}, split_rngs={"params": True},
            in_axes=(nn.broadcast, nn.broadcast), length=self.cfg.steps,
            unroll=1 if large else self.cfg.steps,  # a loop of XLA is slower on CPUs
        )  # fmt: skip
        graph = rounds(self.cfg, self.split, name="steps")((hits, edges), senders, receivers)[0]
        if self.cfg.kind == "condensation":
            return Mlp(self.cfg, 1 + self.cfg.dimensions, name="hits")(graph[0])
        return Mlp(self.cfg, 1, name="score")(graph[1])[..., 0]


class Filter(nn.Module):
    """Graphs -> logits (n, E) of edges, of each from itself and its two hits alone."""

    cfg: ModelConfig
    split: bool = False

    @nn.compact
    def __call__(
        self, xyz: jax.Array, surface: jax.Array, senders: jax.Array, receivers: jax.Array
    ) -> jax.Array:
        hits, edges = features(xyz, surface, senders, receivers, self.split)
        near = ends(self.split, hits, senders, receivers)
        return Mlp(self.cfg, 1, name="score")(jnp.concatenate([edges, near], -1))[..., 0]


class Embedding(nn.Module):
    """Hits -> points (n, N, d) on the unit sphere; edges are not looked at."""

    cfg: ModelConfig
    split: bool = False

    @nn.compact
    def __call__(
        self, xyz: jax.Array, surface: jax.Array, senders: jax.Array, receivers: jax.Array
    ) -> jax.Array:
        points = Mlp(self.cfg, self.cfg.dimensions, name="points")(of_hits(xyz, surface))
        return points * jax.lax.rsqrt(jnp.square(points).sum(-1, keepdims=True) + 1e-12)


NETWORKS: dict[str, type[InteractionNetwork | Filter | Embedding]] = {
    "interaction": InteractionNetwork, "condensation": InteractionNetwork, "filter": Filter,
    "embedding": Embedding,
}  # fmt: skip
"""By ``model.kind``."""
