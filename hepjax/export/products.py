"""Matrix products, convolutions and pooling."""

import math
from typing import Any

import numpy as np

from hepjax.export import integers
from hepjax.export.graph import Graph
from hepjax.export.interpret import require_tensor, writes
from hepjax.export.shapes import made
from hepjax.export.values import Const, Dims, Tensor, Value, is_one, tensor


@writes("dot_general")
def _dot(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    """(batch, rows, summed) times (batch, summed, columns), as MatMul."""
    (over, over_b), (batch, batch_b) = equation.params["dimension_numbers"]
    dtype = np.dtype(equation.outvars[0].aval.dtype)
    if dtype != np.float32:
        raise ValueError(f"products of type {dtype.name}")
    a, b = values
    rows = [i for i in range(len(a.shape)) if i not in (*over, *batch)]
    columns = [i for i in range(len(b.shape)) if i not in (*over_b, *batch_b)]
    shared = tuple(a.shape[i] for i in batch)
    plain = not batch and len(over) == 1  # MatMul takes any number of rows of one matrix
    right = _matrix(graph, b, [*batch_b, *over_b, *columns], shared, over_b, columns)
    kernel = graph.constants.get(right)
    left_of = a if kernel is None else integers.operand(graph, a, kernel)
    left = _matrix(graph, left_of, [*batch, *rows, *over], shared, rows, over, flat=not plain)
    if kernel is None:
        name = graph.add("MatMul", [left, right])
    else:
        name = integers.product(graph, "MatMul", a, left, kernel)
    sizes = [a.shape[i] for i in rows]
    inner = (*shared, *sizes) if plain else (*shared, _size(sizes))
    return [_shaped(graph, name, (*inner, _size([b.shape[i] for i in columns])), equation)]


def _matrix(
    graph: Graph, x: Any, order: list[int], batch: Dims, first: Any, second: Any,
    flat: bool = True,
) -> str:  # fmt: skip
    """The axes of ``x`` in order, those of rows and of columns each as one."""
    shape, number = x.shape, int  # axes are numpy integers in part
    order = [number(i) for i in order]
    if isinstance(x, Const):
        whole = np.broadcast_to(x.array, x.shape).transpose(order)
        return graph.constant(
            whole.reshape(*batch, *(math.prod(shape[i] for i in part) for part in (first, second)))
        )
    if not all(a is b or _same(a, b) for a, b in zip(x.dims, x.shape, strict=True)):
        x = tensor(graph.name(x), x.dtype, x.shape)
    name = graph.stored(x, tuple(order))
    if not flat or (len(first) == 1 and len(second) == 1):
        return name
    return graph.reshaped(name, (*batch, _size([shape[i] for i in first]),
                                 _size([shape[i] for i in second])))  # fmt: skip


def _same(a: Any, b: Any) -> bool:
    return isinstance(a, int) == isinstance(b, int) and bool(a == b)


def _size(sizes: list[Any]) -> Any:
    product: Any = 1
    for size in sizes:
        product = product * size
    return product


def _shaped(graph: Graph, name: str, shape: Dims, equation: Any) -> Value:
    wanted = tuple(equation.outvars[0].aval.shape)
    same = len(shape) == len(wanted) and all(map(_same, shape, wanted))
    return made(name if same else graph.reshaped(name, wanted), equation)


@writes("conv_general_dilated")
def _convolution(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    x, w = values
    p = equation.params
    spec = p["dimension_numbers"]
    if not isinstance(w, Const) or p["batch_group_count"] != 1:
        raise ValueError("a convolution other than of fixed kernels")
    if np.dtype(equation.outvars[0].aval.dtype) != np.float32:
        raise ValueError("a convolution of other numbers than float32")
    kernel = np.broadcast_to(w.array, w.shape).transpose(spec.rhs_spec)
    if set(p["lhs_dilation"]) != {1}:
        return [_transposed(graph, equation, require_tensor(x), kernel)]
    low, high = (list(map(int, side)) for side in zip(*p["padding"], strict=True))
    if min(low + high) < 0:
        raise ValueError("a convolution that cuts its input")
    given = require_tensor(x)
    x = integers.operand(graph, given, kernel)
    sizes = [x.shape[i] for i in spec.lhs_spec[2:]]
    # An axis of one cell and one tap is none: hosts are faster in two dimensions than in three.
    kept = [
        i for i, n in enumerate(sizes)
        if not (is_one(n) and kernel.shape[2 + i] == 1 and low[i] == high[i] == 0)
    ] or [0]  # fmt: skip
    whole = tensor(graph.name(x), x.dtype, x.shape) if not _filled(x) else x
    name = graph.stored(whole, tuple(spec.lhs_spec))
    out = tuple(equation.outvars[0].aval.shape)
    if len(kept) < len(sizes):
        kernel = kernel.reshape(*kernel.shape[:2], *(kernel.shape[2 + i] for i in kept))
        n, c = (x.shape[i] for i in spec.lhs_spec[:2])
        name = graph.reshaped(name, (n, c, *(sizes[i] for i in kept)))
    name = integers.product(
        graph, "Conv", given, name, np.ascontiguousarray(kernel),
        kernel_shape=list(kernel.shape[2:]), group=int(p["feature_group_count"]),
        pads=[low[i] for i in kept] + [high[i] for i in kept],
        strides=[int(p["window_strides"][i]) for i in kept],
        dilations=[int(p["rhs_dilation"][i]) for i in kept],
    )  # fmt: skip
    if len(kept) < len(sizes):
        name = graph.reshaped(name, tuple(out[i] for i in spec.out_spec))
    return [Tensor(name, np.dtype(np.float32), out, out, tuple(spec.out_spec))]


def _transposed(graph: Graph, equation: Any, x: Tensor, kernel: np.ndarray) -> Value:
    """A convolution of an input with zeros between its cells: ConvTranspose of the reflected
    kernel (out, in, ...), whose pads are what a full overlap has beyond those of the program."""
    p, spec = equation.params, equation.params["dimension_numbers"]
    if {*p["window_strides"], *p["rhs_dilation"], p["feature_group_count"]} != {1}:
        raise ValueError("a transposed convolution with strides, gaps or groups")
    taps = kernel.shape[2:]
    pads = [
        n - 1 - int(side) for k in (0, 1) for n, side in
        zip(taps, (pair[k] for pair in p["padding"]), strict=True)
    ]  # fmt: skip
    if min(pads) < 0:
        raise ValueError("a transposed convolution padded by more than its kernel")
    whole = x if _filled(x) else tensor(graph.name(x), x.dtype, x.shape)
    reflected = np.flip(kernel, tuple(range(2, kernel.ndim))).swapaxes(0, 1)
    name = graph.add(
        "ConvTranspose",
        [graph.stored(whole, tuple(spec.lhs_spec)),
         graph.constant(np.ascontiguousarray(reflected), "kernel")],
        kernel_shape=list(taps), pads=pads, strides=[int(n) for n in p["lhs_dilation"]],
    )  # fmt: skip
    out = tuple(equation.outvars[0].aval.shape)
    return Tensor(name, np.dtype(np.float32), out, out, tuple(spec.out_spec))


def _filled(x: Tensor) -> bool:
    return all(map(_same, x.dims, x.shape))


@writes("reduce_window_max", "reduce_window_sum")
def _pool(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    x, p = require_tensor(values[0]), equation.params
    window, strides = p["window_dimensions"], p["window_strides"]
    if {*p["base_dilation"], *p["window_dilation"]} != {1}:
        raise ValueError("a window with gaps")
    rank = len(window)
    spatial = [i for i in range(rank) if (window[i], strides[i]) != (1, 1)]
    others = [i for i in range(rank) if i not in spatial]
    spatial = sorted(others[2:] + spatial)  # all but events and channels
    events = [i for i in range(rank) if i not in spatial]
    if len(events) != 2:
        raise ValueError("a window over events or channels")
    order = (*events, *spatial)
    whole = x if _filled(x) else tensor(graph.name(x), x.dtype, x.shape)
    name = graph.stored(whole, order)
    low, high = ([int(p["padding"][i][side]) for i in spatial] for side in (0, 1))
    attributes = {
        "kernel_shape": [int(window[i]) for i in spatial], "pads": low + high,
        "strides": [int(strides[i]) for i in spatial],
    }  # fmt: skip
    if equation.primitive.name == "reduce_window_max":
        name = graph.add("MaxPool", [name], **attributes)
    else:
        mean = graph.add("AveragePool", [name], count_include_pad=1, **attributes)
        cells = math.prod(attributes["kernel_shape"])
        name = graph.add("Mul", [mean, graph.constant(np.asarray(cells, np.float32))])
    shape = tuple(equation.outvars[0].aval.shape)
    return [Tensor(name, np.dtype(np.float32), shape, shape, order)]
