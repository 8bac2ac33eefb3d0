"""Metric learning: hits that follow each other on a particle lie near each other in a space.

As in Exa.TrkX, the loss is a hinge on squared distances: d^2 of hits that follow each other, and
max(0, radius^2 - d^2) of others. Exa.TrkX draws the others at random and from a search within the
radius. Here a number of hits, drawn anew in each update, is compared with all hits of the event:
what lies within the radius is then found without a search, and the rest has no gradient.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hepjax.engine.workload import Batch
from hepjax.workloads.tracking.config import TrackingConfig


class Compared(NamedTuple):
    """Hits that were drawn (n, m) with all hits (n, N) of their event, each (n, m, N)."""

    square: jax.Array
    """Squared distances."""
    wanted: jax.Array
    """Pairs that follow each other on a particle that counts."""
    true: jax.Array
    """The same of any particle."""
    other: jax.Array
    """Pairs on different layers that do not follow each other on any particle."""


def compared(cfg: TrackingConfig, points: jax.Array, batch: Batch, key: jax.Array) -> Compared:
    """Distances of ``objective.queries`` hits of each event to all.

    Args:
      points: (n, N, d).
    """

    def of_event(points: jax.Array, event: Batch, key: jax.Array) -> Compared:
        there = jnp.arange(len(points)) < event["hits"]
        draw = jnp.where(there, jax.random.uniform(key, (len(points),)), -1.0)
        _, drawn = jax.lax.top_k(draw, min(cfg.objective.queries, len(points)))

        def differs(name: str) -> jax.Array:
            return event[name][drawn][:, None] - event[name]

        follows = (differs("particle") == 0) & (event["particle"] > 0)
        follows &= jnp.abs(differs("place")) == 1
        inside = there[drawn][:, None] & there
        other = inside & ~follows & (differs("surface") != 0)
        # Not by the product of points: its rounding is as large as the squared radius.
        square = jnp.square(points[drawn][:, None] - points).sum(-1)
        return Compared(square, follows & event["counts"], follows & inside, other)

    names = ("particle", "place", "surface", "counts", "hits")
    return jax.vmap(of_event)(
        points, {name: batch[name] for name in names}, jax.random.split(key, len(points))
    )


def loss(cfg: TrackingConfig, points: jax.Array, batch: Batch, key: jax.Array) -> jax.Array:
    """(n,) of events: the sum over all pairs in units of radius^2, for each wanted pair."""
    pairs, unit = compared(cfg, points, batch, key), cfg.model.radius**2
    hinge = jnp.where(pairs.other, jnp.maximum(1.0 - pairs.square / unit, 0.0), 0.0)
    apart = jnp.where(pairs.wanted, pairs.square / unit, 0.0)
    total = (apart + cfg.objective.weight_false * hinge).sum((1, 2))
    return total / jnp.maximum(pairs.wanted.sum((1, 2)), 1)


def counts(
    cfg: TrackingConfig, points: jax.Array, batch: Batch, key: jax.Array
) -> dict[str, jax.Array]:
    """Pairs within the radius, right ones, wanted ones, and wanted ones within it: (n,) each."""
    pairs = compared(cfg, points, batch, key)
    near = pairs.square < cfg.model.radius**2
    flags = {
        "kept": near & (pairs.other | pairs.true), "right": near & pairs.true,
        "found": near & pairs.wanted, "wanted": pairs.wanted,
    }  # fmt: skip
    return {name: flag.sum((1, 2)) for name, flag in flags.items()}
