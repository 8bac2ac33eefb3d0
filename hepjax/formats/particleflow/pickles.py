"""The published MLPF files, ``tev14_pythia8_ttbar_0_0.pkl.bz2``: one array an event, float64.

Compression is told by the content: bz2 as published, gzip, xz or none. The whole file must be read
to know how many elements its events have, and again for any of them.
"""

import bz2
import gzip
import io
import lzma
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hepjax import InputError
from hepjax.formats.particleflow.columns import ARRAYS
from hepjax.formats.particleflow.events import EventFile, Events, join
from hepjax.formats.particleflow.safe_pickle import RefusedError, read_arrays

NAME = re.compile(r".+\.(pkl|pickle)(\.(bz2|gz|xz|lzma|zst|lz4|zip|z))?", re.IGNORECASE)
"""Files that say by their name that they are pickles."""
COMPRESSIONS = {
    b"BZh": "bz2", b"\x1f\x8b": "gzip", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd",
    b"\x5d\0\0": "lzma", b"\x78\x01": "zlib", b"\x78\x9c": "zlib", b"\x78\xda": "zlib",
    b"\x04\x22\x4d\x18": "lz4", b"PK\x03\x04": "zip",
}  # fmt: skip
"""By the bytes that such files begin with."""
READ = ("bz2", "gzip", "xz")
HEADS = re.compile(rb"\x80[\x02-\x05]|\(d|}q|\(lp|]q")
"""What pickles begin with: protocols 2 to 5; dictionaries and lists in protocols 0 and 1."""
MAX_BYTES = 2**30
"""Decompressed; the published files of 100 events with 200 pile-up collisions have 10**8."""
READ_BYTES = 2**22
XZ_MEMORY = 2**28
"""For the dictionary of an xz file, which may ask for any amount; 64 MiB at its highest level."""


def is_named_so(path: Path) -> bool:
    """Whether the name is one of a pickle, in any case."""
    return NAME.fullmatch(path.name) is not None


def is_pickle(path: Path) -> bool:
    """Whether the content is a pickle, compressed or not."""
    try:
        with open(path, "rb") as file:
            head = file.read(16)
            kind = _compression(head)
            if kind in READ:
                file.seek(0)
                head = next(_chunks(file, kind, 16), b"")
    except (OSError, EOFError, ValueError, lzma.LZMAError):
        return False
    return HEADS.match(head) is not None


def describe(path: Path) -> EventFile:
    """What the file holds.

    Raises:
      InputError: unreadable, damaged, or not lists of arrays of the layout.
    """
    events = _events(path)
    return EventFile(
        path, "published pickle", np.diff(events.first), np.array([0, len(events)]),
        partial(read, path),
    )  # fmt: skip


def read(path: Path, start: int, stop: int) -> Events:
    """Events ``start`` to ``stop``.

    Raises:
      InputError: see ``describe``.
    """
    events = _events(path)
    rows = slice(events.first[start], events.first[stop])
    first = events.first[start : stop + 1] - events.first[start]
    return Events(first, events.X[rows], events.ygen[rows], events.ycand[rows])


def _events(path: Path) -> Events:
    try:
        lists = read_arrays(_decompress(path), MAX_BYTES)
    except InputError:
        raise
    except RefusedError as error:
        raise InputError(
            f"{path}: expected a pickle of arrays, found {error}; a pickle can run any command, "
            "use this one only if you trust its maker"
        ) from None
    except (Exception, MemoryError) as error:
        cause = (str(error) or type(error).__name__).splitlines()[0][:100]
        raise InputError(
            f"{path}: expected a sound pickle, found a damaged one ({cause}); copy it again"
        ) from error
    for key in ARRAYS:
        if key not in lists:
            found = ", ".join(sorted(lists))[:100] or "none"
            raise InputError(f"{path}: expected a list of arrays {key!r}, found {found}")
    counts = {key: len(lists[key]) for key in ARRAYS}
    if not counts["X"] or len(set(counts.values())) > 1:
        raise InputError(f"{path}: expected events, as many in each list, found {counts}")
    return join(path, 0, [{key: lists[key][i] for key in ARRAYS} for i in range(counts["X"])])


def _decompress(path: Path) -> io.BytesIO:
    data = io.BytesIO()
    kind = ""
    try:
        with open(path, "rb") as file:
            kind = _kind(path, file)
            for chunk in _chunks(file, kind, READ_BYTES):
                data.write(chunk)
                if data.tell() > MAX_BYTES:
                    raise InputError(
                        f"{path}: expected at most {MAX_BYTES // 2**20} MiB when decompressed, "
                        "found more; write fewer events to a file"
                    )
    except InputError:
        raise
    except EOFError:
        raise InputError(f"{path}: expected a whole {kind} file, found one cut short") from None
    except (Exception, MemoryError) as error:
        cause = getattr(error, "strerror", None) or f"no {kind or 'pickle'} file, or a damaged one"
        what = f"{kind} file" if kind else "file"
        raise InputError(f"{path}: expected a readable {what}, found {cause}") from None
    data.seek(0)
    return data


def _compression(head: bytes) -> str:
    """By the first bytes; empty for none of those known."""
    return next((kind for magic, kind in COMPRESSIONS.items() if head.startswith(magic)), "")


def _kind(path: Path, file: BinaryIO) -> str:
    """The compression of an open file, by its content.

    Raises:
      InputError: one that is not read, or neither compressed nor a pickle.
    """
    head = file.read(16)
    file.seek(0)
    kind = _compression(head)
    if not head:
        raise InputError(f"{path}: expected a sound pickle, found an empty file")
    if kind in READ or (not kind and HEADS.match(head)):
        return kind
    said = path.suffix.lower().removeprefix(".")
    wanted = {"gz": "gzip"}.get(said, said)
    if wanted in READ:
        raise InputError(
            f"{path}: expected a readable {wanted} file, found no {wanted} file, or a damaged one"
        )
    if kind:
        raise InputError(
            f"{path}: expected a pickle in {', '.join(READ)} or uncompressed, found {kind}; "
            "decompress it first"
        )
    return ""


def _chunks(file: BinaryIO, kind: str, size: int) -> Iterator[bytes]:
    """The decompressed content, ``size`` bytes or less at a time.

    Raises:
      EOFError: it is cut short.
    """
    if kind == "xz":
        yield from _xz(file, size)
        return
    openers: dict[str, Any] = {"bz2": bz2.open, "gzip": gzip.open}
    opened = openers[kind](file) if kind else file
    while chunk := opened.read(size):
        yield chunk


def _xz(file: BinaryIO, size: int) -> Iterator[bytes]:
    machine = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
    while True:
        data = file.read(READ_BYTES) if machine.needs_input else b""
        if machine.needs_input and not data:
            raise EOFError
        chunk = machine.decompress(data, size)
        if chunk:
            yield chunk
        if machine.eof:
            rest = machine.unused_data.lstrip(b"\0") or file.read(READ_BYTES).lstrip(b"\0")
            if not rest:
                return
            machine = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
            if chunk := machine.decompress(rest, size):
                yield chunk
