"""A request as either protocol carries it, and the checks that make arrays of it.

Nothing here allocates what a client announces: shapes are compared, as Python's integers, with the
data that are there.
"""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from hepjax.serve.refusal import invalid
from hepjax.serve.signature import Signature, Tensor

Parameters = dict[str, Any]
LONGEST_ID = 1024
LARGEST_SEED = 2**31 - 1
NOT_OFFERED = ("sequence_id", "shared_memory_region", "classification")
"""Parameters of Triton that ask for what this server does not do."""


class Given(NamedTuple):
    """An input as it arrived."""

    name: Any
    datatype: Any
    shape: Any
    data: Any
    """Bytes as on the wire, an array, or numbers in nested lists."""


class Wanted(NamedTuple):
    """An output that is asked for."""

    name: Any
    binary: bool = True


@dataclass(frozen=True)
class Asked:
    """A request for inference, as it arrived."""

    inputs: list[Given]
    outputs: list[Wanted] = field(default_factory=list)
    """Empty: all."""
    id: str = ""
    parameters: Parameters = field(default_factory=dict)
    binary: bool = False
    """Of outputs when none are named."""


@dataclass(frozen=True)
class Work:
    """A request that was checked."""

    inputs: dict[str, np.ndarray]
    """(rows, ...) each."""
    rows: int
    length: int
    """Of the open axis; 0 without one."""
    seed: int | None
    timeout: float | None
    """Seconds, None: for ever."""
    extrapolate: bool


def checked(asked: Asked, signature: Signature, most_rows: int, longest: int) -> Work:
    """The arrays of a request.

    Args:
      most_rows: events of a request at most.
      longest: length of an open axis at most.
    Raises:
      Refusal: names, types, shapes, sizes, values or parameters are wrong.
    """
    names = [given.name for given in asked.inputs]
    for name in names:
        if not isinstance(name, str) or names.count(name) > 1:
            raise invalid(f"inputs: expected each name once, found {name!r}")
    expected = [t.name for t in signature.inputs]
    if sorted(names) != sorted(expected):
        raise invalid(f"inputs: expected {_list(expected)}, found {_list(names)}")
    by_name = {given.name: given for given in asked.inputs}
    inputs, rows, length = {}, -1, 0
    for tensor in signature.inputs:
        shape = _shape(by_name[tensor.name], tensor)
        rows, length = _agreed(tensor, shape, rows, length, most_rows, longest)
        inputs[tensor.name] = _array(by_name[tensor.name], tensor, shape)
    for wanted in asked.outputs:
        known = [t.name for t in signature.outputs]
        if wanted.name not in known:
            raise invalid(f"outputs: expected {_list(known)}, found {wanted.name!r}")
    return Work(inputs, rows, length, *_parameters(asked.parameters))


def _shape(given: Given, tensor: Tensor) -> tuple[int, ...]:
    if given.datatype != tensor.datatype:
        raise invalid(f"{tensor.name}: expected datatype {tensor.datatype}, found {given.datatype}")
    shape = given.shape
    axes = f"[-1{''.join(f', {n}' for n in tensor.shape)}]"
    whole = isinstance(shape, list | tuple) and all(type(n) is int and n >= 0 for n in shape)
    if (
        not whole
        or len(shape) != 1 + len(tensor.shape)
        or any(want not in (-1, n) for want, n in zip(tensor.shape, shape[1:], strict=True))
    ):
        raise invalid(f"{tensor.name}: expected shape {axes}, found {shape}")
    return tuple(shape)


def _agreed(
    tensor: Tensor, shape: tuple[int, ...], rows: int, length: int, most: int, longest: int
) -> tuple[int, int]:
    """Events and length that this input and those before it agree upon."""
    if not 1 <= shape[0] <= most:
        raise invalid(f"{tensor.name}: expected 1 to {most} events, found {shape[0]}")
    if rows not in (-1, shape[0]):
        raise invalid(f"{tensor.name}: expected {rows} events as before, found {shape[0]}")
    for want, n in zip(tensor.shape, shape[1:], strict=True):
        if want == -1 and not 1 <= n <= longest:
            raise invalid(f"{tensor.name}: expected a length of 1 to {longest}, found {n}")
        if want == -1 and length not in (0, n):
            raise invalid(f"{tensor.name}: expected length {length} as before, found {n}")
        length = n if want == -1 else length
    return shape[0], length


def _array(given: Given, tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """The data of an input, finite, of this shape."""
    count, data = math.prod(shape), given.data
    if isinstance(data, bytes | memoryview):
        size = count * tensor.dtype.itemsize
        if len(data) != size:
            raise invalid(f"{tensor.name}: expected {size} bytes of data, found {len(data)}")
        if tensor.datatype == "BOOL" and np.frombuffer(data, np.uint8).max() > 1:
            raise invalid(f"{tensor.name}: expected bytes 0 and 1, found others")
        array = np.frombuffer(data, tensor.dtype)
    else:
        array = _numbers(data, tensor)
        if array.size != count or array.shape not in ((count,), shape):
            raise invalid(
                f"{tensor.name}: expected {count} numbers for shape {list(shape)}, "
                f"found {array.size} in shape {list(array.shape)}"
            )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise invalid(f"{tensor.name}: expected finite numbers, found NaN or infinity")
    return array.reshape(shape)


def _numbers(data: Any, tensor: Tensor) -> np.ndarray:
    """Numbers, in lists or not, in the type of the input."""
    try:
        found = np.asarray(data)
    except (ValueError, OverflowError, RecursionError):
        raise invalid(f"{tensor.name}: expected numbers in regular lists, found others") from None
    kinds = {"f": "iuf", "b": "b"}.get(tensor.dtype.kind, "iu")
    if found.dtype.kind not in kinds:
        what = "true and false" if kinds == "b" else "numbers"
        raise invalid(f"{tensor.name}: expected {what} of {tensor.datatype}, found others")
    if kinds == "iu":
        bounds = np.iinfo(tensor.dtype)
        if found.size and not bounds.min <= int(found.min()) <= int(found.max()) <= bounds.max:
            raise invalid(f"{tensor.name}: expected numbers of {tensor.datatype}, found larger")
    with np.errstate(over="ignore"):
        return found.astype(tensor.dtype)


def _parameters(given: Parameters) -> tuple[int | None, float | None, bool]:
    """Seed, timeout in seconds, and whether to extrapolate."""
    for name in NOT_OFFERED:
        if given.get(name):
            raise invalid(f"parameters: expected no {name}, which is not offered, found one")
    seed, timeout = given.get("seed"), given.get("timeout")
    if seed is not None and not (type(seed) is int and 0 <= seed <= LARGEST_SEED):
        raise invalid(f"seed: expected a whole number from 0 to {LARGEST_SEED}, found {seed!r}")
    if timeout is not None and not (type(timeout) is int and 0 <= timeout < 2**63):
        raise invalid(f"timeout: expected whole microseconds, found {timeout!r}")
    extrapolate = given.get("extrapolate", False)
    if not isinstance(extrapolate, bool):
        raise invalid(f"extrapolate: expected true or false, found {extrapolate!r}")
    # As Triton has it, 0 is no deadline.
    return seed, timeout / 1e6 if timeout else None, extrapolate


def _list(names: list[str]) -> str:
    return " and ".join(names) or "none"
