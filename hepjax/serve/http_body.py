"""Requests and answers of HTTP: JSON, and JSON followed by bytes (the binary tensor extension)."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from hepjax.serve.refusal import invalid
from hepjax.serve.request import LONGEST_ID, Asked, Given, Wanted
from hepjax.serve.signature import Tensor

HEADER = "inference-header-content-length"
"""Bytes of the JSON in front of the binary data."""


def parse(body: bytes, head: str | None) -> Asked:
    """The request of a body.

    Args:
      head: value of ``HEADER``; None without it.
    Raises:
      Refusal: not what the protocol says.
    """
    size = len(body)
    if head is not None:
        if not (head.isascii() and head.isdigit() and len(head) < 20 and int(head) <= size):
            raise invalid(f"{HEADER}: expected at most the {size} bytes of the body, found {head}")
        size = int(head)
    asked = _json(body[:size])
    return _asked(asked, memoryview(body)[size:])


def _json(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise invalid("body: expected JSON, found too many brackets") from None
    except ValueError as error:
        raise invalid(f"body: expected JSON, found: {error}") from None
    if not isinstance(found, dict):
        raise invalid(f"body: expected a JSON object, found {type(found).__name__}")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"the number {name}")


def _asked(found: dict[str, Any], rest: memoryview) -> Asked:
    identity = found.get("id", "")
    if not isinstance(identity, str) or len(identity) > LONGEST_ID:
        raise invalid(f"id: expected a text of at most {LONGEST_ID} characters, found {identity!r}")
    parameters = _mapping(found.get("parameters", {}), "parameters")
    binary = parameters.get("binary_data_output", False) is True
    inputs = []
    for item in _objects(found.get("inputs"), "inputs"):
        data, rest = _data(item, rest)
        inputs.append(Given(item.get("name"), item.get("datatype"), item.get("shape"), data))
    if len(rest):
        raise invalid(f"body: expected its end after the inputs, found {len(rest)} more bytes")
    outputs = []
    for item in _objects(found.get("outputs", []), "outputs"):
        own = _mapping(item.get("parameters", {}), "parameters of an output")
        for name in ("classification", "shared_memory_region"):
            if own.get(name):
                raise invalid(f"outputs: expected no {name}, which is not offered, found one")
        outputs.append(Wanted(item.get("name"), own.get("binary_data", binary) is True))
    return Asked(inputs, outputs, identity, parameters, binary)


def _data(item: dict[str, Any], rest: memoryview) -> tuple[Any, memoryview]:
    """The data of an input, and what follows them."""
    own = _mapping(item.get("parameters", {}), "parameters of an input")
    if "shared_memory_region" in own:
        raise invalid("inputs: expected no shared_memory_region, which is not offered, found one")
    size = own.get("binary_data_size")
    if size is None:
        if not isinstance(item.get("data"), list):
            raise invalid(f"{item.get('name')}: expected a list as data, found none")
        return item["data"], rest
    if "data" in item or type(size) is not int or not 0 <= size <= len(rest):
        raise invalid(
            f"{item.get('name')}: expected binary_data_size of at most the {len(rest)} bytes that "
            f"follow, and no data, found {size!r}"
        )
    return rest[:size], rest[size:]


def _objects(found: Any, what: str) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise invalid(f"{what}: expected a list of objects, found {type(found).__name__}")
    return found


def _mapping(found: Any, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise invalid(f"{what}: expected an object, found {type(found).__name__}")
    return found


def render(
    asked: Asked, model: str, version: str, tensors: tuple[Tensor, ...],
    answers: Mapping[str, np.ndarray], parameters: dict[str, Any],
) -> tuple[bytes, dict[str, str]]:  # fmt: skip
    """The body of an answer and the headers that say what it is.

    Args:
      tensors: the outputs of the model.
      answers: (rows, ...) of each.
    """
    known = {tensor.name: tensor for tensor in tensors}
    wanted = asked.outputs or [Wanted(name, asked.binary) for name in known]
    outputs, parts = [], []
    for name, binary in wanted:
        array = np.ascontiguousarray(answers[name], known[name].dtype)
        about = {"name": name, "datatype": known[name].datatype, "shape": list(array.shape)}
        if binary:
            parts.append(array.tobytes())
            outputs.append(about | {"parameters": {"binary_data_size": array.nbytes}})
        else:
            outputs.append(about | {"data": array.ravel().tolist()})
    answer: dict[str, Any] = {"model_name": model, "model_version": version}
    if asked.id:
        answer["id"] = asked.id
    if parameters:
        answer["parameters"] = parameters
    head = json.dumps(answer | {"outputs": outputs}, separators=(",", ":")).encode()
    if not parts:
        return head, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", HEADER: str(len(head))}
    return b"".join([head, *parts]), headers
