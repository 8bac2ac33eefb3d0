"""NumPy arrays from an untrusted pickle.

A pickle is a program. ``pickle.Unpickler`` with a short list of names still obeys instructions that
exhaust memory (a memo of 2**32 entries takes five bytes) or the stack (nested tuples as a key), so
the few instructions that plain arrays need are carried out here, and nothing is imported or called.
"""

import pickletools
from collections.abc import Callable
from typing import IO, Any

import numpy as np

MAX_INSTRUCTIONS = 1_000_000
"""About 20 an array."""
MODULES = ("numpy._core.multiarray", "numpy.core.multiarray")
NAMES = {
    **{(module, "_reconstruct"): "reconstruct" for module in MODULES},
    ("numpy._core.numeric", "_frombuffer"): "from buffer",
    ("numpy.core.numeric", "_frombuffer"): "from buffer",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
}
"""All that a pickled array refers to, old and new spellings; ``encode`` in protocols 0 to 2."""
TYPES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}


class RefusedError(ValueError):
    """The pickle asks for something other than plain arrays."""


class _Name(str):
    """A value of ``NAMES`` on the stack; text of the pickle can never be one."""


class _Type:
    def __init__(self, code: object) -> None:
        if not isinstance(code, str) or code not in TYPES:
            raise RefusedError(f"an array of type {_short(code)}")
        self.code, self.order = code, "="

    def set_state(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(s is not None for s in state[2:5]):
            raise RefusedError("an array of structured type")
        if state[1] not in ("<", ">", "|", "="):
            raise RefusedError(f"the byte order {_short(state[1])}")
        self.order = state[1]


class _Array:
    values: np.ndarray | None = None

    def set_state(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise RefusedError("an array without its five properties")
        _, shape, kind, fortran, raw = state
        self.values = _array(raw, kind, shape, "F" if fortran == 1 else "C")


def _array(raw: object, kind: object, shape: object, order: object) -> np.ndarray:
    if not isinstance(kind, _Type) or not isinstance(raw, bytes | bytearray):
        raise RefusedError("an array that is not made of numbers")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise RefusedError(f"an array of shape {_short(shape)}")
    values = np.frombuffer(raw, np.dtype(kind.order + kind.code))
    return values.reshape(shape, order="F" if order == "F" else "C")


def _call(machine: "_Machine", name: object, arguments: object) -> object:
    if not isinstance(name, _Name) or not isinstance(arguments, tuple):
        raise RefusedError("a call")
    match name, arguments:
        case "reconstruct", (_Name("ndarray"), (0,), bytes()):
            return _Array()
        case "dtype", (code, 0, 1):  # also False and True
            return _Type(code)
        case "encode", (str() as text, "latin1"):
            machine.spend(len(text))
            return text.encode("latin1")
        case "from buffer", (raw, kind, shape, order):
            made = _Array()
            made.values = _array(raw, kind, shape, order)
            return made
    raise RefusedError(f"an unusual call of {name}")


def _short(value: object) -> str:
    return repr(value)[:60] if isinstance(value, str | int) else type(value).__name__


def read_arrays(file: IO[bytes], max_bytes: int) -> dict[str, list[np.ndarray]]:
    """The lists of arrays in a pickled dictionary, by key; any other plain data are left out.

    Args:
      file: the pickle, of any protocol.
      max_bytes: of all arrays together; one array may be named many times.
    Raises:
      RefusedError: it asks for more than arrays and plain containers.
      Exception: nearly any other, if it is damaged.
    """
    machine = _Machine(max_bytes)
    for count, (instruction, argument, _) in enumerate(pickletools.genops(file)):
        if count >= MAX_INSTRUCTIONS:
            raise RefusedError(f"more than {MAX_INSTRUCTIONS} instructions")
        if instruction.name in VALUES:
            machine.stack.append(argument)
        elif instruction.name in INSTRUCTIONS:
            INSTRUCTIONS[instruction.name](machine, argument)
        else:
            raise RefusedError(f"the instruction {instruction.name}")
    (made,) = machine.stack
    if not isinstance(made, dict):
        raise RefusedError(f"a {type(made).__name__} in place of a dictionary")
    lists = {
        key: [array.values for array in values]
        for key, values in made.items()
        if isinstance(values, list)
        and all(isinstance(array, _Array) and array.values is not None for array in values)
    }
    size = sum(array.nbytes for arrays in lists.values() for array in arrays)
    if size > max_bytes:
        raise RefusedError(f"{size} bytes of arrays")
    return lists


class _Machine:
    """The stack of a pickle, its marks (heights of the stack) and its memo.

    ``budget``: bytes that texts may still be turned into.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def spend(self, size: int) -> None:
        self.budget -= size
        if self.budget < 0:
            raise RefusedError("too many bytes")

    def since_mark(self) -> list[Any]:
        height = self.marks.pop()
        if height > len(self.stack):
            raise ValueError("the stack is shorter than at its mark")
        values = self.stack[height:]
        del self.stack[height:]
        return values

    def last(self, count: int) -> list[Any]:
        return [self.stack.pop() for _ in range(count)][::-1]

    def push(self, value: object) -> None:
        self.stack.append(value)

    def extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise RefusedError("a list operation on something else")
        self.stack[-1].extend(values)

    def update(self, values: list[Any]) -> None:
        made = _dictionary(values)
        if not isinstance(self.stack[-1], dict):
            raise RefusedError("a dictionary operation on something else")
        self.stack[-1].update(made)

    def name(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise RefusedError("a name that is not text")
        if (module, name) not in NAMES:
            raise RefusedError(f"the name {_short(f'{module}.{name}')}")
        self.push(_Name(NAMES[module, name]))

    def build(self) -> None:
        made, state = self.last(2)
        if not isinstance(made, _Type | _Array):
            raise RefusedError("a state for something other than an array")
        made.set_state(state)
        self.push(made)


def _dictionary(values: list[Any]) -> dict[str, Any]:
    if len(values) % 2 or not all(isinstance(key, str) for key in values[::2]):
        raise RefusedError("a dictionary whose keys are not text")
    return dict(zip(values[::2], values[1::2], strict=True))


VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT",
    "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
"""Instructions that push their argument."""
INSTRUCTIONS: dict[str, Callable[[_Machine, Any], object]] = {
    "PROTO": lambda m, a: None,
    "FRAME": lambda m, a: None,
    "STOP": lambda m, a: None,
    "NONE": lambda m, a: m.push(None),
    "NEWTRUE": lambda m, a: m.push(True),
    "NEWFALSE": lambda m, a: m.push(False),
    "MARK": lambda m, a: m.marks.append(len(m.stack)),
    "EMPTY_TUPLE": lambda m, a: m.push(()),
    "TUPLE1": lambda m, a: m.push(tuple(m.last(1))),
    "TUPLE2": lambda m, a: m.push(tuple(m.last(2))),
    "TUPLE3": lambda m, a: m.push(tuple(m.last(3))),
    "TUPLE": lambda m, a: m.push(tuple(m.since_mark())),
    "EMPTY_LIST": lambda m, a: m.push([]),
    "LIST": lambda m, a: m.push(m.since_mark()),
    "APPEND": lambda m, a: m.extend(m.last(1)),
    "APPENDS": lambda m, a: m.extend(m.since_mark()),
    "EMPTY_DICT": lambda m, a: m.push({}),
    "DICT": lambda m, a: m.push(_dictionary(m.since_mark())),
    "SETITEM": lambda m, a: m.update(m.last(2)),
    "SETITEMS": lambda m, a: m.update(m.since_mark()),
    "PUT": lambda m, a: m.memo.update({a: m.stack[-1]}),
    "BINPUT": lambda m, a: m.memo.update({a: m.stack[-1]}),
    "LONG_BINPUT": lambda m, a: m.memo.update({a: m.stack[-1]}),
    "MEMOIZE": lambda m, a: m.memo.update({len(m.memo): m.stack[-1]}),
    "GET": lambda m, a: m.push(m.memo[a]),
    "BINGET": lambda m, a: m.push(m.memo[a]),
    "LONG_BINGET": lambda m, a: m.push(m.memo[a]),
    "GLOBAL": lambda m, a: m.name(*a.split(" ", 1)),
    "STACK_GLOBAL": lambda m, a: m.name(*m.last(2)),
    "REDUCE": lambda m, a: m.push(_call(m, *m.last(2))),
    "BUILD": lambda m, a: m.build(),
}
