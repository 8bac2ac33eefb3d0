"""Special functions in float32 that ONNX does not have, made of operations that it has."""

import numpy as np

from hepjax.export.graph import Graph
from hepjax.ops.normal import CENTRE, TAIL

# S. L. Moshier, Cephes mathematical library, ndtrf.c: x exp(x^2) erfc(x) as polynomials of 1 / x^2,
# for x in (1, 2) and beyond.
NEAR = (
    2.326819970068386e-2, -1.387039388740657e-1, 3.687424674597105e-1, -5.824733027278666e-1,
    6.210004621745983e-1, -4.944515323274145e-1, 3.404879937665872e-1, -2.741127028184656e-1,
    5.638259427386472e-1,
)  # fmt: skip
FAR = (
    -1.047766399936249e1, 1.297719955372516e1, -7.495518717768503e0, 2.921019019210786e0,
    -1.015265279202700e0, 4.218463358204948e-1, -2.820767439740514e-1, 5.641895067754075e-1,
)  # fmt: skip


def _number(graph: Graph, value: float) -> str:
    return graph.constant(np.asarray(value, np.float32))


def _polynomial(graph: Graph, x: str, coefficients: tuple[float, ...]) -> str:
    """By Horner's rule, the highest power first."""
    p = _number(graph, coefficients[0])
    for c in coefficients[1:]:
        p = graph.add("Add", [graph.add("Mul", [p, x]), _number(graph, c)])
    return p


def erfinv(graph: Graph, x: str) -> str:
    """The inverse error function of numbers in (-1, 1)."""
    one = _number(graph, 1)
    inside = graph.add(  # (1 - x)(1 + x) keeps its digits near 1
        "Mul", [graph.add("Sub", [one, x]), graph.add("Add", [one, x])]
    )
    w = graph.add("Neg", [graph.add("Log", [inside])])
    centre = _polynomial(graph, graph.add("Sub", [w, _number(graph, 2.5)]), CENTRE)
    root = graph.add("Sqrt", [graph.add("Max", [w, _number(graph, 0)])])
    tail = _polynomial(graph, graph.add("Sub", [root, _number(graph, 3)]), TAIL)
    small = graph.add("Less", [w, _number(graph, 5)])
    return graph.add("Mul", [graph.add("Where", [small, centre, tail]), x])


def erfc(graph: Graph, x: str) -> str:
    """The complementary error function: 1 - erf(x) has no digits left in the upper tail."""
    one, two = (_number(graph, n) for n in (1, 2))
    size = graph.add("Max", [graph.add("Abs", [x]), one])
    square = graph.add("Mul", [size, size])
    y = graph.add("Reciprocal", [square])
    near, far = (_polynomial(graph, y, c) for c in (NEAR, FAR))
    scaled = graph.add("Where", [graph.add("Less", [size, two]), near, far])
    fall = graph.add("Exp", [graph.add("Neg", [square])])
    upper = graph.add("Div", [graph.add("Mul", [fall, scaled]), size])
    plain = graph.add("Sub", [one, graph.add("Erf", [x])])
    return graph.add("Where", [graph.add("Less", [one, x]), upper, plain])
