"""The interaction network and its update in PyTorch, the other side of the benchmark.

The same formulas, loss and Adam as ``hepjax.workloads.tracking``, whose weights it takes;
tests/benchmarks compares the two. Written as one would: graphs without padding, ``index_add`` for
sums, all activations kept for the backward pass. Not a second implementation for users.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hepjax.formats.tracking.detector import PARTS, SURFACES
from hepjax.workloads.tracking.config import TrackingConfig
from hepjax.workloads.tracking.model import LENGTH

Tree = dict[str, Any]
EPSILON = 1e-6
"""Of layer norms, as Flax has them."""


def parameters(params: Any) -> Tree:
    """Weights by the names that Flax gives them; those of rounds have a leading axis."""
    return jax.tree.map(lambda leaf: torch.tensor(np.array(leaf)).requires_grad_(), params)


def graph(raw: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The first event of a batch of hepjax, without its padding."""
    n, e = int(raw["hits"][0]), int(raw["edges"][0])
    sizes = {"xyz": n, "surface": n, "senders": e, "receivers": e, "true": e, "signal": e}
    found = {name: torch.tensor(raw[name][0, :size]) for name, size in sizes.items()}
    return {k: v.long() if v.dtype == torch.int32 else v for k, v in found.items()}


def features(g: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Of hits (N, 8) and of edges (E, 5)."""
    x, y, z = g["xyz"].unbind(-1)
    r = torch.hypot(x, y)
    safe = torch.where(r > 0, r, 1.0)
    cosine, sine = x / safe, y / safe
    part = F.one_hot(torch.tensor([s.part for s in SURFACES])[g["surface"]], len(PARTS))
    disc = torch.tensor([float(s.disc) for s in SURFACES])[g["surface"]]
    hits = torch.stack([r / LENGTH, z / LENGTH, cosine, sine, disc], -1)
    a, b = g["senders"], g["receivers"]
    dphi = torch.atan2(
        sine[b] * cosine[a] - cosine[b] * sine[a], cosine[a] * cosine[b] + sine[a] * sine[b]
    )
    dr, dz = r[b] - r[a], z[b] - z[a]
    length = torch.where(dr.abs() > 1e-3, dr, 1e-3)
    z0 = ((z[a] - r[a] * dz / length) / 250.0).clamp(-4, 4)
    slope = (2000 * dphi / length).clamp(-4, 4)
    edges = torch.stack([dr / LENGTH, dz / LENGTH, 10 * dphi, slope, z0], -1)
    return torch.cat([hits, part.to(hits.dtype)], -1), edges


def mlp(p: Tree, x: Tensor) -> Tensor:
    """Dense layers, each with layer norm and SiLU if it has one."""
    for k in range(sum(name.startswith("Dense") for name in p)):
        x = x @ p[f"Dense_{k}"]["kernel"] + p[f"Dense_{k}"]["bias"]
        if (norm := p.get(f"LayerNorm_{k}")) is not None:
            x = F.silu(F.layer_norm(x, x.shape[-1:], norm["scale"], norm["bias"], EPSILON))
    return x


def apply(cfg: TrackingConfig, p: Tree, g: dict[str, Tensor]) -> Tensor:
    """Logits (E,) of edges."""
    hits, edges = features(g)
    hits, edges = mlp(p["encode_hits"], hits), mlp(p["encode_edges"], edges)
    a, b = g["senders"], g["receivers"]
    for k in range(cfg.model.steps):
        own = jax.tree.map(lambda leaf, k=k: leaf[k], p["steps"])
        edges = edges + mlp(own["edges"], torch.cat([edges, hits[a], hits[b]], -1))
        empty = torch.zeros_like(hits)
        sums = [empty.index_add(0, index, edges) / 4.0 for index in (a, b)]
        hits = hits + mlp(own["hits"], torch.cat([hits, *sums], -1))
    return mlp(p["score"], edges)[..., 0]


def loss_of(cfg: TrackingConfig, logits: Tensor, g: dict[str, Tensor]) -> Tensor:
    """Binary cross-entropy; edges of particles that do not count weigh nothing."""
    weight = g["signal"] + cfg.objective.weight_false * ~g["true"]
    terms = F.binary_cross_entropy_with_logits(logits, g["signal"].float(), reduction="none")
    return (weight * terms).sum() / weight.sum()


def make_update(cfg: TrackingConfig, params: Any, g: dict[str, Tensor]) -> Callable[[], Tensor]:
    """A function that does one update on a graph and returns the loss."""
    weights, o = parameters(params), cfg.optimizer
    adam = torch.optim.Adam(
        jax.tree.leaves(weights), o.learning_rate, (o.beta1, o.beta2), o.epsilon, foreach=True
    )

    def update() -> Tensor:
        adam.zero_grad()
        loss = loss_of(cfg, apply(cfg, weights, g), g)
        loss.backward()
        adam.step()
        return loss.detach()

    return update
