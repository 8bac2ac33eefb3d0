"""Texts in attributes of HDF5 files, in every way that h5py writes them."""

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np

HEAP = b"GCOL"
"""Begins a global heap, where texts of variable length lie: no checksum guards them."""
HEAP_HEAD = OBJECT_HEAD = 16
MOST_TEXTS = 16
"""Of an array."""


def text_attribute(item: h5py.Dataset | h5py.File, key: str) -> str | None:
    """A text, or those of an array with commas between; None if there is none.

    Raises:
      ValueError: it lies in a damaged part of the file.
    """
    if key not in item.attrs:
        return None
    kind = item.attrs.get_id(key).dtype
    if kind.kind == "S":
        return _text(item.attrs[key])
    if h5py.check_string_dtype(kind) is None:
        return None
    # HDF5 loops for ever in a damaged heap, so it is read through a file that looks first.
    with _SoundHeaps(Path(item.file.filename)) as raw, h5py.File(raw, "r") as file:
        return _text(file[item.name].attrs[key])


def _text(value: Any) -> str | None:
    if isinstance(value, np.ndarray):
        texts = [_text(part) for part in value.reshape(-1)[:MOST_TEXTS]]
        return None if None in texts else ", ".join(map(str, texts)) or None
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return value.strip("\0 \t\n") if isinstance(value, str) else None


class _SoundHeaps(io.RawIOBase):
    """A file for HDF5 to read, which raises ValueError on a heap that is damaged."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb")  # noqa: SIM115

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        data = bytes(memoryview(buffer)[:count])
        if data.startswith(HEAP):
            _require_sound_heap(data)
        return count


def _require_sound_heap(data: bytes) -> None:
    """Follow the objects of a heap from one to the next; each lies inside it and has a size."""
    size = int.from_bytes(data[8:16], "little")
    at = HEAP_HEAD
    while at + OBJECT_HEAD <= min(size, len(data)):
        number = int.from_bytes(data[at : at + 2], "little")
        length = int.from_bytes(data[at + 8 : at + 16], "little")
        # The size of object 0, the free space, counts its head; others are padded to 8 bytes.
        step = length if number == 0 else OBJECT_HEAD + -(-length // 8) * 8
        if step < OBJECT_HEAD or at + step > size:
            raise ValueError("a damaged heap of texts")
        at += step
