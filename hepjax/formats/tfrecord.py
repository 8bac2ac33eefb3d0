"""TFRecord files of ``tf.train.Example`` messages, plain or gzip, without TensorFlow.

Framing and checksums first, then the few fields of the protocol buffer that an Example has. What
the features mean is in jets/tfrecord.py.
"""

import gzip
import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np

from hepjax import InputError
from hepjax.formats.damage import reading

GZIP_MAGIC = b"\x1f\x8b"
RECORD_BYTES_LIMIT = 2**26
"""Longer records count as damage; 375 x 375 pixels in 8 channels take 4.5 MB."""

Feature = np.ndarray | list[bytes]
"""float32 or int64 (n,), or a list of byte strings."""


def is_tfrecord(path: Path) -> bool:
    """Whether a file begins with the checked length of a record."""
    try:
        with _open(path) as file:
            head = file.read(12)
    except (OSError, EOFError, ValueError):
        return False
    return len(head) == 12 and _masked_crc(head[:8]) == int.from_bytes(head[8:], "little")


def read_records(path: Path) -> Iterator[bytes]:
    """The records of a file in order, both checksums (masked CRC-32C) of each verified.

    Raises:
      InputError: a checksum or length that is wrong, a file cut short, damaged gzip data.
    """
    with reading(path, "TFRecord"), _open(path) as file:
        number = 0
        while head := file.read(12):
            where = f"in record {number}"
            if len(head) < 12 or _masked_crc(head[:8]) != int.from_bytes(head[8:], "little"):
                raise InputError(_damaged(path, f"a wrong checksum of the length {where}"))
            length = int.from_bytes(head[:8], "little")
            if length > RECORD_BYTES_LIMIT:
                raise InputError(
                    f"{path}: expected records of at most {RECORD_BYTES_LIMIT} bytes, found "
                    f"{length} {where}"
                )
            data, crc = file.read(length), file.read(4)
            if len(data) < length or len(crc) < 4:
                raise InputError(_damaged(path, f"the end of the file {where}"))
            if _masked_crc(data) != int.from_bytes(crc, "little"):
                raise InputError(_damaged(path, f"a wrong checksum of the data {where}"))
            yield data
            number += 1
        if not number:
            raise InputError(f"{path}: expected records, found an empty file")


def write_record(file: BinaryIO, data: bytes) -> None:
    """Append one record with its checksums."""
    length = struct.pack("<Q", len(data))
    file.write(length + struct.pack("<I", _masked_crc(length)))
    file.write(data + struct.pack("<I", _masked_crc(data)))


def parse_example(data: bytes) -> dict[str, Feature]:
    """Features of a serialised ``tf.train.Example`` by name.

    Raises:
      ValueError: not such a message.
    """
    view = memoryview(data)
    found: dict[str, Feature] = {}
    for features in _messages(view, 1):
        for entry in _messages(features, 1):
            key = b"".join(bytes(m) for m in _messages(entry, 1)).decode()
            for feature in _messages(entry, 2):
                found[key] = _feature(feature)
    return found


@contextmanager
def _open(path: Path) -> Iterator[io.BufferedIOBase]:
    with open(path, "rb") as file:
        if file.peek(2)[:2] == GZIP_MAGIC:
            with gzip.open(file) as inflated:
                yield inflated
        else:
            yield file


def _masked_crc(data: bytes) -> int:
    """CRC-32C, rotated by 15 bits and shifted by a constant, as TFRecord stores it."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _damaged(path: Path, found: str) -> str:
    return f"{path}: expected a whole and sound TFRecord file, found {found}; copy it again"


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number in 7-bit groups, low ones first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError("a number without an end in a tf.train.Example")


def _fields(data: memoryview) -> Iterator[tuple[int, int, memoryview, int]]:
    """Number, wire type, bytes and (of wire type 0) value of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire, value = tag >> 3, tag & 7, 0
        if wire == 0:
            value, end = _varint(data, at)
        elif wire == 2:
            length, at = _varint(data, at)
            end = at + length
        elif wire in (1, 5):
            end = at + (8 if wire == 1 else 4)
        else:
            raise ValueError(f"wire type {wire} in a tf.train.Example")
        if end > len(data):
            raise ValueError("a field that is longer than its tf.train.Example")
        yield number, wire, data[at:end], value
        at = end


def _messages(data: memoryview, number: int) -> Iterator[memoryview]:
    """The contents of every field ``number`` of a message; other fields are skipped."""
    for found, wire, content, _ in _fields(data):
        if found == number:
            if wire != 2:
                raise ValueError(f"wire type {wire} in place of a message in a tf.train.Example")
            yield content


def _feature(data: memoryview) -> Feature:
    """A Feature: one of bytes_list = 1, float_list = 2, int64_list = 3."""
    feature: Feature = np.empty(0, np.float32)
    for number, wire, content, _ in _fields(data):
        if wire != 2 or number not in (1, 2, 3):
            raise ValueError("a feature that is neither bytes, floats nor integers")
        if number == 1:
            feature = [bytes(value) for value in _messages(content, 1)]
        else:
            feature = _floats(content) if number == 2 else _integers(content)
    return feature


def _floats(data: memoryview) -> np.ndarray:
    if len(data) % 5 == 0 and len(data) and data[0] == 0x0D:
        # One field a value, as old writers have it: the tag 0x0D, then four bytes.
        fields = np.frombuffer(data, np.uint8).reshape(-1, 5)
        if (fields[:, 0] == 0x0D).all():
            return fields[:, 1:].copy().view("<f4").reshape(-1)
    parts = []
    for number, wire, content, _ in _fields(data):
        if number != 1 or wire not in (2, 5) or len(content) % 4:
            raise ValueError("a list of floats with something else in it")
        parts.append(np.frombuffer(content, "<f4"))
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.float32), *parts])


def _integers(data: memoryview) -> np.ndarray:
    values: list[int] = []
    for number, wire, content, value in _fields(data):
        if number != 1 or wire not in (0, 2):
            raise ValueError("a list of integers with something else in it")
        if wire == 0:
            values.append(value)
        at = 0
        while wire == 2 and at < len(content):
            value, at = _varint(content, at)
            values.append(value)
    return np.array(values, np.uint64).view(np.int64)
