"""Gather, scatter and sort."""

from typing import Any

import numpy as np

from hepjax.export.elementwise import DTYPES
from hepjax.export.graph import Graph
from hepjax.export.interpret import writes
from hepjax.export.shapes import cut, made
from hepjax.export.values import Const, Value, same, tensor


@writes("gather")
def _gather(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    x, index = values
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    starts = [int(i) for i in numbers.start_index_map]
    batch = [int(i) for i in numbers.operand_batching_dims]
    gone = [int(i) for i in numbers.collapsed_slice_dims]
    if isinstance(index, Const) and index.array.ndim == 1 and not batch:
        return [_fixed(graph, equation, x, index.array, starts, sizes)]
    if isinstance(index, Const) and index.array.ndim == 2 and not batch:
        x, index, starts = _cut_before(graph, x, index.array, starts, gone, sizes)
    if isinstance(index, Const) and len(starts) == 1 and starts == gone and not batch:
        every = _every(graph, equation, x, index, starts[0])
        if every is not None:
            return [every]
    index_batch = [int(i) for i in numbers.start_indices_batching_dims]
    rest = [i for i in range(len(x.shape)) if i not in (*starts, *batch)]
    whole = all(same((sizes[i],), (x.shape[i],)) for i in rest)
    if sorted(starts) != sorted(gone) or not whole:
        raise ValueError("slices at places that only the data tell")
    others = [i for i in range(len(index.shape) - 1) if i not in index_batch]
    operand = _in_order(graph, x, [*batch, *starts, *rest])
    places = _in_order(graph, index, [*index_batch, *others, len(index.shape) - 1])
    places = graph.add("Cast", [places], to=DTYPES["int64"])
    name = graph.add("GatherND", [operand, places], batch_dims=len(batch))
    # It gives (batch, others, rest); the program wants ``rest`` at offset_dims.
    shape = tuple(equation.outvars[0].aval.shape)
    offset = [int(i) for i in numbers.offset_dims]
    front = [i for i in range(len(shape)) if i not in offset]
    of_index = sorted([*index_batch, *others])
    here = [front[of_index.index(i)] for i in (*index_batch, *others)] + offset
    perm = [here.index(i) for i in range(len(shape))]
    if perm != sorted(perm):
        name = graph.add("Transpose", [name], perm=perm)
    return [made(name, equation)]


def _fixed(
    graph: Graph, equation: Any, x: Any, index: np.ndarray, starts: list[int], sizes: Any
) -> Value:
    """A slice that begins at a place known beforehand."""
    begin: list[Any] = [0] * len(x.shape)
    for axis, at in zip(starts, index, strict=True):
        # Where a slice would end outside, it is moved back, as programs in JAX do.
        most = x.shape[axis] - sizes[axis]
        begin[axis] = int(at) if not isinstance(most, int) else int(np.clip(at, 0, most))
    limits = [size if b == 0 else b + size for b, size in zip(begin, sizes, strict=True)]
    shape = tuple(equation.outvars[0].aval.shape)
    part = cut(graph, x, begin, limits, (1,) * len(begin), tuple(sizes))
    if same(part.shape, shape):  # type: ignore[union-attr]
        return part
    return made(graph.reshaped(graph.name(part), shape), equation)  # type: ignore[arg-type]


def _cut_before(
    graph: Graph, x: Any, index: np.ndarray, starts: list[int], gone: list[int], sizes: Any
) -> tuple[Any, Const, list[int]]:
    """Cut axes of which every slice takes the same part; the others are left to the index."""
    cuts = {
        axis: int(index[0, k])
        for k, axis in enumerate(starts)
        if axis not in gone and len(np.unique(index[:, k])) == 1
    }
    left = [k for k, axis in enumerate(starts) if axis not in cuts]
    begin = [cuts.get(axis, 0) for axis in range(len(x.shape))]
    limits = [cuts[axis] + sizes[axis] if axis in cuts else n for axis, n in enumerate(x.shape)]
    shape = tuple(sizes[axis] if axis in cuts else n for axis, n in enumerate(x.shape))
    part = cut(graph, x, begin, limits, (1,) * len(begin), shape)
    kept = np.ascontiguousarray(index[:, left])
    return part, Const(kept, kept.shape), [starts[k] for k in left]


def _every(graph: Graph, equation: Any, x: Any, index: Const, axis: int) -> Value | None:
    """Elements of an axis at equal distances, as a slice; None if it is none."""
    shape, places = tuple(equation.outvars[0].aval.shape), index.array.reshape(-1)
    steps = np.unique(np.diff(places))
    if index.array.ndim != 2 or len(steps) != 1 or steps[0] < 1 or len(shape) != len(x.shape):
        return None
    offset = [int(i) for i in equation.params["dimension_numbers"].offset_dims]
    if offset != [i for i in range(len(shape)) if i != axis]:
        return None
    starts, strides, limits = [0] * len(shape), [1] * len(shape), list(x.shape)
    starts[axis], strides[axis], limits[axis] = int(places[0]), int(steps[0]), int(places[-1]) + 1
    return cut(graph, x, starts, limits, strides, shape)


def _in_order(graph: Graph, x: Any, order: list[int]) -> str:
    """The array as the program sees it, with its axes in another order."""
    full = x if isinstance(x, Const) else tensor(graph.name(x), x.dtype, x.shape)
    if isinstance(full, Const) and not full.whole:
        full = tensor(graph.name(full), full.array.dtype, full.shape)
    return graph.stored(full, tuple(order))


@writes("dynamic_slice")
def _dynamic_slice(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    x, *starts = values
    sizes = equation.params["slice_sizes"]
    if not all(isinstance(s, Const) for s in starts):
        raise ValueError("slices at places that only the data tell")
    begin = [
        int(np.clip(s.array, 0, n - size)) if isinstance(n - size, int) else int(s.array)
        for s, n, size in zip(starts, x.shape, sizes, strict=True)
    ]
    limits = [b + size if b else size for b, size in zip(begin, sizes, strict=True)]
    return [cut(graph, x, begin, limits, (1,) * len(begin), tuple(sizes))]


@writes("scatter-add", "scatter_add")
def _scatter_add(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    """Sums of rows at places along the first axes, as ScatterND."""
    x, index, updates = values
    numbers = equation.params["dimension_numbers"]
    batch = [int(i) for i in numbers.operand_batching_dims]
    places = [int(i) for i in numbers.scatter_dims_to_operand_dims]
    gone = [int(i) for i in numbers.inserted_window_dims]
    leading = list(range(len(batch) + len(places)))
    window = [int(i) for i in numbers.update_window_dims]
    expected = list(range(len(updates.shape) - len(window), len(updates.shape)))
    if sorted(places) != sorted(gone) or [*batch, *places] != leading or window != expected:
        raise ValueError("a scatter in this order of axes")
    at = graph.add("Cast", [graph.name(index)], to=DTYPES["int64"])
    if batch:
        at = _with_events(graph, at, index.shape, len(batch))
    name = graph.add("ScatterND", [graph.name(x), at, graph.name(updates)], reduction="add")
    return [made(name, equation)]


def _with_events(graph: Graph, at: str, shape: Any, batch: int) -> str:
    """Places (n, ..., k) with the number of the event before them, (n, ..., 1 + k)."""
    if batch != 1:
        raise ValueError("a scatter with two axes of events")
    zero, one = (graph.constant(np.asarray(n, np.int64)) for n in (0, 1))
    count = graph.add("Squeeze", [graph.size(shape[0]), graph.integers([0])])
    numbers = graph.reshaped(graph.add("Range", [zero, count, one]),
                             (shape[0], *(1,) * (len(shape) - 1)))  # fmt: skip
    numbers = graph.expanded(numbers, (*shape[:-1], 1))
    return graph.add("Concat", [numbers, at], axis=len(shape) - 1)


@writes("sort")
def _sort(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    """By the first array, smallest first. TopK keeps the order of equal elements, as JAX does."""
    if equation.params["num_keys"] != 1:
        raise ValueError("a sort by several arrays")
    axis = int(equation.params["dimension"])
    key = graph.name(values[0])
    count = graph.size(values[0].shape[axis])
    ordered, where = graph.add_several("TopK", [key, count], 2, axis=axis, largest=0, sorted=1)
    others = [graph.add("GatherElements", [graph.name(v), where], axis=axis) for v in values[1:]]
    return [made(name, equation, k) for k, name in enumerate([ordered, *others])]


@writes("top_k")
def _top_k(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    count, axis = graph.size(equation.params["k"]), len(values[0].shape) - 1
    axis = int(equation.params.get("axis", axis))
    largest, where = graph.add_several(
        "TopK", [graph.name(values[0]), count], 2, axis=axis, largest=1, sorted=1
    )
    return [
        made(largest, equation), made(graph.add("Cast", [where], to=DTYPES["int32"]), equation, 1),
    ]  # fmt: skip


@writes("scatter")
def _scatter(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    """Values set at constant places along one axis: both beside each other, and gathered."""
    into, places, new = values
    d = equation.params["dimension_numbers"]
    axes = tuple(d.scatter_dims_to_operand_dims)
    if not isinstance(places, Const) or len(axes) != 1 or tuple(d.inserted_window_dims) != axes:
        raise ValueError("values set at places that the input decides")
    axis, size = int(axes[0]), into.shape[int(axes[0])]
    at = np.broadcast_to(places.array, places.shape).reshape(-1)
    window = [int(i) for i in d.update_window_dims]
    others = [i for i in range(len(new.shape)) if i not in window]
    if len(others) != 1 or not isinstance(size, int) or not ((at >= 0) & (at < size)).all():
        raise ValueError("values set at places other than along one axis")
    order = (*window[:axis], *others, *window[axis:])
    source = np.arange(size)
    source[at] = size + np.arange(len(at))
    pair = [graph.name(into), _in_order(graph, new, list(order))]
    both = graph.add("Concat", pair, axis=axis)
    return [made(graph.add("Gather", [both, graph.integers(source.tolist())], axis=axis), equation)]
