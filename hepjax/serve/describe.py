"""What the server says of itself and its models: the JSON of HTTP, and the same fields in gRPC."""

from typing import Any

from hepjax import __version__
from hepjax.serve.served import Served
from hepjax.serve.signature import Tensor
from hepjax.serve.statistics import Duration, Statistics

EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
PLATFORM = "hepjax"

Fields = dict[str, Any]


def server() -> Fields:
    """Server metadata."""
    return {"name": "hepjax", "version": __version__, "extensions": list(EXTENSIONS)}


def metadata(served: Served) -> Fields:
    """Model metadata; the first axis of each shape is that of the events."""

    def told(tensor: Tensor) -> Fields:
        shape = [-1, *tensor.shape]
        return {"name": tensor.name, "datatype": tensor.datatype, "shape": shape}

    signature = served.program.signature
    return {
        "name": served.name,
        "versions": [served.version.number],
        "platform": PLATFORM,
        "inputs": [told(t) for t in signature.inputs],
        "outputs": [told(t) for t in signature.outputs],
    }


def config(served: Served) -> Fields:
    """Model configuration, as far as clients of Triton read it; shapes without the events."""

    def told(tensor: Tensor) -> Fields:
        kind = tensor.datatype
        return {"name": tensor.name, "data_type": f"TYPE_{kind}", "dims": list(tensor.shape)}

    program = served.program
    return {
        "name": served.name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "max_batch_size": program.most,
        "input": [told(t) for t in program.signature.inputs],
        "output": [told(t) for t in program.signature.outputs],
        "dynamic_batching": {
            "preferred_batch_size": sorted({n for sizes in program.sizes.values() for n in sizes}),
            "max_queue_delay_microseconds": 0,
        },
    }


def statistics(served: Served) -> Fields:
    """The statistics of the present version, in the names of Triton."""
    version = served.version
    counted = version.statistics
    return {
        "name": served.name,
        "version": version.number,
        "last_inference": counted.last_ms,
        "inference_count": counted.events,
        "execution_count": counted.batches,
        "inference_stats": {
            "success": _told(counted.success),
            "fail": _told(counted.fail),
            "queue": _told(counted.queue),
            **_parts((counted.gather, counted.devices, counted.scatter)),
        },
        "batch_stats": _by_size(counted),
    }


def _by_size(counted: Statistics) -> list[Fields]:
    return [{"batch_size": n} | _parts(parts) for n, parts in sorted(counted.by_size.items())]


def _parts(parts: tuple[Duration, Duration, Duration]) -> Fields:
    names = ("compute_input", "compute_infer", "compute_output")
    return {name: _told(part) for name, part in zip(names, parts, strict=True)}


def _told(duration: Duration) -> Fields:
    return {"count": duration.count, "ns": duration.ns}


def index(models: list[Served]) -> list[Fields]:
    """The repository index: one entry a model."""
    return [
        {"name": m.name, "version": m.version.number, "state": "READY", "reason": ""}
        for m in models
    ]  # fmt: skip
