"""Event files of TensorBoard: TFRecords of ``Event`` messages with scalars, written as they come.

The messages are tensorflow/core/util/event.proto: wall_time (1), step (2), file_version (3),
summary (5, whose values have tag 1 and simple_value 2) and session_log (7). They are a few fields,
encoded here, so that no package is needed to write them.
"""

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hepjax.formats.tfrecord import write_record

Write = Callable[[int, float, Mapping[str, float]], None]
"""(step, time in seconds since 1970, numbers by tag)."""
START = b"\x08\x01"
"""A session log: what a reader has of this step and later is void."""


@contextmanager
def event_file(folder: Path, step: int) -> Iterator[Write]:
    """Yield what appends scalars to a new event file; each is on the disk when it returns.

    Args:
      step: the first that is new: after a resume, numbers of later steps in older files are void.
    """
    folder.mkdir(parents=True, exist_ok=True)
    now = time.time()
    name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}"
    with (folder / name).open("ab") as file:

        def append(event: bytes) -> None:
            write_record(file, event)
            file.flush()

        append(_event(now) + _bytes(3, b"brain.Event:2"))
        append(_event(now, step) + _bytes(7, START))

        def write(step: int, at: float, scalars: Mapping[str, float]) -> None:
            values = b"".join(
                _bytes(1, _bytes(1, tag.encode()) + _float(2, value))
                for tag, value in scalars.items()
            )
            append(_event(at, step) + _bytes(5, values))

        yield write


def _event(at: float, step: int = 0) -> bytes:
    """Wall time and step, the first fields of an event."""
    return b"\x09" + struct.pack("<d", at) + b"\x10" + _varint(step)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
