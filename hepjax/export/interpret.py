"""Walks through a traced program (jaxpr) and writes its ONNX graph.

Equations whose inputs are constants are computed on the spot, so that what depends on parameters
alone becomes one constant. Calls are walked into. Of programs that differ by platform the one for
no platform in particular is taken.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from hepjax import InputError
from hepjax.export.graph import Graph
from hepjax.export.values import Const, Dims, Keys, Tensor, Value, constant, static

Write = Callable[[Graph, Any, list[Any]], list[Value]]
"""(graph, equation, values of its inputs) -> values of its outputs."""

WRITERS: dict[str, Write] = {}
"""By primitive; filled by the modules ``elementwise``, ``shapes``, ``products``, ``indexing``."""
NAMED: dict[str, Callable[[Graph, Any, list[Any]], list[Value] | None]] = {}
"""By name of a jitted function that ONNX knows as one operation; None: walk into it."""
BROADCASTS: set[str] = set()
"""Primitives that compute each element on its own."""
CALLS = ("jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint",
         "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")  # fmt: skip
MOST_ROUNDS = 64
"""Of a loop; hosts get no control flow, so that they can fold and optimise."""
OF_KEYS = ("random_wrap", "random_unwrap", "random_split", "random_fold_in", "slice", "squeeze",
           "reshape", "broadcast_in_dim", "transpose", "gather", "dynamic_slice", "concatenate",
           "split")  # fmt: skip
"""What programs do with keys before they draw."""


def writes(*primitives: str) -> Callable[[Write], Write]:
    """Register the writer of primitives."""

    def register(write: Write) -> Write:
        WRITERS.update(dict.fromkeys(primitives, write))
        return write

    return register


def walk(graph: Graph, program: ClosedJaxpr, arguments: Sequence[Value]) -> list[Value]:
    """Write a program; return the values of its outputs.

    Raises:
      InputError: an operation that has no counterpart in ONNX, named with its layer.
    """
    return _walk(graph, program.jaxpr, [constant(c) for c in program.consts], arguments)


def _walk(
    graph: Graph, program: Jaxpr, constants: Sequence[Value], arguments: Sequence[Value]
) -> list[Value]:
    known: dict[Any, Value] = dict(zip(program.constvars, constants, strict=True))
    known |= dict(zip(program.invars, arguments, strict=True))

    def value(atom: Any) -> Value:
        if isinstance(atom, Literal):
            return constant(np.asarray(atom.val, atom.aval.dtype))  # type: ignore[attr-defined]
        return known[atom]

    for equation in program.eqns:
        made = _equation(graph, equation, [value(atom) for atom in equation.invars])
        known |= dict(zip(equation.outvars, made, strict=True))
    return [value(atom) for atom in program.outvars]


def _equation(graph: Graph, equation: Any, values: list[Value]) -> list[Value]:
    name = equation.primitive.name
    if name == "platform_index":
        platforms = equation.params["platforms"]
        return [constant(np.int32(platforms.index(None)))]
    if name == "cond" and isinstance(values[0], Const):
        return walk(graph, equation.params["branches"][int(values[0].array)], values[1:])
    if name == "scan":
        return _unrolled(graph, equation, values)
    if name in CALLS:
        return _call(graph, equation, values)
    if any(isinstance(v, Keys) for v in values):
        if name in OF_KEYS:
            return [Keys() for _ in equation.outvars]
        raise _unknown(equation, "random numbers other than normal ones")
    if all(isinstance(v, Const) for v in values) and (folded := _computed(equation, values)):
        return folded
    if name not in WRITERS:
        raise _unknown(equation, f"the operation '{name}'")
    try:
        return WRITERS[name](graph, equation, values)
    except ValueError as error:
        raise _unknown(equation, f"{name}: {error}") from None


def _call(graph: Graph, equation: Any, values: list[Value]) -> list[Value]:
    label = equation.params.get("name")
    if any(isinstance(v, Keys) for v in values) and label == "_normal":
        return [graph.normals(tuple(equation.outvars[0].aval.shape))]
    drawn = all(isinstance(v, Const) for v in values)
    if label in NAMED and not drawn:
        made = NAMED[label](graph, equation, values)
        if made is not None:
            return made
    program, constants = called(equation)
    return _walk(graph, program, [constant(c) for c in constants], values)


def _unrolled(graph: Graph, equation: Any, values: list[Any]) -> list[Value]:
    """A loop of few rounds over what it carries and over constants, such as the weights of the
    blocks of a flow, round by round."""
    p = equation.params
    first, count = _constants_and_carried(p)
    second = first + count
    constants, carried, over = values[:first], values[first:second], values[second:]
    plain = count == len(equation.outvars) and all(isinstance(v, Const) for v in over)
    if p["length"] > MOST_ROUNDS or not plain:
        raise _unknown(equation, f"a loop over arrays, or of more than {MOST_ROUNDS} rounds")
    rounds = range(p["length"])
    for k in reversed(rounds) if p["reverse"] else rounds:
        own = [constant(np.broadcast_to(v.array, v.shape)[k]) for v in over]
        carried = walk(graph, p["jaxpr"], [*constants, *carried, *own])
    return carried


def _constants_and_carried(parameters: dict[str, Any]) -> tuple[int, int]:
    """Numbers of arrays that a loop takes as constants, and that it carries."""
    if "num_consts" in parameters:
        return parameters["num_consts"], parameters["num_carry"]
    constants, carried, _ = parameters["ft_in"].unpack()  # jax 0.12
    return len(list(constants.vals)), len(list(carried.vals))


def called(equation: Any) -> tuple[Jaxpr, Sequence[Any]]:
    """The program that an equation of ``CALLS`` calls, and its constants."""
    parameters = (equation.params.get(k) for k in ("jaxpr", "call_jaxpr", "fun_jaxpr"))
    inner = next(p for p in parameters if p is not None)
    return (inner.jaxpr, inner.consts) if isinstance(inner, ClosedJaxpr) else (inner, ())


def _computed(equation: Any, values: list[Any]) -> list[Value] | None:
    """The outputs of an equation of constants, or None if a size is open."""
    shapes: list[Dims] = [tuple(v.aval.shape) for v in equation.outvars]
    if equation.primitive.name in BROADCASTS:
        arrays = [v.array for v in values]
    elif all(static(v.shape) for v in values) and all(map(static, shapes)):
        arrays = [np.broadcast_to(v.array, v.shape) for v in values]
        if not all(_numbers(p) for p in equation.params.values()):
            return None
    else:
        return None
    rank = max((a.ndim for a in arrays), default=0)
    if equation.primitive.name in BROADCASTS and rank:
        common = np.broadcast_shapes(*(a.shape for a in arrays))
        arrays = [np.broadcast_to(a, common) if a.ndim else a for a in arrays]
        if equation.primitive.name != "select_n":
            arrays = [np.broadcast_to(a, common) for a in arrays]
    with jax.default_device(jax.devices("cpu")[0]):
        made = equation.primitive.bind(
            *(np.ascontiguousarray(a) if a.ndim else a for a in arrays), **equation.params
        )
    several = made if equation.primitive.multiple_results else [made]
    return [Const(np.asarray(a), s) for a, s in zip(several, shapes, strict=True)]


def _numbers(parameter: Any) -> bool:
    """Whether a parameter of an equation holds no symbolic size."""
    if isinstance(parameter, (tuple, list)):
        return all(map(_numbers, parameter))
    return type(parameter).__name__ != "_DimExpr"


def _unknown(equation: Any, what: str) -> InputError:
    layer = str(equation.source_info.name_stack) or "the model"
    return InputError(
        f"{layer}: expected operations that ONNX has, found {what}; --format stablehlo has them"
    )


def require_tensor(value: Value) -> Tensor:
    """A value that is a tensor.

    Raises:
      ValueError: it is none.
    """
    if not isinstance(value, Tensor):
        raise ValueError("a constant where a tensor is expected")
    return value
