"""Nearest neighbours as graphs: which edges, what their sums are, and that padding is nothing."""

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.ops import graphs

# Two bins of four points on a line; the last point of the second is masked.
Z = jnp.array([[0.0, 1, 3, 7], [10, 12, 13, 0]])[..., None]
MASK = jnp.array([[True] * 4, [True] * 3 + [False]])


def test_edges_are_the_nearest_elements_of_the_bin():
    graph, valid = graphs.nearest_neighbours(Z, MASK, 2)
    senders = graph.senders.reshape(8, 2)
    assert senders[:7, 0].tolist() == list(range(7))  # itself first
    assert senders[:7, 1].tolist() == [1, 0, 1, 2, 5, 6, 5]
    np.testing.assert_allclose(graph.edges.reshape(8, 2)[:7, 1], [1, 1, 2, 4, 2, 1, 1], rtol=1e-6)
    assert valid.reshape(8, 2)[:7].all()
    assert not valid.reshape(8, 2)[7].any()
    assert graph.receivers.tolist() == [i for i in range(8) for _ in range(2)]


def test_an_element_with_too_few_neighbours_has_fewer_edges():
    _, valid = graphs.nearest_neighbours(Z, MASK, 4)
    assert valid.reshape(8, 4).sum(1).tolist() == [4] * 4 + [3] * 3 + [0]


def test_padding_becomes_zero_and_nothing_else_changes():
    graph, valid = graphs.nearest_neighbours(Z, MASK, 2)
    nodes = jax.random.normal(jax.random.key(0), (8, 3))
    graph = graph._replace(nodes={"h": nodes}, edges=jnp.ones(16))
    zeroed = graphs.zero_out_padding(graph, MASK.reshape(-1), valid)
    assert not zeroed.nodes["h"][7].any()
    np.testing.assert_array_equal(zeroed.nodes["h"][:7], nodes[:7])
    np.testing.assert_array_equal(zeroed.edges, valid.astype(float))
    assert zeroed.senders is graph.senders


def test_propagation_is_the_product_with_the_normalised_matrix():
    graph, valid = graphs.nearest_neighbours(Z, MASK, 3)
    nodes = np.asarray(jax.random.normal(jax.random.key(1), (8, 2)))
    weights = np.where(valid, np.linspace(-1, 2, 24), 0.0).astype(np.float32)
    matrix = np.zeros((8, 8))
    matrix[graph.receivers, graph.senders] = weights
    norm = np.where(MASK.reshape(-1), (np.abs(matrix).sum(1) + 1e-6) ** -0.5, 0.0)
    wanted = norm[:, None] * (matrix @ (norm[:, None] * nodes))
    found = graphs.propagate(graph._replace(nodes=nodes, edges=weights), MASK.reshape(-1))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
