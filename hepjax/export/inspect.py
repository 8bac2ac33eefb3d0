"""What is in an ONNX file, ours or another's: for ``hepjax inspect model.onnx``."""

import collections
from pathlib import Path
from typing import Any

from hepjax import InputError
from hepjax.export import qonnx
from hepjax.export.onnx_file import onnx
from hepjax.ops.fixed_point import accumulators

SUFFIX = ".onnx"


def inspect(path: Path) -> dict[str, Any]:
    """Inputs, outputs, operations, numbers, opset and metadata of a file.

    External data are neither looked for nor read.

    Raises:
      InputError: no ONNX model, or a damaged one. MissingExtraError: onnx is not installed.
    """
    package = onnx()
    try:
        proto = package.load_model_from_string(path.read_bytes())
        nodes = list(proto.graph.node)
        if not proto.ir_version or not (nodes or proto.graph.output):
            raise ValueError("no graph in it")
        package.checker.check_model(proto)
    except OSError as error:
        raise InputError(f"{path}: expected to read it, found: {error.strerror}") from None
    except Exception as error:  # of protobuf and of ONNX, which have no common class
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: expected a whole ONNX model, found: {reason}") from None
    constants = {t.name for t in proto.graph.initializer}
    counts = collections.Counter(node.op_type for node in nodes)
    return {
        "file": str(path), "bytes": path.stat().st_size, "ir_version": proto.ir_version,
        "opsets": {entry.domain or "ai.onnx": entry.version for entry in proto.opset_import},
        "producer": " ".join(filter(None, [proto.producer_name, proto.producer_version])),
        "inputs": [_port(package, v) for v in proto.graph.input if v.name not in constants],
        "outputs": [_port(package, v) for v in proto.graph.output],
        "operations": dict(counts.most_common()),
        "parameters": sum(_numbers(t) for t in proto.graph.initializer),
        "fixed_point": _fixed_point(proto, path),
        "metadata": {entry.key: entry.value for entry in proto.metadata_props},
        "checks": {},
    }  # fmt: skip


def _fixed_point(proto: Any, path: Path) -> str | None:
    """Types of inputs, activations and sums of a QONNX file, or why it is not exact; None of
    others."""
    if all(entry.domain != qonnx.DOMAIN for entry in proto.opset_import):
        return None
    try:
        network = qonnx.network_of(proto, str(path))
    except InputError as error:
        return f"not exact: {error}"
    values = ", ".join(grid.text for grid in network.grids())
    return f"values {values}; sums {', '.join(grid.text for grid in accumulators(network))}"


def _numbers(tensor: Any) -> int:
    count = 1
    for n in tensor.dims:
        count *= n
    return count


def _port(package: Any, value: Any) -> dict[str, Any]:
    kind = value.type.tensor_type
    shape = [d.dim_param or (d.dim_value if d.HasField("dim_value") else "?")
             for d in kind.shape.dim]  # fmt: skip
    names = package.TensorProto.DataType
    return {"name": value.name, "shape": shape, "dtype": names.Name(kind.elem_type).lower()}


def text(report: dict[str, Any]) -> list[str]:
    """The report for people."""
    opsets = ", ".join(f"{domain} {version}" for domain, version in report["opsets"].items())
    lines = [
        f"{report['file']}: ONNX model, {report['bytes'] / 1e6:.2f} MB, opset {opsets}, "
        f"IR {report['ir_version']}{', by ' + report['producer'] if report['producer'] else ''}",
        *(
            f"{kind[:-1]:<22}{p['name']} {p['dtype']} [{', '.join(map(str, p['shape']))}]"
            for kind in ("inputs", "outputs") for p in report[kind]
        ),
        f"{'numbers':<22}{report['parameters']:,}",
        f"{'operations':<22}" + ", ".join(f"{n} {op}" for op, n in report["operations"].items()),
    ]  # fmt: skip
    if report["fixed_point"] is not None:
        lines.append(f"{'fixed point':<22}{report['fixed_point']}")
    return lines + [f"{key:<22}{value}" for key, value in report["metadata"].items()]
