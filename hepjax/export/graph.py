"""The ONNX graph in the making: nodes, constants, sizes, and arrays brought to where nodes want
them."""

import ast
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from hepjax.export.values import Const, Dim, Dims, Tensor, is_one, same, static, tensor

OLDEST, NEWEST = 16, 23
"""Opsets that can be written."""
NORMALS = "noise"
OF_SIZES: dict[type, str] = {ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul"}
CALLED_OF_SIZES = {"floordiv": "Div", "mod": "Mod", "max": "Max", "min": "Min"}
"""Operations of sizes, none of which is negative."""


class Node:
    """One operation: a mutable record, since small rewrites follow."""

    def __init__(self, op: str, inputs: list[str], outputs: list[str], attributes: dict[str, Any]):
        self.op, self.inputs, self.outputs, self.attributes = op, inputs, outputs, attributes


class Graph:
    """Collects nodes and constants. Names are numbered in the order of their making."""

    def __init__(self, opset: int, noise: str = "outside", eight_bits: bool = False) -> None:
        """``noise``: "outside" or "inside", see ``normals``. ``eight_bits``: kernels of whole
        numbers are those of layers in 8 bits, see ``integers.py``."""
        self.opset, self.noise, self.eight_bits = opset, noise, eight_bits
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: list[Tensor] = []
        self.given: list[Tensor] = []
        """Normal numbers that the host hands over."""
        self.drawn: list[Tensor] = []
        """Normal numbers that the program asked for."""
        self.sizes: dict[str, str] = {}
        """Tensors (1,) int64 that hold the symbolic sizes, by symbol."""
        self.told: dict[str, tuple[str, str]] = {}
        """Tensors (1,) int64 of each open axis: its length as told, and how many elements were
        added to it; empty text if none."""
        self._numbers: dict[str, int] = {}
        self._known: dict[tuple[Any, ...], str] = {}

    def fresh(self, kind: str) -> str:
        """A new name."""
        self._numbers[kind] = self._numbers.get(kind, -1) + 1
        return f"{kind}_{self._numbers[kind]}"

    def constant(self, array: np.ndarray, kind: str = "constant") -> str:
        """The name of a constant; equal ones share it."""
        array = np.ascontiguousarray(array) if array.ndim else np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self.fresh(kind)
            self.constants[self._known[key]] = array
        return self._known[key]

    def integers(self, values: Sequence[int]) -> str:
        """The name of a constant int64 (n,)."""
        return self.constant(np.asarray(values, np.int64).reshape(-1))

    def add(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with one output; return its name."""
        return self.add_several(op, inputs, 1, **attributes)[0]

    def add_several(self, op: str, inputs: Sequence[str], n: int, **attributes: Any) -> list[str]:
        """Add a node with ``n`` outputs; return their names."""
        outputs = [self.fresh(op) for _ in range(n)]
        self.nodes.append(Node(op, list(inputs), outputs, attributes))
        return outputs

    def input(self, name: str, dtype: Any, shape: Dims) -> Tensor:
        """A new input of the graph."""
        made = tensor(name, dtype, shape)
        self.inputs.append(made)
        return made

    # Sizes.

    def size(self, dim: Dim) -> str:
        """A tensor (1,) int64 that holds a size.

        Raises:
          ValueError: a symbolic size that is not made of the known ones.
        """
        if isinstance(dim, (int, np.integer)):
            return self.integers([int(dim)])
        # As a text it is what jax.export.symbolic_shape reads.
        return self._computed(ast.parse(str(dim).replace("^", "**"), mode="eval").body)

    def _computed(self, term: ast.expr) -> str:
        """The value of an expression of sizes."""
        match term:
            case ast.Constant(int(value)):
                return self.integers([value])
            case ast.Name(name) if name in self.sizes:
                return self.sizes[name]
            case ast.UnaryOp(ast.USub(), inner):
                return self._once("Neg", (self._computed(inner),))
            case ast.BinOp(left, ast.Pow(), ast.Constant(int(power))):
                factors = (self._computed(left),) * power
                return functools.reduce(lambda a, b: self._once("Mul", (a, b)), factors)
            case ast.BinOp(left, operator, right) if type(operator) in OF_SIZES:
                pair = self._computed(left), self._computed(right)
                return self._once(OF_SIZES[type(operator)], pair)
            case ast.Call(ast.Name(name), [left, right]) if name in CALLED_OF_SIZES:
                pair = self._computed(left), self._computed(right)
                return self._once(CALLED_OF_SIZES[name], pair)
        raise ValueError(f"a size {ast.unparse(term)} that is not made of those of the inputs")

    def shape(self, dims: Dims) -> str:
        """A tensor (rank,) int64 that holds a shape."""
        if static(dims):
            return self.integers([int(n) for n in dims])
        return self._once("Concat", tuple(self.size(d) for d in dims), axis=0)

    def _once(self, op: str, inputs: tuple[str, ...], **attributes: Any) -> str:
        """A node that is there once for the same inputs."""
        key = (op, inputs, *attributes.items())
        if key not in self._known:
            self._known[key] = self.add(op, inputs, **attributes)
        return self._known[key]

    # Arrays brought to where a node wants them.

    def name(self, value: Const | Tensor) -> str:
        """The array as the program sees it."""
        if isinstance(value, Const):
            if static(value.shape):
                return self.constant(np.broadcast_to(value.array, value.shape))
            return self.expanded(self.constant(value.array), value.shape)
        name = self.stored(value, tuple(range(len(value.shape))))
        return name if same(value.dims, value.shape) else self.expanded(name, value.shape)

    def stored(self, value: Const | Tensor, order: tuple[int, ...]) -> str:
        """The array with its axes in memory in ``order``, broadcast axes left at 1."""
        if isinstance(value, Const):
            return self.constant(value.array.transpose(order))
        if value.order == order:
            return value.name
        perm = [value.order.index(axis) for axis in order]
        moved = [i for i in perm if not is_one(value.dims[value.order[i]])]
        key = ("stored", value.name, tuple(perm))
        if key not in self._known:
            if moved == sorted(moved):  # only axes of length 1 change places
                shape = [value.dims[axis] for axis in order]
                self._known[key] = self.reshaped(value.name, tuple(shape))
            else:
                self._known[key] = self.add("Transpose", [value.name], perm=perm)
        return self._known[key]

    def expanded(self, name: str, shape: Dims) -> str:
        """A tensor of the same rank, broadcast to ``shape``."""
        return self.add("Expand", [name, self.shape(shape)])

    def reshaped(self, name: str, shape: Dims) -> str:
        """The same elements in another shape."""
        if sum(not isinstance(d, int) for d in shape) <= 1:
            sizes = self.integers([d if isinstance(d, int) else -1 for d in shape])
        else:
            sizes = self.shape(shape)
        return self.add("Reshape", [name, sizes])

    # Random numbers.

    def normals(self, shape: Dims) -> Tensor:
        """Normal numbers of a shape: what the host gives, an input, or drawn here at each call.

        Raises:
          ValueError: the host gives others.
        """
        number = len(self.drawn)
        if number < len(self.given):
            made = self.given[number]
            if not same(made.shape, shape):
                raise ValueError(f"{made.shape} normal numbers where it draws {shape}")
        elif self.noise == "inside":
            zeros = self.expanded(self.constant(np.zeros((1,) * len(shape), np.float32)), shape)
            made = tensor(self.add("RandomNormalLike", [zeros]), np.float32, shape)
        else:
            name = NORMALS if number == 0 else f"{NORMALS}_{number}"
            made = self.input(name, np.float32, shape)
        self.drawn.append(made)
        return made
