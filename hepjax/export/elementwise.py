"""Operations that compute each element on its own."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from hepjax.export.graph import Graph
from hepjax.export.interpret import BROADCASTS, NAMED, WRITERS
from hepjax.export.special import erfc, erfinv
from hepjax.export.values import Const, Dims, Tensor, Value, is_one

Emit = Callable[[Graph, list[str], Any], str]
"""(graph, names of the inputs, equation) -> name of the output."""

DTYPES = {
    "float32": 1, "uint8": 2, "int8": 3, "int16": 5, "int32": 6, "int64": 7, "bool": 9,
    "float64": 11, "uint32": 12,
}  # fmt: skip
"""Numbers of the types in ONNX."""

PLAIN = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min",
    "pow": "Pow", "neg": "Neg", "sign": "Sign", "abs": "Abs", "exp": "Exp", "log": "Log",
    "tanh": "Tanh", "logistic": "Sigmoid", "sqrt": "Sqrt", "erf": "Erf", "sin": "Sin",
    "cos": "Cos", "tan": "Tan", "floor": "Floor", "ceil": "Ceil", "and": "And", "or": "Or",
    "xor": "Xor", "not": "Not", "eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater",
    "ge": "GreaterOrEqual", "sinh": "Sinh", "cosh": "Cosh", "asinh": "Asinh", "atan": "Atan",
}  # fmt: skip
"""Primitives that ONNX has under another name."""
SAME = ("copy", "copy_p", "name", "stop_gradient", "reduce_precision", "optimization_barrier")
LOGIC = ("and", "or", "xor", "not")


def elementwise(graph: Graph, equation: Any, values: list[Any], emit: Emit) -> list[Value]:
    """Bring the inputs into one order of axes and write the node between them."""
    shape: Dims = tuple(equation.outvars[0].aval.shape)
    rank = len(shape)
    full = [v for v in values if len(v.shape) == rank]
    tensors = [v for v in full if isinstance(v, Tensor)]
    order = tuple(range(rank))
    if tensors:
        order = max(tensors, key=lambda t: sum(not is_one(d) for d in t.dims)).order
    dims = [v.dims if isinstance(v, Tensor) else v.array.shape for v in full]
    common = tuple(next((d[axis] for d in dims if not is_one(d[axis])), 1) for axis in range(rank))
    names = [
        graph.stored(v, order) if len(v.shape) == rank else graph.stored(v, ()) for v in values
    ]
    dtype = np.dtype(equation.outvars[0].aval.dtype)
    return [Tensor(emit(graph, names, equation), dtype, shape, common, order)]


def _register(primitive: str, emit: Emit) -> None:
    BROADCASTS.add(primitive)
    WRITERS[primitive] = lambda graph, equation, values: elementwise(graph, equation, values, emit)


def _number(graph: Graph, equation: Any, value: float) -> str:
    return graph.constant(np.asarray(value, equation.invars[0].aval.dtype))


def _plain(op: str, primitive: str) -> Emit:
    def emit(graph: Graph, names: list[str], equation: Any) -> str:
        if primitive in LOGIC and equation.invars[0].aval.dtype != np.bool_:
            raise ValueError("bits of integers")
        return graph.add(op, names)

    return emit


def _ne(graph: Graph, names: list[str], equation: Any) -> str:
    return graph.add("Not", [graph.add("Equal", names)])


def _rsqrt(graph: Graph, names: list[str], equation: Any) -> str:
    return graph.add("Reciprocal", [graph.add("Sqrt", names)])


def _expm1(graph: Graph, names: list[str], equation: Any) -> str:
    """tanh(x / 2) (exp(x) + 1), which keeps its digits near 0."""
    half = graph.add("Mul", [names[0], _number(graph, equation, 0.5)])
    sums = graph.add("Add", [graph.add("Exp", names), _number(graph, equation, 1)])
    return graph.add("Mul", [graph.add("Tanh", [half]), sums])


def _log1p(graph: Graph, names: list[str], equation: Any) -> str:
    """log(u) of u = 1 + x, for small x with what the rounding of u has lost, (x - (u - 1)) / u."""
    one = _number(graph, equation, 1)
    u = graph.add("Add", [*names, one])
    plain = graph.add("Log", [u])
    lost = graph.add("Sub", [*names, graph.add("Sub", [u, one])])
    whole = graph.add("Add", [plain, graph.add("Div", [lost, u])])
    small = graph.add("Less", [graph.add("Abs", names), one])
    return graph.add("Where", [small, whole, plain])


def _erfc(graph: Graph, names: list[str], equation: Any) -> str:
    return erfc(graph, names[0])


def _erf_inv(graph: Graph, names: list[str], equation: Any) -> str:
    return erfinv(graph, names[0])


def _square(graph: Graph, names: list[str], equation: Any) -> str:
    return graph.add("Mul", [names[0], names[0]])


def _integer_pow(graph: Graph, names: list[str], equation: Any) -> str:
    power = equation.params["y"]
    if power < 0:
        return graph.add("Reciprocal", [_times(graph, names[0], -power)])
    return _times(graph, names[0], power)


def _times(graph: Graph, name: str, power: int) -> str:
    if power == 1:
        return name
    half = _times(graph, name, power // 2)
    whole = graph.add("Mul", [half, half])
    return graph.add("Mul", [whole, name]) if power % 2 else whole


def _rem(graph: Graph, names: list[str], equation: Any) -> str:
    return graph.add("Mod", names, fmod=1)


def _exp2(graph: Graph, names: list[str], equation: Any) -> str:
    return graph.add("Pow", [_number(graph, equation, 2), *names])


def _round(graph: Graph, names: list[str], equation: Any) -> str:
    if equation.params["rounding_method"] != jax.lax.RoundingMethod.TO_NEAREST_EVEN:
        raise ValueError("rounding away from zero")
    return graph.add("Round", names)


def _is_finite(graph: Graph, names: list[str], equation: Any) -> str:
    largest = _number(graph, equation, float(np.finfo(np.float32).max))
    return graph.add("LessOrEqual", [graph.add("Abs", names), largest])  # false of NaN as well


def _select(graph: Graph, names: list[str], equation: Any) -> str:
    which, *cases = names
    if len(cases) != 2 or equation.invars[0].aval.dtype != np.bool_:
        raise ValueError("a choice among more than two")
    return graph.add("Where", [which, cases[1], cases[0]])


def _clamp(graph: Graph, names: list[str], equation: Any) -> str:
    low, x, high = names
    return graph.add("Min", [graph.add("Max", [x, low]), high])


def _convert(graph: Graph, names: list[str], equation: Any) -> str:
    dtype = np.dtype(equation.params["new_dtype"])
    if dtype.name not in DTYPES:
        raise ValueError(f"numbers of type {dtype.name}")
    if equation.invars[0].aval.dtype == dtype:
        return names[0]
    return graph.add("Cast", names, to=DTYPES[dtype.name])


def _atan2(graph: Graph, names: list[str], equation: Any) -> str:
    """atan(y / |x|), of x < 0 by reflection; 0 of (0, 0)."""
    y, x = names
    zero, pi = (_number(graph, equation, v) for v in (0, np.pi))
    right = graph.add("Abs", [x])
    ratio = graph.add("Atan", [graph.add("Div", [y, right])])  # y / 0 = +-inf -> +-pi / 2
    ratio = graph.add("Where", [graph.add("Equal", [y, zero]), zero, ratio])
    sign = graph.add("Where", [graph.add("Less", [y, zero]), graph.add("Neg", [pi]), pi])
    left = graph.add("Sub", [sign, ratio])
    return graph.add("Where", [graph.add("Less", [x, zero]), left, ratio])


for _primitive, _op in PLAIN.items():
    _register(_primitive, _plain(_op, _primitive))
for _primitive in SAME:
    _register(_primitive, lambda graph, names, equation: names[0])
for _primitive, _emit in {
    "ne": _ne, "rsqrt": _rsqrt, "expm1": _expm1, "log1p": _log1p, "erfc": _erfc,
    "erf_inv": _erf_inv, "square": _square, "integer_pow": _integer_pow, "rem": _rem,
    "exp2": _exp2, "round": _round, "is_finite": _is_finite, "select_n": _select,
    "clamp": _clamp, "convert_element_type": _convert, "atan2": _atan2,
}.items():  # fmt: skip
    _register(_primitive, _emit)


# Functions that ONNX has as one operation.


def _activation(op: str, *numbers: str) -> Callable[[Graph, Any, list[Any]], list[Value] | None]:
    """The writer of a function of x and of numbers that become the attributes ``numbers``."""

    def write(graph: Graph, equation: Any, values: list[Any]) -> list[Value] | None:
        x, *others = values
        known = [float(v.array) for v in others if isinstance(v, Const) and v.array.size == 1]
        single = np.dtype(equation.outvars[0].aval.dtype) == np.float32
        if not isinstance(x, Tensor) or not single or len(known) != len(numbers):
            return None
        attributes = dict(zip(numbers, known, strict=True))
        return elementwise(graph, equation, [x], lambda g, names, _: g.add(op, names, **attributes))

    return write


NAMED.update(
    relu=_activation("Relu"), leaky_relu=_activation("LeakyRelu", "alpha"),
    elu=_activation("Elu"), sigmoid=_activation("Sigmoid"),
)  # fmt: skip
