"""What a served model takes and gives, in the terms of the Open Inference Protocol."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hepjax.engine.workload import Field, Workload

DATATYPES = {
    "BOOL": "bool", "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
"""Names of the protocol and those of NumPy."""
NAMES = {numpy: name for name, numpy in DATATYPES.items()}


class Tensor(NamedTuple):
    """One array of a request or an answer. Its first axis, the events, is not in ``shape``."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    """-1: an axis whose length differs from request to request."""
    unit: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of NumPy, little-endian as on the wire."""
        return np.dtype(DATATYPES[self.datatype]).newbyteorder("<")


@dataclass(frozen=True)
class Signature:
    """The arrays of a model."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def ragged(self) -> bool:
        """Whether the length of an event differs from request to request."""
        return any(-1 in t.shape for t in self.inputs)


def signature(workload: Workload[Any, Any], cfg: Any) -> Signature:
    """The arrays of the trained model of a run."""
    fields = (workload.inputs(cfg).fields, workload.outputs(cfg).spec.fields)
    inputs, outputs = (tuple(map(_tensor, part)) for part in fields)
    return Signature(inputs, outputs)


def _tensor(field: Field) -> Tensor:
    shape = tuple(-1 if n is None else n for n in field.shape)
    return Tensor(field.name, NAMES[field.dtype], shape, field.unit)
