"""What hepjax needs of graphs beside jraph: nearest neighbours as edges, sums over them, padding.

A graph is a ``jraph.GraphsTuple`` of one event; events are stacked along a leading axis, and a
function of one graph is mapped over them, so that devices can share events.
"""

import jax
import jax.numpy as jnp
import jraph

from hepjax.ops import lsh


def nearest_neighbours(
    z: jax.Array, mask: jax.Array, neighbours: int
) -> tuple[jraph.GraphsTuple, jax.Array]:
    """Edges from the nearest elements of each bin, the element itself among them.

    Args:
      z: (bins, size, d) coordinates of one event, float32.
      mask: (bins, size) bool.
      neighbours: edges into each element, at most ``size``.
    Returns:
      The graph with the distance (edges,) of each pair as its ``edges``, sorted by receiver, and
      (edges,) bool, False where either end is masked.
    """
    bins, size = mask.shape
    nearest, index = jax.lax.top_k(-lsh.squared_distances(z, mask), neighbours)
    first = size * jnp.arange(bins, dtype=jnp.int32)[:, None, None]
    receivers = jnp.repeat(jnp.arange(bins * size, dtype=jnp.int32), neighbours)
    valid = jnp.isfinite(nearest).reshape(-1)
    # The root of 1 where there is none, so that its gradient is not infinite.
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
    """The graph with zeros for the features of nodes and edges whose mask (nodes,), (edges,) is 0.

    In place of ``jraph.zero_out_padding``, which needs a function that jax no longer has and takes
    all padding to be at the end.
    """

    def zeroed(mask: jax.Array, features: jax.Array) -> jax.Array:
        return jnp.where(mask.reshape(-1, *(1,) * (features.ndim - 1)), features, 0)

    return graph._replace(
        nodes=jax.tree.map(lambda f: zeroed(nodes, f), graph.nodes),
        edges=jax.tree.map(lambda f: zeroed(edges, f), graph.edges),
    )


def propagate(graph: jraph.GraphsTuple, mask: jax.Array) -> jax.Array:
    """Degree-normalised sum of the nodes' features over the edges into each node.

    Args:
      graph: nodes (nodes, features), edges (edges,) weights, sorted by receiver; the degree of a
        node is the sum of the absolute weights into it.
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
