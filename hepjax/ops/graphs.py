"""Sparse graphs beside jraph: k-nearest-neighbour edges, graph convolution over them, padding.

A graph is a ``jraph.GraphsTuple`` of one event. Events are stacked along a leading axis and
``vmap`` maps over them, so a batch can be sharded over devices.
"""

import jax
import jax.numpy as jnp
import jraph

from hepjax.ops import lsh


def nearest_neighbours(
    z: jax.Array, mask: jax.Array, neighbours: int
) -> tuple[jraph.GraphsTuple, jax.Array]:
    """k-nearest-neighbour graph inside each bin; every element is its own neighbour too.

    Args:
      z: (bins, size, d) coordinates of one event, float32.
      mask: (bins, size) bool.
      neighbours: edges into each element, at most ``size``.
    Returns:
      the graph, whose ``edges`` (edges,) are distances sorted by receiver; and a mask (edges,)
      bool, False if either end is masked.
    """
    bins, size = mask.shape
    nearest, index = jax.lax.top_k(-lsh.squared_distances(z, mask), neighbours)
    first = size * jnp.arange(bins, dtype=jnp.int32)[:, None, None]
    receivers = jnp.repeat(jnp.arange(bins * size, dtype=jnp.int32), neighbours)
    valid = jnp.isfinite(nearest).reshape(-1)
    # Masked edges take the root of 1: the gradient of a root at 0 or infinity is not finite.
    distance = jnp.sqrt(jnp.where(valid, -nearest.reshape(-1), 1.0))
    graph = jraph.GraphsTuple(
        nodes=None, edges=distance, globals=None,
        senders=(index + first).reshape(-1), receivers=receivers,
        n_node=jnp.int32([bins * size]), n_edge=jnp.int32([receivers.size]),
    )  # fmt: skip
    return graph, valid


def zero_out_padding(
    graph: jraph.GraphsTuple, nodes: jax.Array, edges: jax.Array
) -> jraph.GraphsTuple:
    """Set the features of masked nodes and edges to zero.

    ``jraph.zero_out_padding`` calls a function that jax has removed, and it assumes that all
    padding is at the end.

    Args:
      nodes, edges: masks (nodes,) and (edges,), bool; False is padding.
    """

    def zeroed(mask: jax.Array, features: jax.Array) -> jax.Array:
        return jnp.where(mask.reshape(-1, *(1,) * (features.ndim - 1)), features, 0)

    return graph._replace(
        nodes=jax.tree.map(lambda f: zeroed(nodes, f), graph.nodes),
        edges=jax.tree.map(lambda f: zeroed(edges, f), graph.edges),
    )


def propagate(graph: jraph.GraphsTuple, mask: jax.Array) -> jax.Array:
    """Graph convolution with symmetric normalisation over the edges into each node.

    Args:
      graph: ``nodes`` (nodes, features) and ``edges`` (edges,) weights, sorted by receiver. The
        degree of a node is the sum of the absolute weights into it.
      mask: (nodes,) bool.
    Returns:
      (nodes, features) float32.
    """
    count = graph.nodes.shape[0]
    weights = graph.edges.astype(jnp.float32)
    degree = jraph.segment_sum(jnp.abs(weights), graph.receivers, count, indices_are_sorted=True)
    norm = lsh.normalisation(degree, mask)
    messages = (weights * norm[graph.senders])[:, None] * graph.nodes[graph.senders]
    sums = jraph.segment_sum(messages, graph.receivers, count, indices_are_sorted=True)
    return norm[:, None] * sums
