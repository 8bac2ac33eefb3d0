"""The ONNX file of a graph: opset, IR version, inputs, outputs, metadata."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hepjax import InputError, MissingExtraError
from hepjax.export.elementwise import DTYPES
from hepjax.export.graph import NEWEST, OLDEST
from hepjax.export.program import Written
from hepjax.export.values import Tensor

IR = {16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11}
"""The first version of the format that knows an opset: a host reads those up to its own."""


def onnx() -> Any:
    """The package, if it is installed.

    Raises:
      MissingExtraError: it is not.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("ONNX", "onnx") from None
    return onnx


def require_opset(opset: int) -> None:
    """Refuse opsets that are not written.

    Raises:
      InputError: another one.
    """
    if not OLDEST <= opset <= NEWEST:
        raise InputError(f"--opset: expected {OLDEST} to {NEWEST}, found {opset}")


def model(written: Written, opset: int) -> Any:
    """The ``ModelProto`` of a graph, checked by ONNX itself."""
    package, graph = onnx(), written.graph
    helper = package.helper
    made = helper.make_graph(
        [
            helper.make_node(node.op, node.inputs, node.outputs, **node.attributes)
            for node in graph.nodes
        ],
        "hepjax",
        [_told(helper, t, t.name) for t in graph.inputs],
        [_told(helper, t, name) for name, t in written.outputs.items()],
        [package.numpy_helper.from_array(np.asarray(a), name)
         for name, a in graph.constants.items()],
    )  # fmt: skip
    proto = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR[opset]
    )
    package.checker.check_model(proto, full_check=True)
    return proto


def _told(helper: Any, tensor: Tensor, name: str) -> Any:
    shape = [n if isinstance(n, int) else str(n) for n in tensor.shape]
    return helper.make_tensor_value_info(name, DTYPES[tensor.dtype.name], shape)


def with_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """A model with texts that say what it is."""
    package = onnx()
    proto = package.load_model_from_string(content)
    proto.producer_name, proto.producer_version = "hepjax", str(metadata.get("hepjax", ""))
    package.helper.set_model_props(proto, dict(metadata))
    return bytes(proto.SerializeToString())


def halved(content: bytes) -> bytes:
    """A model whose weights of products and convolutions are stored in 16 bits.

    They are cast to 32 bits before use, so that every host that runs the model runs this one.
    """
    package = onnx()
    proto = package.load_model_from_string(content)
    wanted = {node.input[1] for node in proto.graph.node if node.op_type in ("Conv", "MatMul")}
    casts = []
    for tensor in proto.graph.initializer:
        if tensor.name not in wanted or tensor.data_type != package.TensorProto.FLOAT:
            continue
        half = package.numpy_helper.to_array(tensor).astype(np.float16)
        name = tensor.name
        tensor.CopyFrom(package.numpy_helper.from_array(half, f"{name}_half"))
        casts.append(
            package.helper.make_node("Cast", [f"{name}_half"], [name], to=DTYPES["float32"])
        )
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return bytes(proto.SerializeToString())
