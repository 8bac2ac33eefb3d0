"""What a trace of ``jax.profiler`` says of each device: which operation ran when.

On a CPU every event of an operation carries its name (``hlo_op``) and device; on GPUs a plane for
each device has a line for each stream, whose events are kernels.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hepjax.bench.intervals import Gaps, Ran
from hepjax.bench.operations import CONTAINERS, Operation, by_kernel

UPDATES, FETCH = "hepjax.updates", "hepjax.fetch"
"""Annotations around the traced updates, and around the loop's waiting for a batch."""
DEVICE = re.compile(r"^/device:(?:GPU|TPU):(\d+)")
NOT_KERNELS = re.compile(r"^(XLA Modules|Steps|Framework|Source|XLA TraceMe|Async|Launch Stats)")
"""Lines of a device that sum up what other lines have."""


class Key(NamedTuple):
    """What a kernel is: its own name and that of its instruction, empty if unknown."""

    kernel: str
    operation: str


class Trace(NamedTuple):
    """A trace as it is counted."""

    window: tuple[float, float]
    """ns, from the first traced update to the end of the last."""
    fetches: Gaps
    devices: dict[int, list[Ran]]
    keys: dict[str, Key]
    """By the names that ``devices`` has."""


def read(path: Path, known: Mapping[str, Operation]) -> Trace:
    """Read an ``.xplane.pb`` file.

    Args:
      known: the instructions of the programs that ran.
    """
    import jax

    return gather(jax.profiler.ProfileData.from_file(str(path)).planes, known)


def gather(planes: Iterable[Any], known: Mapping[str, Operation]) -> Trace:
    """``read`` for planes that are read already."""
    kernels = by_kernel(known)
    window, fetches = (0.0, 0.0), []
    devices: dict[int, list[Ran]] = {}
    keys: dict[str, Key] = {}
    for plane in planes:
        device = DEVICE.match(plane.name)
        for line in plane.lines:
            if device and NOT_KERNELS.match(line.name):
                continue
            for event in line.events:
                start, stop = event.start_ns, event.start_ns + event.duration_ns
                if event.name == UPDATES:
                    window = start, stop
                elif event.name == FETCH:
                    fetches.append((start, stop))
                if not device and event.name not in known:
                    continue  # on a CPU an event of an operation has its name
                stats = dict(event.stats)
                if not device and "hlo_op" not in stats:
                    continue
                name = str(stats.get("hlo_op", ""))
                name = name if name in known else kernels.get(event.name, "")
                key = Key(event.name, name)
                keys["/".join(key)] = key
                container = name in known and known[name].opcode in CONTAINERS
                number = int(device[1] if device else stats.get("device_ordinal", 0))
                ran = Ran(start, stop, "/".join(key), container)
                devices.setdefault(number, []).append(ran)
    return Trace(window, sorted(fetches), devices, keys)
