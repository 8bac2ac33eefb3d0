"""Open axes: what they are called, and the lengths that models are tried with."""

import jax
import pytest

from hepjax import InputError
from hepjax.engine.workload import Field, Spec
from hepjax.export import sizes

GRAPH = Spec((
    Field("xyz", (None, 3), "float32", axes=("hits",)),
    Field("senders", (None,), "int32", axes=("edges",)),
))  # fmt: skip
SET = Spec((Field("x", (None, 2), "float32"), Field("mask", (None,), "bool")), (("whole", 8),))
BOX = Spec((Field("x", (None, None), "float32", axes=("x", "y")),), (("multiple", 4),))


def test_axes_of_one_name_have_one_symbol():
    graph = sizes.symbols(GRAPH, "toy")
    batch, hits, edges = graph.batch, graph.length("hits"), graph.length("edges")
    assert hits != edges
    assert graph.shape(GRAPH.fields[0]) == (batch, hits, 3)
    assert graph.shape(GRAPH.fields[1]) == (batch, edges)
    elements = sizes.symbols(SET, "toy", batch=5)
    assert elements.filled
    assert elements.shape(SET.fields[0]) == (5, 8 * elements.steps["elements"], 2)
    assert jax.export.is_symbolic_dim(elements.length("elements"))


def test_models_are_tried_with_lengths_that_they_take():
    assert sizes.some(GRAPH, "toy", 13) == {"hits": 13, "edges": 29}
    assert sizes.some(SET, "toy", 13) == {"elements": 13}  # filled up to 16
    assert sizes.some(BOX, "toy", 13) == {"x": 8, "y": 4}
    assert sizes.least(BOX, "toy", 2).shape(BOX.fields[0]) == (2, 4, 4)


def test_open_axes_without_a_name_are_refused():
    spec = Spec((Field("x", (None, 3), "float32"),))
    words = r"^toy: expected open axes with names \(Field.axes\), or events that can be padded"
    with pytest.raises(InputError, match=words):
        sizes.step_of(spec, "toy")
