"""Mutations of the structure of pickles of events and of TFRecord files, see fuzz_containers.py."""

import bz2
import gzip
import os
import pickle
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults.fuzz_samples import flat_events, lists_of
from benchmarks.speed.legacy_layouts import serialize_example
from hepjax.formats.tfrecord import read_records, write_record


class _Command:
    """What a hostile pickle holds."""

    def __reduce__(self) -> Any:
        return os.system, ("touch hacked",)


def tamper(path: Path, draw: random.Random) -> tuple[str, str]:
    """One mutation of a pickle of events."""
    lists: dict[str, Any] = lists_of(flat_events())
    key = draw.choice(sorted(lists))
    event = draw.randrange(len(lists[key]))
    rows = lists[key][event]
    contents: dict[str, Any] = {
        "a list short": {**lists, key: lists[key][:-1]},
        "an array": {**lists, key: np.concatenate(lists[key])},
        "a tuple": {**lists, key: tuple(lists[key])},
        "an object": {**lists, key: [object()]},
        "numbers": {**lists, key: [1, 2, 3]},
        "no lists": {k: [] for k in lists},
        "None": {**lists, key: None},
        "another dictionary": {"a": 1, "b": [2]},
        "a list": list(lists.values()),
        "a text": "hello",
        "a command": {**lists, "x": _Command()},
        "only a command": _Command(),
        "more keys": {**lists, "more": [{"a": [1, (2, 3)]}], "é": "x" * 1000},
        "keys of numbers": {**lists, 5: 1},
        "one array often": {k: [v[0]] * 50 for k, v in lists.items()},
        "nothing": {},
        "deep": _nested(500),
    }
    arrays = {
        "a row short": rows[:-1], "a column short": rows[:, :-1], "flat": rows.reshape(-1),
        "no rows": rows[:0], "texts": rows.astype(str), "objects": rows.astype(object),
        "NaN": np.where(rows == rows.max(), np.nan, rows), "half": rows.astype("f2"),
        "big": rows.astype(">f8"), "whole": rows.astype("i8"), "Fortran": np.asfortranarray(rows),
        "negative": -rows, "huge": rows * 1e300, "complex": rows.astype("c16"),
        "dates": rows.astype("i8").astype("M8[s]"), "records": np.zeros(len(rows), [("a", "f4")]),
    }  # fmt: skip
    if draw.random() < 0.5:
        name = draw.choice(sorted(contents))
        content = contents[name]
    else:
        name = draw.choice(sorted(arrays))
        changed = list(lists[key])
        changed[event] = arrays[name]
        content, name = {**lists, key: changed}, f"{key}: {name}"
    protocol = draw.randint(0, 5)
    path.write_bytes(bz2.compress(pickle.dumps(content, protocol)))
    hostile = "command" in name or "NaN" in name
    return f"pickle, {name}, protocol {protocol}", "refuse" if hostile else "any"


def _nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


def tamper_records(path: Path, draw: random.Random) -> tuple[str, str]:
    """One mutation of a TFRecord file."""
    records = list(read_records(path))
    number = draw.randrange(len(records))
    kind = draw.choice(
        ["gzip", "another", "empty", "huge", "foreign", "removed", "doubled", "garbage", "deep"]
    )
    right = "any"
    if kind == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes()))
        return "TFRecord, gzip", "must"
    if kind == "huge":
        length = struct.pack("<Q", draw.choice([2**27, 2**40, 2**63]))
        from hepjax.formats.tfrecord import _masked_crc

        with path.open("ab") as file:
            file.write(length + struct.pack("<I", _masked_crc(length)) + b"x" * 100)
        return "TFRecord, huge", "refuse"
    if kind == "removed":
        del records[number]
    elif kind == "doubled":
        records.insert(number, records[number])
    else:
        other = {
            "another": serialize_example({"other": b"\x12\x06\x0a\x04\x00\x00\x80\x3f"}),
            "empty": b"", "foreign": b"hello, world", "deep": b"\x0a\x80\x01" * 200,
            "garbage": draw.randbytes(len(records[number])),
        }  # fmt: skip
        records[number] = other[kind]
        right = "refuse"
    with path.open("wb") as file:
        for record in records:
            write_record(file, record)
    return f"TFRecord, {kind}", right
