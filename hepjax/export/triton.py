"""A model repository for Triton: the ONNX model for its ONNX backend, and how it batches.

SONIC sites deploy such folders; so does ``tritonserver --model-repository``.
"""

import shutil
from pathlib import Path
from typing import Any

from hepjax import InputError
from hepjax.export.exported import OPSET, export_onnx
from hepjax.export.hosts import Noise
from hepjax.formats.atomic import write_text
from hepjax.run import Run

LARGEST = 256
"""Events that Triton may put together; of models with open elements 8, as CMSSW's MLPF has."""
LARGEST_OPEN = 8
WAIT_US = 500
"""Microseconds that a request waits for others."""
TYPES = {"float32": "TYPE_FP32", "bool": "TYPE_BOOL", "int32": "TYPE_INT32", "int64": "TYPE_INT64"}


def export_triton(
    run: Run, folder: Path, *, name: str = "", target: str = "generic", opset: int = OPSET,
    noise: Noise | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write ``folder/<name>/config.pbtxt`` and ``folder/<name>/1/model.onnx``.

    Args:
      folder: new, or a repository without a model of this name.
      name: of the model; by default that of the run directory.
    Raises:
      InputError: the model is there already; see ``export_onnx``.
    """
    name = name or run.directory.resolve().name
    place = folder / name
    if place.exists():
        raise InputError(f"{place}: expected a new model of the repository, found one; remove it")
    version = place / "1"
    try:
        version.mkdir(parents=True)
        # A host with open batch and elements needs the first axis open; Triton puts events there.
        about = export_onnx(
            run, version / "model.onnx", target=target, opset=opset, noise=noise or "inside"
        )
        write_text(place / "config.pbtxt", _config(name, about))
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return about | {"model": str(place)}


def _config(name: str, about: dict[str, Any]) -> str:
    """The configuration of the model, in Triton's text form."""
    fixed = about["batch"] == 1
    ragged = any(isinstance(n, str) for port in about["inputs"] for n in port["shape"][1:])
    most = 0 if fixed else LARGEST_OPEN if ragged else LARGEST
    lines = [f'name: "{name}"', 'backend: "onnxruntime"', f"max_batch_size: {most}"]
    for kind in ("inputs", "outputs"):
        for port in about[kind]:
            shape = port["shape"] if fixed else port["shape"][1:]
            dims = ", ".join("-1" if isinstance(n, str) else str(n) for n in shape or [1])
            lines.append(
                f'{kind[:-1]} [ {{ name: "{port["name"]}" data_type: {TYPES[port["dtype"]]} '
                f"dims: [ {dims} ]{'' if shape else ' reshape: { shape: [ ] }'} }} ]"
            )
    if most:
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {WAIT_US} }}")
    return "\n".join(lines) + "\n"
