"""Layers that were trained in 8 bits (``ops/int8.py``) as operations on integers.

Inputs become uint8 by QuantizeLinear, and products of them ConvInteger and MatMulInteger, whose
sums are exact in int32. These are integers in every runtime, also in hosts that optimise nothing,
where pairs of QuantizeLinear and DequantizeLinear would compute in float.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from hepjax.export import indexing, shapes  # noqa: F401  (their writers are extended here)
from hepjax.export.elementwise import DTYPES, elementwise
from hepjax.export.graph import Graph
from hepjax.export.interpret import NAMED, WRITERS, Write
from hepjax.export.values import Const, Tensor, Value
from hepjax.ops.int8 import step

LARGEST_WEIGHT = 127


def trained_in_int8(cfg: Any) -> bool:
    """Whether the networks of a configuration compute in 8 bits."""
    return getattr(getattr(cfg, "model", None), "quantise", "none") == "int8"


@dataclass(frozen=True)
class Steps(Tensor):
    """Whole numbers as float32, as any operation takes them, and what they were made of."""

    stored: Tensor
    """The same in uint8, more by ``zero``."""
    zero: str
    """Name of a constant uint8 ()."""


def _eight_bit_steps(graph: Graph, equation: Any, values: list[Any]) -> list[Value] | None:
    """Of a range that is known; None otherwise."""
    x, low, high = values
    if not (isinstance(x, Tensor) and isinstance(low, Const) and isinstance(high, Const)):
        return None
    if not high.array > low.array:
        return None
    size = np.asarray(step(jnp.asarray(low.array), jnp.asarray(high.array)), np.float32)
    zero = np.asarray(-np.rint(low.array / size), np.uint8)
    names = graph.constant(size), graph.constant(zero)
    (whole,) = elementwise(
        graph, equation, [x], lambda g, inputs, _: g.add("QuantizeLinear", [*inputs, *names])
    )
    assert isinstance(whole, Tensor)
    number = graph.add("Cast", [whole.name], to=DTYPES["float32"])
    number = graph.add("Sub", [number, graph.constant(zero.astype(np.float32))])
    return [_steps(replace(whole, name=number), whole, names[1])]


def _steps(number: Tensor, stored: Tensor, zero: str) -> Steps:
    whole = replace(stored, dtype=np.dtype(np.uint8))
    own = number.name, number.dtype, number.shape, number.dims, number.order
    return Steps(*own, stored=whole, zero=zero)


def _of_both(write: Write) -> Write:
    """A writer that brings whole numbers into another shape in both of their forms."""

    def wrapped(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
        made = write(graph, equation, values)
        x = values[0]
        if not isinstance(x, Steps) or not isinstance(made[0], Tensor):
            return made
        (stored,) = write(graph, equation, [x.stored, *values[1:]])
        assert isinstance(stored, Tensor)
        return [_steps(made[0], stored, x.zero)]

    return wrapped


NAMED["eight_bit_steps"] = _eight_bit_steps
PLACED = ("reshape", "squeeze", "transpose", "slice", "gather")
"""Primitives that give numbers another place and no other value."""
WRITERS.update({name: _of_both(WRITERS[name]) for name in PLACED})


def weights(graph: Graph, kernel: np.ndarray) -> np.ndarray | None:
    """A kernel of whole numbers as int8, in a model that was trained in 8 bits; None of others."""
    if not graph.eight_bits or kernel.dtype != np.float32:
        return None
    whole = np.rint(kernel)
    if np.abs(whole).max(initial=0) > LARGEST_WEIGHT or not np.array_equal(whole, kernel):
        return None
    return whole.astype(np.int8)


def product(
    graph: Graph, op: str, x: Value, name: str, kernel: np.ndarray, **attributes: Any
) -> str:
    """Conv or MatMul of ``name``, which holds ``operand(x)``, with a constant kernel."""
    whole = weights(graph, kernel)
    if whole is None:
        return graph.add(op, [name, graph.constant(kernel, "kernel")], **attributes)
    stored = graph.constant(whole, "kernel")
    if isinstance(x, Steps):
        sums = graph.add(f"{op}Integer", [name, stored, x.zero], **attributes)
        return graph.add("Cast", [sums], to=DTYPES["float32"])
    number = graph.add("Cast", [stored], to=DTYPES["float32"])
    return graph.add(op, [name, number], **attributes)


def integer_products(graph: Graph) -> int:
    """Products and convolutions of a graph that are of integers."""
    return sum(node.op in ("ConvInteger", "MatMulInteger") for node in graph.nodes)


def operand(graph: Graph, x: Any, kernel: np.ndarray) -> Any:
    """What a product with the kernel takes in place of x: the integers, if both have them."""
    return x.stored if isinstance(x, Steps) and weights(graph, kernel) is not None else x
