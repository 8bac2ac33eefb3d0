"""Operations that move, cut, join or sum elements."""

from typing import Any

import numpy as np

from hepjax.export.elementwise import DTYPES
from hepjax.export.graph import Graph
from hepjax.export.interpret import writes
from hepjax.export.values import Const, Dims, Tensor, Value, is_one, same, static, tensor


def _shape(equation: Any, output: int = 0) -> Dims:
    return tuple(equation.outvars[output].aval.shape)


def made(name: str, equation: Any, output: int = 0) -> Tensor:
    """The value of an output that a node holds as the program sees it."""
    return tensor(name, equation.outvars[output].aval.dtype, _shape(equation, output))


@writes("reshape", "squeeze", "expand_dims")
def _reshape(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    (x, *_), shape = values, _shape(equation)
    if isinstance(x, Const) and x.array.size == 1:
        return [Const(x.array.reshape((1,) * len(shape)), shape)]
    if same(x.shape, shape):
        return [x]
    return [made(graph.reshaped(graph.name(x), shape), equation)]


@writes("broadcast_in_dim")
def _broadcast(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    (x, *_), shape = values, _shape(equation)
    axes = [int(axis) for axis in equation.params["broadcast_dimensions"]]
    if isinstance(x, Const):
        inner = [1] * len(shape)
        for axis, size in zip(axes, x.array.shape, strict=True):
            inner[axis] = size
        return [Const(x.array.reshape(inner), shape)]
    dims = [1] * len(shape)
    for axis, size in zip(axes, x.dims, strict=True):
        dims[axis] = size
    if len(axes) == len(shape):
        return [Tensor(x.name, x.dtype, shape, tuple(dims), x.order)]
    plain = graph.stored(x, tuple(range(len(x.shape))))
    name = graph.reshaped(plain, tuple(dims))
    return [Tensor(name, x.dtype, shape, tuple(dims), tuple(range(len(shape))))]


@writes("transpose")
def _transpose(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    (x,), shape = values, _shape(equation)
    perm = [int(axis) for axis in equation.params["permutation"]]
    if isinstance(x, Const):
        return [Const(x.array.transpose(perm), shape)]
    now = {before: after for after, before in enumerate(perm)}
    dims, order = tuple(x.dims[axis] for axis in perm), tuple(now[axis] for axis in x.order)
    return [Tensor(x.name, x.dtype, shape, dims, order)]


@writes("concatenate")
def _concatenate(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    names = [graph.name(v) for v in values]
    return [made(graph.add("Concat", names, axis=int(equation.params["dimension"])), equation)]


@writes("stack")
def _stack(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    axis, shape = int(equation.params["axis"]), _shape(equation)
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    parts = [graph.reshaped(graph.name(v), one) for v in values]
    return [made(graph.add("Concat", parts, axis=axis), equation)]


@writes("split")
def _split(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    sizes = [int(n) for n in equation.params["sizes"]]
    axis = int(equation.params["axis"])
    if len(sizes) == 1:
        return [values[0]]
    names = graph.add_several(
        "Split", [graph.name(values[0]), graph.integers(sizes)], len(sizes), axis=axis
    )
    return [made(name, equation, k) for k, name in enumerate(names)]


@writes("unstack")  # of jax 0.12
def _unstack(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    axis, count = int(equation.params["axis"]), len(equation.outvars)
    name = graph.name(values[0])
    parts = [name]
    if count > 1:
        parts = graph.add_several("Split", [name, graph.integers([1] * count)], count, axis=axis)
    return [
        made(graph.reshaped(part, _shape(equation, k)), equation, k) for k, part in enumerate(parts)
    ]


@writes("slice")
def _slice(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    (x,), p = values, equation.params
    strides = p["strides"] or (1,) * len(x.shape)
    return [cut(graph, x, p["start_indices"], p["limit_indices"], strides, _shape(equation))]


def cut(graph: Graph, x: Any, starts: Any, limits: Any, strides: Any, shape: Dims) -> Value:
    """``x[start:limit:stride, ...]``; axes that stay whole are left alone."""
    rank = range(len(x.shape))
    axes = [
        i for i in rank
        if not (_is(starts[i], 0) and _is(strides[i], 1) and _equal(limits[i], x.shape[i]))
    ]  # fmt: skip
    if not axes:
        return x
    start, end = (graph.shape(tuple(side[i] for i in axes)) for side in (starts, limits))
    name = graph.add(
        "Slice",
        [graph.name(x), start, end, graph.integers(axes),
         graph.integers([int(strides[i]) for i in axes])],
    )  # fmt: skip
    dtype = x.dtype if isinstance(x, Tensor) else x.array.dtype
    return tensor(name, dtype, shape)


def _is(value: Any, number: int) -> bool:
    return isinstance(value, (int, np.integer)) and int(value) == number


def _equal(a: Any, b: Any) -> bool:
    ints = isinstance(a, (int, np.integer)), isinstance(b, (int, np.integer))
    return ints[0] == ints[1] and bool(a == b)


@writes("pad")
def _pad(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    x, fill = values
    config = equation.params["padding_config"]
    if not all(isinstance(n, (int, np.integer)) for axis in config for n in axis):
        raise ValueError("padding of an open size")
    low, high, inner = ([int(n) for n in part] for part in zip(*config, strict=True))
    if any(inner):
        raise ValueError("padding between elements")
    if not any(low + high):
        return [x]
    name = graph.add("Pad", [graph.name(x), graph.integers(low + high), graph.name(fill)])
    return [made(name, equation)]


@writes("rev")
def _reverse(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    axes = [int(a) for a in equation.params["dimensions"]]
    ones, first = [-1] * len(axes), np.iinfo(np.int64).min
    name = graph.add(
        "Slice",
        [graph.name(values[0]), graph.integers(ones), graph.integers([first] * len(axes)),
         graph.integers(axes), graph.integers(ones)],
    )  # fmt: skip
    return [made(name, equation)]


@writes("iota")
def _iota(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    shape, axis = _shape(equation), int(equation.params["dimension"])
    dtype = np.dtype(equation.params["dtype"])
    dims = tuple(n if i == axis else 1 for i, n in enumerate(shape))
    if static(dims):
        return [Const(np.arange(shape[axis], dtype=dtype).reshape(dims), shape)]
    zero, one = (graph.constant(np.asarray(n, np.int64)) for n in (0, 1))
    count = graph.add("Squeeze", [graph.size(shape[axis]), graph.integers([0])])
    numbers = graph.add("Range", [zero, count, one])
    name = graph.reshaped(graph.add("Cast", [numbers], to=DTYPES[dtype.name]), dims)
    return [Tensor(name, dtype, shape, dims, tuple(range(len(shape))))]


@writes("dim_as_value")
def _dim_as_value(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    aval = equation.outvars[0].aval
    size = graph.add("Squeeze", [graph.size(equation.params["dim"]), graph.integers([0])])
    return [made(graph.add("Cast", [size], to=DTYPES[np.dtype(aval.dtype).name]), equation)]


REDUCTIONS = {
    "reduce_sum": "ReduceSum", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd", "reduce_or": "ReduceMax", "reduce_and": "ReduceMin",
}  # fmt: skip


@writes(*REDUCTIONS)
def _reduce(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    (x,), op = values, REDUCTIONS[equation.primitive.name]
    axes = [int(axis) for axis in equation.params["axes"]]
    name = graph.name(x)
    logical = np.dtype(equation.outvars[0].aval.dtype) == np.bool_
    if logical:
        name = graph.add("Cast", [name], to=DTYPES["int32"])
    if op == "ReduceSum" or graph.opset >= 18:
        name = graph.add(op, [name, graph.integers(axes)], keepdims=0)
    else:
        name = graph.add(op, [name], axes=axes, keepdims=0)
    return [made(graph.add("Cast", [name], to=DTYPES["bool"]) if logical else name, equation)]


@writes("argmax", "argmin")
def _arg(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    op = {"argmax": "ArgMax", "argmin": "ArgMin"}[equation.primitive.name]
    (axis,) = equation.params["axes"]
    name = graph.add(op, [graph.name(values[0])], axis=int(axis), keepdims=0)
    dtype = np.dtype(equation.params["index_dtype"])
    return [made(graph.add("Cast", [name], to=DTYPES[dtype.name]), equation)]


@writes("cumsum")
def _cumsum(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    axis = graph.constant(np.asarray(int(equation.params["axis"]), np.int64))
    backwards = int(equation.params["reverse"])
    return [made(graph.add("CumSum", [graph.name(values[0]), axis], reverse=backwards), equation)]


def only_ones(dims: Dims) -> bool:
    """Whether all sizes are 1."""
    return all(map(is_one, dims))
