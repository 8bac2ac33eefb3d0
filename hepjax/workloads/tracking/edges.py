"""What hits send to edges and edges to hits; the edges of an event may lie on several devices.

With ``mesh.layout=spatial`` each device of the second axis has a part of the edges and all hits,
and only sums over edges cross devices: one all-reduce of ``sums`` in a round of messages, one of
the gradient of ``ends`` on the way back.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jraph
from jax.sharding import PartitionSpec as P

from hepjax.engine.mesh import DATA, MODEL

EDGES = P(DATA, MODEL)
HITS = P(DATA)


def ends(split: bool, hits: jax.Array, senders: jax.Array, receivers: jax.Array) -> jax.Array:
    """Features (n, N, f) of hits at both ends of edges (n, E): (n, E, 2 f), senders first."""

    def local(hits: jax.Array, senders: jax.Array, receivers: jax.Array) -> jax.Array:
        both = jnp.stack([senders, receivers], -1)
        near = jax.vmap(lambda hits, index: hits[index])(
            hits, both
        )  # at once: one sum on the way back
        return near.reshape(*senders.shape, -1)

    return _over_devices(split, local, (HITS, EDGES, EDGES), EDGES)(hits, senders, receivers)


def met(
    of_senders: jax.Array, of_receivers: jax.Array, senders: jax.Array, receivers: jax.Array
) -> jax.Array:
    """Sums (n, E, f) of features (n, N, f) at both ends of edges (n, E), on one device."""
    return jax.vmap(lambda a, b, start, end: a[start] + b[end])(
        of_senders, of_receivers, senders, receivers
    )


def sums(
    split: bool, edges: jax.Array, senders: jax.Array, receivers: jax.Array, count: int
) -> jax.Array:
    """Sums (n, count, 2 f) of features (n, E, f) over the edges that each hit sends and receives.

    Args:
      count: hits of an event.
    """
    shared = split and not jax.sharding.get_abstract_mesh().empty

    def local(edges: jax.Array, senders: jax.Array, receivers: jax.Array) -> jax.Array:
        over = jax.vmap(lambda edges, index: jraph.segment_sum(edges, index, count))
        found = jnp.concatenate([over(edges, senders), over(edges, receivers)], -1)
        return jax.lax.psum(found, MODEL) if shared else found

    return _over_devices(split, local, (EDGES, EDGES, EDGES), HITS)(edges, senders, receivers)


def _over_devices(
    split: bool, function: Callable[..., jax.Array], specs: tuple[P, ...], out: P
) -> Callable[..., Any]:
    """``function`` on the part of each device, if there are several for an event."""
    if not split or jax.sharding.get_abstract_mesh().empty:
        return function
    return jax.shard_map(function, in_specs=specs, out_specs=out)
