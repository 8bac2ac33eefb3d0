"""Object condensation (Kieser, arXiv:2002.03605): each hit gets a weight beta and a point.

Hits of a particle are drawn to the point of its hit of largest beta and pushed away from those of
other particles, up to a distance of 1. Normalised as in gnn_tracking: attraction by the hits of the
particles, repulsion by pairs of hit and particle, of which most are far apart:
``objective.weight_false`` is its weight. Particles in the loss are drawn anew in each
update, ``objective.queries`` of an event at most.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import cKDTree

from hepjax.engine.workload import Batch
from hepjax.workloads.tracking.config import TrackingConfig

LEAST = 0.01
"""Smallest charge of a hit (q_min)."""


def split(found: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Beta (n, N), 0 to 1, and points (n, N, d) of what a network gives (n, N, 1 + d)."""
    return jax.nn.sigmoid(found[..., 0]), found[..., 1:]


def loss(cfg: TrackingConfig, found: jax.Array, batch: Batch, key: jax.Array) -> jax.Array:
    """(n,) of events."""
    names = ("particle", "counts", "hits")
    return jax.vmap(lambda found, event, key: _of_event(cfg, found, event, key))(
        found, {name: batch[name] for name in names}, jax.random.split(key, len(found))
    )


def _of_event(cfg: TrackingConfig, found: jax.Array, event: Batch, key: jax.Array) -> jax.Array:
    beta, points = split(found)
    beta = jnp.clip(beta, 1e-4, 1 - 1e-4)
    there, particle = jnp.arange(len(beta)) < event["hits"], event["particle"]
    # Particles that count, in an order that is drawn; a number of one is at most that of the hits.
    present = jax.ops.segment_max(event["counts"].astype(jnp.float32), particle, len(beta) + 1)
    draw = jnp.where(present > 0, jax.random.uniform(key, present.shape), -1.0)
    order, number = jax.lax.top_k(draw, min(cfg.objective.queries, len(beta)))
    drawn = order >= 0
    members = (particle == number[:, None]) & drawn[:, None]  # (k, N)
    peak = jnp.where(members, beta, -1.0).argmax(1)
    charge = jnp.square(jnp.arctanh(beta)) + LEAST
    pull = jnp.where(drawn, charge[peak], 0.0)[:, None] * charge
    square = jnp.square(points[peak][:, None] - points).sum(-1)
    away = jnp.maximum(1.0 - jnp.sqrt(square + 1e-9), 0.0)
    count = jnp.maximum(drawn.sum(), 1)
    attraction = jnp.where(members, pull * square, 0.0).sum() / jnp.maximum(members.sum(), 1)
    repulsion = jnp.where(~members & there, pull * away, 0.0).sum() / (
        count * jnp.maximum(there.sum(), 1)
    )
    coward = jnp.where(drawn, 1.0 - beta[peak], 0.0).sum() / count
    noise = there & (particle == 0)
    noisy = jnp.where(noise, beta, 0.0).sum() / jnp.maximum(noise.sum(), 1)
    return attraction + cfg.objective.weight_false * repulsion + coward + noisy


def tracks(beta: np.ndarray, points: np.ndarray, least: float, radius: float) -> np.ndarray:
    """The number of the track of each hit (n,), -1 for none.

    From the largest beta down to ``least``, a hit that is still free takes all free hits within
    ``radius`` of its point; fewer than three are none.
    """
    tree, free = cKDTree(points), np.ones(len(beta), bool)
    label, count = np.full(len(beta), -1, np.int64), 0
    for hit in np.argsort(-beta, kind="stable").tolist():
        if beta[hit] < least:
            break
        if free[hit]:
            near = np.array(tree.query_ball_point(points[hit], radius))
            near = near[free[near]]
            free[near] = False
            if len(near) >= 3:
                label[near] = count
                count += 1
    return label
