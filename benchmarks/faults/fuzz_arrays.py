"""Mutations of the arrays in a file, and how files of each container are written from arrays.

A mutation says what is right afterwards: ``must`` be read with the values of before, ``same`` if it
is read at all, ``refuse``, or ``any``: numbers that are finite and as many as they should be.
"""

import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.faults.fuzz_samples import Arrays, events_of
from benchmarks.speed.legacy_layouts import serialize_example
from hepjax.formats.tfrecord import write_record

NAMES = (
    "", " ", "x", "X", "X_jets", "X_jet", "ECAL", "ecal", "y", "label", "target", "energy", "theta",
    "a/b", "/", ".", "..", "é", "ü" * 40, "n" * 300, "a\nb", "a b", "cell", "value", "idx", "event",
)  # fmt: skip
NUMBERS = (
    np.nan, np.inf, -np.inf, -1.0, -1e-30, 0.5, 7.0, 255.0, 1e9, 1e30, 3.5e38, 1e39, 1e300, 2.0**63,
)  # fmt: skip
TYPES = (
    "f2", "f4", ">f4", "f8", ">f8", "f16", "i1", "i2", ">i4", "i8", "u1", "u2", "u8", "?", "c8",
    "S4", "U3",
)  # fmt: skip
FORTRAN = "Fortran order"
"""Of npz arrays; it is refused, because events cannot be read one after another then."""
PIXELS = ("ECAL", "X_jets", "x_train", "x_test", "X", "ygen", "ycand", "showers")
"""Arrays whose every number counts."""


@dataclass
class Mutated:
    """Arrays after a mutation."""

    name: str
    arrays: dict[str, Any]
    right: str = "any"
    touched: set[str] = field(default_factory=set)
    """Names of arrays that are not what they were."""


def mutate(arrays: Arrays, draw: random.Random) -> Mutated:
    """One mutation of a dictionary of arrays."""
    name = draw.choice(sorted(arrays))
    return draw.choice(MUTATIONS)(dict(arrays), name, draw)


def _dropped(arrays: Arrays, name: str, draw: random.Random) -> Mutated:
    del arrays[name]
    return Mutated(f"without {name}", arrays, touched={name})


def _renamed(arrays: Arrays, name: str, draw: random.Random) -> Mutated:
    new = draw.choice([*NAMES, name.lower(), name.upper(), f" {name}", f"{name}s", f"g/{name}"])
    gone = arrays.pop(new, None) is not None
    arrays[new] = arrays.pop(name) if name in arrays else np.zeros(3)
    return Mutated("renamed", arrays, touched={name, new} if gone or name != new else set())


def _of_type(arrays: Arrays, name: str, draw: random.Random) -> Mutated:
    kind, before = np.dtype(draw.choice(TYPES)), arrays[name]
    with np.errstate(all="ignore"):
        arrays[name] = before.astype(kind)
        kept = kind.kind in "fiu" and np.array_equal(arrays[name].astype(before.dtype), before)
    image = name in PIXELS and kind in ("<f4", ">f4", "<f8", ">f8")
    right = "must" if kept and image else "same" if kept else "any"
    return Mutated(f"type {kind}", arrays, right, set() if kept else {name})


def _of_shape(arrays: Arrays, name: str, draw: random.Random) -> Mutated:
    values = arrays[name]
    shapes = [
        values[None], values[..., None], values.reshape(-1), values[..., :0], values[:0],
        values.reshape(len(values), -1), values.T, values.reshape(-1)[0], values[:, None],
        np.repeat(values, 2, -1), np.repeat(values, 3, 0), values[:-1], values[1:], values[:1],
        np.concatenate([values, values[:1]]), np.broadcast_to(values.reshape(-1)[0], values.shape),
    ]  # fmt: skip
    arrays[name] = draw.choice(shapes)
    return Mutated(f"shape {arrays[name].shape}", arrays, touched={name})


def _with_number(arrays: Arrays, name: str, draw: random.Random) -> Mutated:
    number = draw.choice(NUMBERS)
    with np.errstate(all="ignore"):
        flat = arrays[name].reshape(-1).astype(draw.choice(["f4", "f8"]))
        flat[[draw.randrange(len(flat)) for _ in range(draw.choice([1, 1, 5]))]] = number
    arrays[name] = flat.reshape(arrays[name].shape)
    most = 3.4e41 if name == "showers" else 3.4e38  # MeV and GeV, in 32 bits
    lost = name in PIXELS and not abs(number) < most
    return Mutated(f"a number {number:g}", arrays, "refuse" if lost else "any", {name})


def _with_texts(arrays: Arrays, name: str, draw: random.Random) -> Mutated:
    arrays[name] = np.full(arrays[name].shape[:1], draw.choice(["", "quark", "1", "é", "\0"]))
    return Mutated("texts", arrays, touched={name})


def _exchanged(arrays: Arrays, name: str, draw: random.Random) -> Mutated:
    other = draw.choice(sorted(arrays))
    arrays[name], arrays[other] = arrays[other], arrays[name]
    return Mutated("exchanged", arrays, touched={name, other} if name != other else set())


def _with_another(arrays: Arrays, name: str, draw: random.Random) -> Mutated:
    new = draw.choice(NAMES)
    rows = draw.choice([len(arrays[name]), 0, 1, 1000])
    made = np.zeros((rows, *draw.choice([(), (), (1,), (3,), (9, 9, 3)])), draw.choice(TYPES))
    replaced = {new} if new in arrays else set()
    return Mutated("one more", arrays | {new: made}, touched=replaced | {new})


def _scaled(arrays: Arrays, name: str, draw: random.Random) -> Mutated:
    with np.errstate(all="ignore"):
        arrays[name] = arrays[name] * draw.choice([0, -1, 1e-6, 1e-3, 0.02, 50, 1e3, 1e6, 1e38])
    return Mutated("scaled", arrays, touched={name})


def _shuffled(arrays: Arrays, name: str, draw: random.Random) -> Mutated:
    flat = arrays[name].reshape(-1).copy()
    np.random.default_rng(draw.randrange(2**31)).shuffle(flat)
    return Mutated("shuffled", arrays | {name: flat.reshape(arrays[name].shape)}, touched={name})


MUTATIONS: tuple[Callable[[Arrays, str, random.Random], Mutated], ...] = (
    _dropped, _renamed, _of_type, _of_type, _of_shape, _of_shape, _with_number, _with_number,
    _with_texts, _exchanged, _with_another, _scaled, _shuffled,
)  # fmt: skip


def write(kind: str, path: Path, arrays: dict[str, Any], draw: random.Random | None) -> str:
    """Write a file of the container ``kind``, with options that keep the values if drawn.

    Returns:
      the options that are not the usual ones, in words.
    """
    return WRITERS[kind](path, arrays, draw)


def _hdf5(path: Path, arrays: dict[str, Any], draw: random.Random | None) -> str:
    said = []
    version = draw.choice(["earliest", "latest", "v110"]) if draw else "earliest"
    block = draw.choice([0, 0, 512, 4096]) if draw else 0
    with h5py.File(path, "w", libver=version, userblock_size=block) as file:
        for name, values in arrays.items():
            values = np.asarray(values)
            if values.dtype.kind in "UO":
                values = values.astype(object)
            options: dict[str, Any] = {}
            if name in PIXELS and values.ndim > 1 and values.size:
                rows = min(4, len(values))
                options = {"chunks": (rows, *values.shape[1:]), "compression": "gzip"}
            if draw and values.ndim and values.size and values.dtype.kind in "fiu":
                options = draw.choice(_storages(values, draw))
                said.append(str(options))
            file.create_dataset(name, data=values, **options)
    return f"{version}, user block {block}, {said}" if draw else ""


def _storages(values: np.ndarray, draw: random.Random) -> list[dict[str, Any]]:
    """Ways to store a dataset that keep its numbers."""
    chunks = tuple(draw.randint(1, n) for n in values.shape)
    return [
        {}, {"chunks": chunks}, {"chunks": True}, {"chunks": chunks, "compression": "gzip"},
        {"chunks": chunks, "compression": "lzf"}, {"chunks": chunks, "shuffle": True},
        {"chunks": chunks, "fletcher32": True},
        {"chunks": chunks, "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"maxshape": (None, *values.shape[1:])}, {"chunks": chunks, "fillvalue": 3},
        {"compression": "gzip", "compression_opts": draw.randint(0, 9)},
    ]  # fmt: skip


def _npz(path: Path, arrays: dict[str, Any], draw: random.Random | None) -> str:
    compressed = draw.choice([True, False]) if draw else True
    fortran = bool(draw and draw.random() < 0.3)
    made = {k: np.asfortranarray(v) if fortran else np.asarray(v) for k, v in arrays.items()}
    with path.open("wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, **made)
    return f"{'deflated' if compressed else 'stored'}, {FORTRAN if fortran else 'C order'}"


def _parquet(path: Path, arrays: dict[str, Any], draw: random.Random | None) -> str:
    columns = {}
    for name, values in arrays.items():
        values = np.asarray(values)
        if values.dtype.byteorder == ">":
            values = values.astype(values.dtype.newbyteorder("="))
        if name == "X_jets" and values.ndim == 4:
            values = values.transpose(0, 3, 1, 2)
        columns[name] = pa.array(values) if values.ndim == 1 else pa.array(values.tolist())
    options = {
        "compression": draw.choice(["none", "snappy", "gzip", "zstd", "lz4", "brotli"]),
        "row_group_size": draw.choice([1, 3, 100]), "use_dictionary": draw.random() < 0.5,
        "version": draw.choice(["1.0", "2.6"]), "data_page_version": draw.choice(["1.0", "2.0"]),
        "write_page_checksum": draw.random() < 0.5, "write_statistics": draw.random() < 0.5,
    } if draw else {"write_page_checksum": True}  # fmt: skip
    pq.write_table(pa.table(columns), path, **options)
    return str(options) if draw else ""


def _tfrecord(path: Path, arrays: dict[str, Any], draw: random.Random | None) -> str:
    rows = max((len(v) for v in map(np.asarray, arrays.values()) if v.ndim), default=0)
    with path.open("wb") as file:
        for row in range(rows):
            features = {}
            for name, values in arrays.items():
                values = np.asarray(values)
                if values.ndim and row < len(values):
                    features[name] = _feature(values[row])
            write_record(file, serialize_example(features))
    return ""


def _feature(values: np.ndarray) -> bytes:
    from benchmarks.speed.legacy_layouts import _field, _float_list

    values = np.asarray(values)
    if values.dtype.kind in "USO":
        texts = [str(v).encode() for v in values.reshape(-1)]
        return _field(1, b"".join(_field(1, text) for text in texts))
    with np.errstate(all="ignore"):
        return _float_list(values.reshape(-1).real.astype("f4"))


def _pickle(path: Path, arrays: dict[str, Any], draw: random.Random | None) -> str:
    import bz2
    import gzip
    import lzma

    protocol = draw.randint(0, 5) if draw else 4
    opener = draw.choice([bz2.compress, gzip.compress, lzma.compress, bytes]) if draw else None
    made = events_of(arrays)
    lists = {key: [np.asarray(e[key]) for e in made] for key in made[0]}
    path.write_bytes((opener or bz2.compress)(pickle.dumps(lists, protocol)))
    return f"protocol {protocol}, {getattr(opener, '__module__', '')}" if draw else ""


WRITERS: dict[str, Callable[[Path, dict[str, Any], random.Random | None], str]] = {
    "hdf5": _hdf5, "npz": _npz, "parquet": _parquet, "tfrecord": _tfrecord, "pickle": _pickle,
}  # fmt: skip
