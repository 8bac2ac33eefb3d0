"""Collectives of a compiled program, read from its HLO text: kind, number, bytes, and overlap.

Pure functions of text. Bytes are those a device sends on a ring, the least any algorithm needs:
for b bytes over n devices, all-reduce 2 b (n-1)/n, all-gather, reduce-scatter and all-to-all
b (n-1)/n with b the size of the whole, collective-permute b (Thakur et al., IJHPCA 19 (2005) 49).
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

BITS = {"pred": 8, "s4": 4, "u4": 4, "bf16": 16, "f16": 16, "f32": 32, "f64": 64} | {
    f"{sign}{bits}": bits for sign in "su" for bits in (8, 16, 32, 64)
}
KINDS = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all")
COMPUTE = ("convolution", "dot", "fusion", "custom-call")
"""What may run while data is under way; the rest of a program costs next to nothing."""

_INSTRUCTION = re.compile(
    r"^\s*(?:ROOT )?%?(?P<name>[\w.-]+) = (?P<type>.*?) (?P<op>[a-z][\w-]*)\((?P<rest>.*)$"
)
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?(?P<name>[\w.-]+) \(.*\{\s*$")
_SHAPE = re.compile(r"\b(\w+)\[([\d,<=]*)\]")
_LISTED = re.compile(r"replica_groups=\{\{([\d,]*)\}")
_COUNTED = re.compile(r"replica_groups=\[\d+,(\d+)\]")
_NAMED = re.compile(r"replica_groups=mesh\[(.*?)\] *\{(.*?)\}")
_AXIS = re.compile(r"'(\w+)'=(\d+)")
_CHANNEL = re.compile(r"channel_id=(\d+)")
_CALLED = re.compile(r"(body|calls|to_apply)=%?([\w.-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


@dataclass(frozen=True)
class Collective:
    """One exchange of data between devices; a device is in one of its groups."""

    kind: str
    name: str
    group: int
    """Devices that exchange with each other."""
    payload: int
    """Bytes of the whole: of the sum, of what is gathered, of what is scattered."""
    overlapped: int | None
    """Computing instructions between its start and its end; None if it blocks."""
    times: int = 1
    """How often it runs: more than once in a loop."""

    @property
    def sent(self) -> float:
        """Bytes that a device sends each time."""
        if self.kind == "collective-permute":
            return float(self.payload)
        passes = 2 if self.kind == "all-reduce" else 1
        return passes * self.payload * (self.group - 1) / self.group


def collectives(hlo: str, devices: int) -> list[Collective]:
    """All collectives of a scheduled program over ``devices``, in the order of its text.

    One inside a loop runs as often as the compiler says the loop does, once if it does not say.
    Those of groups of one device move nothing and are left out.
    """
    found, computation = [], ""
    lines = hlo.splitlines()
    waits, times, carried = _waits(lines), _times(lines), _carried(lines)
    for line in lines:
        if header := _COMPUTATION.match(line):
            computation = header["name"]
        instruction = _INSTRUCTION.match(line)
        if instruction is None:
            continue
        op, started = instruction["op"], instruction["op"].endswith("-start")
        kind = op.removesuffix("-start")
        if kind not in KINDS:
            continue
        beside = None
        if channel := _CHANNEL.search(line):
            beside = carried.get(channel[1])
            if beside is not None and computation != beside[0]:
                continue  # the same exchange, carried on or ended
        group = _group(line, devices)
        payload = _payload(kind, started, instruction["type"], group)
        if kind == "all-reduce" and "all-reduce-scatter" in computation:
            kind = "reduce-scatter"  # the TPU compiler's fusion of the sum and the cut
        if group > 1:
            overlapped = waits.get(computation if not started else instruction["name"])
            overlapped = overlapped if beside is None else beside[1]
            found.append(
                Collective(
                    kind, instruction["name"], group, payload, overlapped, times(computation)
                )
            )
    return found


def _payload(kind: str, started: bool, shapes: str, group: int) -> int:
    sizes = [_bytes(*shape) for shape in _SHAPE.findall(shapes)]
    if kind == "collective-permute":
        return sizes[0]  # a started one lists operand, result and two words of context
    if kind == "all-gather" and started:
        return sum(sizes) * group // (group + 1)  # operands and results
    return sum(sizes) * (group if kind == "reduce-scatter" else 1)


def _bytes(kind: str, dimensions: str) -> int:
    numbers = [int(d.removeprefix("<=")) for d in dimensions.split(",") if d]
    return math.prod(numbers) * BITS.get(kind, 0) // 8


def _group(line: str, devices: int) -> int:
    if "source_target_pairs=" in line:
        return devices
    if match := _LISTED.search(line):
        return len(match[1].split(","))
    if match := _COUNTED.search(line):
        return int(match[1])
    if match := _NAMED.search(line):
        sizes = dict(_AXIS.findall(match[1]))
        return math.prod(int(sizes[name]) for name in re.findall(r"'(\w+)'", match[2]))
    return devices


def _waits(lines: list[str]) -> dict[str, int]:
    """Computing instructions between start and end, by name of the started one or what it calls."""
    counts: dict[str, int] = {}
    open_: dict[str, tuple[int, str]] = {}
    computed = 0
    for line in lines:
        instruction = _INSTRUCTION.match(line)
        if instruction is None:
            continue
        op, name = instruction["op"], instruction["name"]
        if op.endswith("-start"):
            called = re.search(r"calls=%?([\w.-]+)", line)
            open_[name] = (computed, called[1] if op == "async-start" and called else name)
        elif op.endswith("-done"):
            names = [n for n in re.findall(r"%?([\w.-]+)", instruction["rest"]) if n in open_]
            if names:
                before, key = open_.pop(names[0])
                counts[key] = computed - before
        elif op in COMPUTE:
            computed += 1
    return counts


def _carried(lines: list[str]) -> dict[str, tuple[str, int]]:
    """Exchanges that the TPU compiler fuses with computation, by channel.

    It starts them in one fusion, carries them on in others, each beside an operation, and ends them
    in a last one; all hold an instruction of the same channel. Given are the computation of the
    first and the number of those between.
    """
    inside: dict[str, list[str]] = {}
    started, ended = set(), set()
    computation = ""
    for line in lines:
        if header := _COMPUTATION.match(line):
            computation = header["name"]
        if channel := _CHANNEL.search(line):
            inside.setdefault(channel[1], []).append(computation)
        if '"AsyncCollectiveStart"' in line:
            started.add(computation)
        if '"AsyncCollectiveDone"' in line:
            ended.add(computation)
    carried = {}
    for channel, computations in inside.items():
        for first in started.intersection(computations):
            carried[channel] = (first, len(set(computations) - started - ended))
    return carried


def _times(lines: list[str]) -> Callable[[str], int]:
    """How often a computation runs, by its name."""
    callers: dict[str, tuple[str, int]] = {}
    computation = ""
    for line in lines:
        if header := _COMPUTATION.match(line):
            computation = header["name"]
        for what, name in _CALLED.findall(line):
            trips = _TRIPS.search(line) if what == "body" else None
            callers[name] = (computation, int(trips[1]) if trips else 1)

    def times(name: str) -> int:
        caller, trips = callers.get(name, ("", 1))
        return trips * times(caller) if caller else trips

    return times


def overlap(found: list[Collective]) -> float:
    """Share of the bytes sent by collectives that have computation between start and end."""
    total = sum(c.times * c.sent for c in found)
    return sum(c.times * c.sent for c in found if c.overlapped) / total if total else 0.0
