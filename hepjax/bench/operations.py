"""What the operations of a compiled program are: convolutions, products, sums over devices, ...

Pure functions of the text of the optimised program (HLO) and of the names in a trace.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

INPUT, CONVOLUTIONS, PRODUCTS = "input", "convolutions", "products"
SUMS, LAYOUT, REST, IDLE = "sums over devices", "layout conversions", "rest", "idle"
CLASSES = (INPUT, CONVOLUTIONS, PRODUCTS, SUMS, LAYOUT, REST, IDLE)

COLLECTIVES = (
    *("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "ragged-all-to-all"),
    *("collective-permute", "collective-broadcast"),
)
MOVES = frozenset({
    *("copy", "copy-start", "copy-done", "transpose", "slice", "pad", "concatenate", "reverse"),
    *("convert", "dynamic-slice", "dynamic-update-slice"),
})  # fmt: skip
"""Opcodes that move or convert elements and compute nothing."""
PASSIVE = frozenset(
    ("parameter", "constant", "bitcast", "reshape", "tuple", "get-tuple-element", "broadcast")
)
"""Opcodes that may stand beside them."""
CONTAINERS = frozenset({"while", "conditional", "call", "async-start", "async-done"})
"""Opcodes whose time is that of the operations in them, which a trace shows as well."""


class Operation(NamedTuple):
    """One instruction of an optimised program."""

    opcode: str
    inside: frozenset[str]
    """Opcodes and targets of custom calls in it, those of the computations that it calls too."""
    source: str = ""
    """Where it comes from, such as ``Generator/Conv3D_1/dot_general``."""


COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
INSTRUCTION = re.compile(r"^ +(?:ROOT )?%?([\w.\-]+) = (.*)$")
OPCODE = re.compile(r" ([a-z][\w\-]*)\(")
CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)"
)
BRANCHES = re.compile(r"(?:branch_computations|called_computations)=\{([^}]*)\}")
TARGET = re.compile(r'custom_call_target="([^"]*)"')
KIND = re.compile(r'"kind":"(__\w+(?:\$\w+)?)"')
SOURCE = re.compile(r'op_name="([^"]*)"')


def operations(text: str) -> dict[str, Operation]:
    """All instructions of an optimised program by name.

    Args:
      text: of ``Compiled.as_text()``.
    """
    found: dict[str, tuple[str, set[str], list[str], str]] = {}
    members: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if (started := COMPUTATION.match(line)) is not None and " = " not in line.split("(")[0]:
            current = members.setdefault(started[1], [])
        elif (instruction := INSTRUCTION.match(line)) is not None:
            name, what = instruction.groups()
            opcode = OPCODE.search(f" {what}")
            if opcode is None:
                continue
            called = CALLED.findall(what)
            for group in BRANCHES.findall(what):
                called += [branch.strip().lstrip("%") for branch in group.split(",")]
            own = {opcode[1], *TARGET.findall(what), *KIND.findall(what)}
            source = SOURCE.search(what)
            found[name] = opcode[1], own, called, source[1] if source else ""
            current.append(name)
    insides: dict[str, frozenset[str]] = {}

    def inside(name: str) -> frozenset[str]:
        if name not in insides:
            insides[name] = frozenset()  # programs have no recursion; a wrong text ends here
            _, own, called, _ = found[name]
            parts = (inside(member) for one in called for member in members.get(one, ()))
            insides[name] = frozenset(own).union(*parts)
        return insides[name]

    return {n: Operation(opcode, inside(n), s) for n, (opcode, _, _, s) in found.items()}


KERNELS = (
    (INPUT, re.compile(r"memcpy ?(h2d|d2h|htod|dtoh)", re.I)),
    (SUMS, re.compile(r"nccl|all[-_]?reduce|all[-_]?gather|reduce[-_]?scatter|all[-_]?to[-_]?all"
                      r"|collective[-_]?permute", re.I)),
    (LAYOUT, re.compile(r"nchw_?to_?nhwc|nhwc_?to_?nchw|nchw2nhwc|nhwc2nchw|ncdhw\w*to|transpose"
                        r"|^wrapped_(copy|convert|slice|pad|concatenate)|^copy|memcpy ?(d2d|dtod)",
                        re.I)),
    (CONVOLUTIONS, re.compile(r"conv(olution|olve|forward|backward|_|[23]d|\b)|fprop|dgrad|wgrad"
                              r"|implicit_gemm|winograd", re.I)),
    (PRODUCTS, re.compile(r"gemm|gemv|(^|_)dot|cublas|matmul|splitk", re.I)),
)  # fmt: skip
"""Classes by the names of kernels, for what the program does not tell; the first that fits."""


CONVOLUTION = re.compile(r"conv(?!ert)")


def classify(kernel: str, operation: Operation | None = None) -> str:
    """The class of what ran, one of ``CLASSES``.

    Args:
      kernel: its name in the trace; libraries run kernels of several classes for one operation.
      operation: the instruction that started it, if it is known.
    """
    by_name = next((name for name, pattern in KERNELS if pattern.search(kernel)), REST)
    if operation is None or (by_name in (INPUT, LAYOUT) and _of_a_library(operation)):
        return by_name
    words = operation.inside
    if any(word.startswith(COLLECTIVES) for word in words):
        return SUMS
    if any(CONVOLUTION.search(word) for word in words):
        return CONVOLUTIONS
    if any(word == "dot" or "gemm" in word or "matmul" in word for word in words):
        return PRODUCTS
    if words & MOVES and words <= MOVES | PASSIVE | {"fusion", "call"} | _kinds(words):
        return LAYOUT
    return by_name if "custom-call" in words else REST


def _of_a_library(operation: Operation) -> bool:
    return "custom-call" in operation.inside or any("$" in word for word in operation.inside)


def _kinds(words: Iterable[str]) -> set[str]:
    """Names of the backends that run a fusion; they say nothing of what is in it."""
    return {word for word in words if word.startswith("__")}


def plain(name: str) -> str:
    """The name of an instruction as kernels on GPUs have it."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def by_kernel(known: Mapping[str, Operation]) -> dict[str, str]:
    """Names of instructions by the kernels that carry them."""
    return {plain(name): name for name in known}
