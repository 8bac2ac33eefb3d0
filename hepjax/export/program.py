"""From a trained model and a host to the graph: traced with open sizes, walked, tidied."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np

from hepjax.engine.config import MeshConfig
from hepjax.engine.workload import Field, Workload
from hepjax.export import elementwise, indexing, products, shapes  # noqa: F401  (they register)
from hepjax.export.graph import Graph, Node
from hepjax.export.hosts import Host
from hepjax.export.integers import trained_in_int8
from hepjax.export.interpret import walk
from hepjax.export.rewrite import tidy
from hepjax.export.sizes import Sizes, open_axes, symbols
from hepjax.export.values import Keys, Tensor, Value, constant, same, tensor
from hepjax.ops.native import library_only


@dataclass(frozen=True)
class Written:
    """A finished graph and the names of its outputs, in order."""

    graph: Graph
    outputs: dict[str, Tensor]


def servable(cfg: Any) -> Any:
    """The configuration with products in float32 on one device, as an exported model computes."""
    return replace(cfg, mesh=MeshConfig(), train=replace(cfg.train, precision="float32"))


def write(workload: Workload[Any, Any], cfg: Any, state: Any, host: Host, opset: int) -> Written:
    """The ONNX graph of a trained model as a host wants it.

    Args:
      cfg: of the run.
      state: arrays of the trained state.
    Raises:
      InputError: an operation that ONNX does not have.
    """
    cfg = servable(cfg)
    graph = Graph(opset, host.noise, trained_in_int8(cfg))
    model = workload.inputs(cfg)
    sizes = symbols(model, workload.name, host.batch)
    given = {f.name: _input(graph, f, sizes) for f in host.inputs}

    asked, graph.given = _applied(graph, host.before, given)
    arrays = {f.name: asked[f.name] for f in model.fields}
    keys = jax.ShapeDtypeStruct((sizes.batch,), jax.random.key(0).dtype)
    with library_only():
        program, out = jax.make_jaxpr(partial(workload.infer, cfg), return_shape=True)(
            _bare(state), _avals(arrays), keys
        )
        parameters = [constant(np.asarray(a)) for a in jax.tree.leaves(state)]
        values = walk(graph, program, [*parameters, *_leaves(arrays), Keys()])
    answers = jax.tree.unflatten(jax.tree.structure(out), values)
    said = _applied(graph, lambda pair: host.after(*pair), (answers, given))
    outputs = {name: _output(graph, name, said[name], sizes) for name in host.units}
    tidy(graph, [t.name for t in outputs.values()])
    return Written(graph, outputs)


def _bare(state: Any) -> Any:
    """Shapes and types of arrays, without the devices on which those of a run lie: programs of
    these would move numbers between devices."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), state)


def _input(graph: Graph, field: Field, sizes: Sizes) -> Tensor:
    """An input of the graph; open axes are filled up with zeros to what the program wants."""
    names = iter(open_axes(field))
    shape = (sizes.batch, *(next(names) if n is None else n for n in field.shape))
    told = graph.input(field.name, field.dtype, shape)
    if not isinstance(sizes.batch, int) and str(sizes.batch) not in graph.sizes:
        graph.sizes[str(sizes.batch)] = _length(graph, told.name, 0)
    for axis, name in enumerate(shape):
        if isinstance(name, str) and name not in graph.told:
            _steps(graph, told.name, axis, name, sizes)
    if not sizes.filled or None not in field.shape:
        return replace(told, shape=sizes.shape(field), dims=sizes.shape(field))
    before = [0] * len(shape)
    after = [graph.told[n][1] if isinstance(n, str) else graph.integers([0]) for n in shape]
    pads = graph.add("Concat", [graph.integers(before), *after], axis=0)
    zero = graph.constant(np.zeros((), field.dtype))
    padded = graph.add("Pad", [told.name, pads, zero])
    return tensor(padded, field.dtype, sizes.shape(field))


def _length(graph: Graph, name: str, axis: int) -> str:
    """The length (1,) int64 of an axis."""
    return graph.add("Gather", [graph.add("Shape", [name]), graph.integers([axis])], axis=0)


def _steps(graph: Graph, tensor: str, axis: int, name: str, sizes: Sizes) -> None:
    """Note the length of an open axis, how many elements are added, and its number of steps."""
    length, added = _length(graph, tensor, axis), ""
    number, step = length, graph.integers([sizes.step])
    if sizes.filled:
        number = graph.add("Add", [length, graph.integers([sizes.step - 1])])
    if sizes.step > 1:
        number = graph.add("Div", [number, step])
    if sizes.filled:
        added = graph.add("Sub", [graph.add("Mul", [number, step]), length])
    graph.told[name] = length, added
    graph.sizes[str(sizes.steps[name])] = number


def _output(graph: Graph, name: str, value: Any, sizes: Sizes) -> Tensor:
    """An output under its name, without the elements that were added."""
    made, shape = graph.name(value), list(value.shape)
    dtype = value.dtype if isinstance(value, Tensor) else value.array.dtype
    for axis, size in enumerate(value.shape):
        open_axis = next((n for n in sizes.steps if same((size,), (sizes.length(n),))), None)
        if open_axis is None:
            continue
        shape[axis] = open_axis
        if sizes.filled:
            cut = [graph.integers([0]), graph.told[open_axis][0], graph.integers([axis])]
            made = graph.add("Slice", [made, *cut])
    graph.nodes.append(Node("Identity", [made], [name], {}))
    return tensor(name, dtype, tuple(shape))


def _applied(graph: Graph, function: Callable[..., Any], argument: Any) -> Any:
    """The values of a function of arrays, in the structure that it returns."""
    program, out = jax.make_jaxpr(function, return_shape=True)(_avals(argument))
    return jax.tree.unflatten(jax.tree.structure(out), walk(graph, program, _leaves(argument)))


def _leaves(tree: Any) -> list[Value]:
    return jax.tree.leaves(tree)  # values are no containers for JAX


def _avals(arrays: Any) -> Any:
    def aval(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype if isinstance(x, Tensor) else x.array.dtype)

    return jax.tree.map(aval, arrays)
