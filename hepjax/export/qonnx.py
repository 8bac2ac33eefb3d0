"""Fixed-point networks as QONNX files, which hls4ml turns into firmware, and back.

QONNX is ONNX with nodes ``Quant``: round(x / scale) of so many bits, half to even, saturating. The
form is the one that hls4ml reads: every node named, products as MatMul and Add, one scale for each
tensor, a power of two.

Source: https://github.com/fastmachinelearning/qonnx, operator Quant.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.export.onnx_file import onnx
from hepjax.ops.fixed_point import Dense, Grid, Network, fraction_of

DOMAIN = "qonnx.custom_op.general"
OPSET, IR = 13, 8
INPUT, OUTPUT = "global_in", "global_out"


class _Writer:
    """Nodes, constants and shapes of a graph as they are added."""

    def __init__(self) -> None:
        self.helper = onnx().helper
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.shapes: dict[str, Any] = {}

    def told(self, name: str, shape: Sequence[int]) -> Any:
        """An array of the graph."""
        return self.helper.make_tensor_value_info(name, onnx().TensorProto.FLOAT, list(shape))

    def constant(self, name: str, values: Any) -> str:
        """A float32 array of this name."""
        array = np.asarray(values, np.float32)
        self.constants.append(onnx().numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, name: str, inputs: list[str], shape: Sequence[int], **more: Any) -> str:
        """A node; the name of its output, ``<name>_out``."""
        output = f"{name}_out"
        self.nodes.append(self.helper.make_node(op, inputs, [output], name=name, **more))
        self.shapes[output] = self.told(output, shape)
        return output

    def quant(self, name: str, x: str, grid: Grid, shape: Sequence[int]) -> str:
        """``x`` on a grid."""
        facts = [
            self.constant(f"{name}_scale", grid.scale), self.constant(f"{name}_zeropt", 0.0),
            self.constant(f"{name}_bits", float(grid.bits)),
        ]  # fmt: skip
        return self.node(
            "Quant", name, [x, *facts], shape, domain=DOMAIN, signed=int(grid.signed), narrow=0,
            rounding_mode="ROUND",
        )  # fmt: skip


def model(network: Network, batch: int = 1) -> Any:
    """The ``ModelProto`` of a network that takes ``batch`` events.

    Raises:
      MissingExtraError: the package onnx is not installed.
    """
    w = _Writer()
    x = w.quant("quant_in", INPUT, network.inputs, (batch, network.size))
    for number, layer in enumerate(network.layers):
        name, shape = f"dense_{number}", (batch, layer.weight.shape[1])
        weight = w.constant(f"{name}_weight", layer.weight * layer.weight_grid.scale)
        bias = w.constant(f"{name}_bias", layer.bias * layer.bias_grid.scale)
        weight = w.quant(f"{name}_weight_quant", weight, layer.weight_grid, layer.weight.shape)
        bias = w.quant(f"{name}_bias_quant", bias, layer.bias_grid, layer.bias.shape)
        x = w.node("MatMul", f"{name}_matmul", [x, weight], shape)
        x = w.node("Add", f"{name}_add", [x, bias], shape)
        if layer.after is not None:
            x = w.node("Relu", f"{name}_relu", [x], shape)
            x = w.quant(f"{name}_quant", x, layer.after, shape)
    last = w.shapes.pop(x)
    w.nodes[-1].output[0] = last.name = OUTPUT
    graph = w.helper.make_graph(
        w.nodes, "hepjax_trigger", [w.told(INPUT, (batch, network.size))], [last], w.constants,
        value_info=list(w.shapes.values()),
    )  # fmt: skip
    opsets = [w.helper.make_opsetid("", OPSET), w.helper.make_opsetid(DOMAIN, 1)]
    return w.helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="hepjax")


def read(path: Path) -> Network:
    """The network of a QONNX file of dense layers, as ``model`` writes them.

    Raises:
      InputError: no such file, another graph, a zero point, another rounding, a scale that is not
        one power of two, or constants beyond their grid.
      MissingExtraError: the package onnx is not installed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected to read it, found: {error.strerror}") from None
    return parsed(content, str(path))


def parsed(content: bytes, where: str) -> Network:
    """The network of the content of a QONNX file, called ``where`` in errors; see ``read``."""
    package = onnx()
    try:
        proto = package.load_model_from_string(content)
    except Exception:  # protobuf has several
        raise InputError(
            f"{where}: expected an ONNX file, found another or a damaged one"
        ) from None
    return network_of(proto, where)


def network_of(proto: Any, where: str) -> Network:
    """The network of a ``ModelProto``; see ``read``."""
    return _Reader(where, proto.graph).network()


class _Reader:
    """A graph of QONNX, followed from its input to its output."""

    def __init__(self, where: str, graph: Any) -> None:
        self.where = where
        self.constants = {t.name: onnx().numpy_helper.to_array(t) for t in graph.initializer}
        self.makes = {name: node for node in graph.node for name in node.output}
        self.takes = {node.input[0]: node for node in graph.node if node.input}
        self.graph = graph

    def network(self) -> Network:
        inputs = [v.name for v in self.graph.input if v.name not in self.constants]
        if len(inputs) != 1 or len(self.graph.output) != 1:
            raise self._unlike("one input and one output", f"{len(inputs)} inputs")
        node = self._next(inputs[0], "Quant")
        first, layers = self._grid(node), []
        while True:
            product = self._next(node.output[0], "MatMul")
            weight, weight_grid = self._quantised(product.input[1])
            total = self._next(product.output[0], "Add")
            bias, bias_grid = self._quantised(total.input[1])
            after = None
            if total.output[0] != self.graph.output[0].name:
                node = self._next(self._next(total.output[0], "Relu").output[0], "Quant")
                after = self._grid(node)
            layers.append(Dense(weight, weight_grid, bias.reshape(-1), bias_grid, after))
            if after is None:
                return Network(first, tuple(layers))

    def _next(self, name: str, op: str) -> Any:
        node = self.takes.get(name)
        if node is None or node.op_type != op:
            found = "the end" if node is None else node.op_type
            raise self._unlike(f"{op} after {name}", found)
        return node

    def _quantised(self, name: str) -> tuple[np.ndarray, Grid]:
        node = self.makes.get(name)
        if node is None or node.op_type != "Quant" or node.input[0] not in self.constants:
            raise self._unlike(f"a quantised constant {name}", "another")
        grid = self._grid(node)
        k, beyond = grid.of(self.constants[node.input[0]])
        if beyond:
            raise self._unlike(f"constants {name} on {grid.text}", f"{beyond} beyond it")
        return k, grid

    def _grid(self, node: Any) -> Grid:
        names = [name for name in node.input[1:4] if name in self.constants]
        facts = [self.constants[name] for name in names]
        if len(facts) != 3 or any(f.size != 1 for f in facts):
            raise self._unlike(f"one constant scale, zero point and width of {node.name}", "others")
        scale, zero, bits = (float(np.reshape(f, -1)[0]) for f in facts)
        told = {a.name: onnx().helper.get_attribute_value(a) for a in node.attribute}
        rounding = told.get("rounding_mode", b"ROUND").decode()
        if zero != 0 or told.get("narrow", 0) or rounding != "ROUND" or bits != int(bits):
            raise self._unlike(
                f"{node.name} with zero point 0, all values, rounding ROUND and whole bits",
                f"zero point {zero:g}, narrow {told.get('narrow', 0)}, {rounding}, {bits:g} bits",
            )
        fraction = fraction_of(scale, f"{self.where}: {node.name}")
        return Grid(fraction, int(bits), bool(told.get("signed", 1)))

    def _unlike(self, expected: str, found: str) -> InputError:
        return InputError(f"{self.where}: expected {expected}, found {found}")
