"""From a trained model and a host to the graph: traced with open sizes, walked, tidied."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from hepjax import InputError
from hepjax.engine.config import MeshConfig
from hepjax.engine.workload import Field, Spec, Workload
from hepjax.export import elementwise, indexing, products, shapes  # noqa: F401  (they register)
from hepjax.export.graph import Graph, Node
from hepjax.export.hosts import Host
from hepjax.export.integers import trained_in_int8
from hepjax.export.interpret import walk
from hepjax.export.rewrite import tidy
from hepjax.export.values import Keys, Tensor, Value, constant, same, tensor
from hepjax.ops.conv_platform import library_only

WHOLE = "whole"
"""Fact of a workload's inputs: open axes are filled up to multiples of this size."""
BATCH, ELEMENTS, NUMBER = "batch", "elements", "number"


@dataclass(frozen=True)
class Written:
    """A finished graph and the names of its outputs, in order."""

    graph: Graph
    outputs: dict[str, Tensor]


def servable(cfg: Any) -> Any:
    """The configuration with products in float32 on one device, as an exported model computes."""
    return replace(cfg, mesh=MeshConfig(), train=replace(cfg.train, precision="float32"))


def whole(model: Spec, name: str) -> int:
    """The size of which open axes are multiples; 1 without any.

    Raises:
      InputError: a model with open axes that nobody can fill up, such as graphs and boxes.
    """
    if WHOLE in dict(model.facts):
        return int(model.fact(WHOLE))
    if any(None in field.shape for field in model.fields):
        raise InputError(
            f"{name}: expected a model whose events can be padded, found one of graphs or boxes, "
            "which is not exported; use hepjax predict"
        )
    return 1


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
    batch, number = jax.export.symbolic_shape(f"{BATCH}, {NUMBER}")
    batch = batch if host.batch is None else host.batch
    model = workload.inputs(cfg)
    multiple = whole(model, workload.name)
    sizes = _Sizes(batch, number, multiple)
    given = {f.name: _input(graph, f, sizes) for f in host.inputs}

    asked, graph.given = _applied(graph, host.before, given)
    arrays = {f.name: asked[f.name] for f in model.fields}
    keys = jax.ShapeDtypeStruct((batch,), jax.random.key(0).dtype)
    with library_only():
        program, out = jax.make_jaxpr(functools.partial(workload.infer, cfg), return_shape=True)(
            state, _avals(arrays), keys
        )
        parameters = [constant(np.asarray(a)) for a in jax.tree.leaves(state)]
        values = walk(graph, program, [*parameters, *_leaves(arrays), Keys()])
    answers = jax.tree.unflatten(jax.tree.structure(out), values)
    said = _applied(graph, lambda pair: host.after(*pair), (answers, given))
    outputs = {name: _output(graph, name, said[name], sizes) for name in host.units}
    tidy(graph, [t.name for t in outputs.values()])
    return Written(graph, outputs)


@dataclass(frozen=True)
class _Sizes:
    """The open sizes: events, and elements as ``multiple`` times a number."""

    batch: Any
    number: Any
    multiple: int

    @property
    def elements(self) -> Any:
        return self.multiple * self.number


def _input(graph: Graph, field: Field, sizes: _Sizes) -> Tensor:
    """An input of the graph; open axes are filled up with zeros to what the program wants."""
    told = graph.input(
        field.name, field.dtype, (sizes.batch, *(ELEMENTS if n is None else n for n in field.shape))
    )
    if not graph.sizes and not isinstance(sizes.batch, int):
        graph.sizes.append((sizes.batch, _length(graph, told.name, 0)))
    if None not in field.shape:
        return told
    axis = 1 + field.shape.index(None)
    if not graph.told:
        _elements(graph, told.name, axis, sizes)
    shape = (sizes.batch, *(sizes.elements if n is None else n for n in field.shape))
    after = [0] * (len(shape) - axis - 1)
    parts = [graph.integers([0] * (len(shape) + axis)), graph.added]
    parts += [graph.integers(after)] if after else []
    pads = graph.add("Concat", parts, axis=0)
    zero = graph.constant(np.zeros((), field.dtype))
    return tensor(graph.add("Pad", [told.name, pads, zero]), field.dtype, shape)


def _length(graph: Graph, name: str, axis: int) -> str:
    """The length (1,) int64 of an axis."""
    return graph.add("Gather", [graph.add("Shape", [name]), graph.integers([axis])], axis=0)


def _elements(graph: Graph, name: str, axis: int, sizes: _Sizes) -> None:
    """Note the elements of an event, how many are added, and the number that makes them whole."""
    multiple = graph.integers([sizes.multiple])
    graph.told = _length(graph, name, axis)
    up = graph.add("Add", [graph.told, graph.integers([sizes.multiple - 1])])
    number = graph.add("Div", [up, multiple])
    graph.added = graph.add("Sub", [graph.add("Mul", [number, multiple]), graph.told])
    if graph.sizes:
        both = graph.add("Mul", [graph.sizes[0][1], number])
        graph.sizes.insert(0, (sizes.batch * sizes.number, both))
    graph.sizes.append((sizes.number, number))


def _output(graph: Graph, name: str, value: Any, sizes: _Sizes) -> Tensor:
    """An output under its name, without the elements that were added."""
    made, shape = graph.name(value), value.shape
    dtype = value.dtype if isinstance(value, Tensor) else value.array.dtype
    open_axes = [i for i, n in enumerate(shape) if same((n,), (sizes.elements,))]
    if open_axes:
        axis = open_axes[0]
        made = graph.add("Slice", [made, graph.integers([0]), graph.told, graph.integers([axis])])
        shape = (*shape[:axis], ELEMENTS, *shape[axis + 1 :])
    graph.nodes.append(Node("Identity", [made], [name], {}))
    return tensor(name, dtype, shape)


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
