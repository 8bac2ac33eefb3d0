"""Mutations of what a file is beside its arrays: attributes, links, nesting, types, metadata.

Each takes a sound file or folder and changes it in place; it gives its name and what is right
afterwards, see fuzz_arrays.py.
"""

import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.faults import fuzz_pickles
from benchmarks.faults.fuzz_arrays import NAMES, PIXELS
from benchmarks.faults.fuzz_samples import CELLS
from hepjax.formats.packed.manifest import FILE, seal
from hepjax.formats.showers.calorimeters import as_yaml, by_shape, unknown

Told = tuple[str, str]
UNITS = (
    "GeV", "gev", " GeV ", "MeV", "keV", "eV", "TeV", "0.02 GeV", "GeV x 50", "inch", "", "rad",
    "deg", b"GeV", b"\xff\xfe", "é", 1.0, np.array([1, 2]), ["GeV", "MeV"], h5py.Empty("f4"),
    np.bytes_("MeV"), np.array(["MeV"], object), "code, GeV", "GeV" * 5000,
)  # fmt: skip
TEXTS = (
    "", "null", "[]", "{}", "[1, 2]", '["pT", "d0", "ECAL"]', '["pT"]', '{"0": "a", "1": "b"}',
    '{"x": "a"}', "[9, 9]", "[-9, 9]", "[1e9, 1e9]", "[" * 3000, '"text"', "NaN", "{", "\0", "é",
    '{"0": "a", "1": "a"}', '["pT", "pT", "pT"]', '["pT:GeV", "d0:cm", "ECAL:GeV"]', "1" * 5000,
)  # fmt: skip
JSON_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 2**31, 2**63, 2**70, 1e308, "", "x", "é" * 100, "../../etc/passwd", [],
    {}, [1], {"a": 1}, [[[]]],
)  # fmt: skip


def tamper(kind: str, path: Path, draw: random.Random) -> Told:
    """One mutation of a sound file of this container."""
    return draw.choice(KINDS[kind])(path, draw)


def _pick(file: h5py.File, draw: random.Random) -> str:
    return draw.choice(sorted(k for k in file if isinstance(file.get(k), h5py.Dataset)))


def _attribute(path: Path, draw: random.Random) -> Told:
    with h5py.File(path, "a") as file:
        if draw.random() < 0.6:
            name, key = _pick(file, draw), draw.choice(["unit", "units", "Unit", "Units"])
            value = draw.choice(UNITS)
            file[name].attrs[key] = value
            return f"{key} of {name}: {str(value)[:20]!r}", "any"
        if draw.random() < 0.3:
            text = _geometry(draw)
            file.attrs["geometry"] = np.bytes_(text.encode().replace(b"\0", b""))
            return f"geometry: {text[-60:]!r}", "any"
        key = draw.choice(["channels", "labels", "shape"])
        text = draw.choice(TEXTS)
        options = [np.bytes_(text.encode().replace(b"\0", b"")), 5, np.zeros(3), h5py.Empty("S1")]
        file.attrs[f"hepjax.{key}"] = draw.choice([options[0], options[0], *options])
        return f"hepjax.{key}: {text[:20]!r}", "any"


def _geometry(draw: random.Random) -> str:
    """The description of the calorimeter of the samples, or of another, with a line changed."""
    lines = yaml.safe_dump(as_yaml(draw.choice([unknown(CELLS), by_shape((368,))]))).splitlines()
    at = draw.randrange(len(lines))
    key, _, value = lines[at].partition(":")
    lines[at] = draw.choice([f"{key}: {draw.choice(TEXTS)}", f"{key}: -{value.strip()}", key, ""])
    return "\n".join(lines)


def _link(path: Path, draw: random.Random) -> Told:
    kind = draw.choice(
        ["soft", "dangling", "loop", "hard", "external", "missing", "deep", "group", "type"]
    )
    other = path.with_name("elsewhere.bin")
    with h5py.File(path, "a") as file:
        name = _pick(file, draw)
        if kind == "hard":
            file[f"{name}2"] = file[name]
            return f"a second name of {name}", "any"
        if kind == "external":
            with h5py.File(other, "w") as there:
                file.copy(name, there)
        if kind in ("soft", "deep"):
            file.move(name, "hidden/deeper/data")
        else:
            del file[name]
        if kind == "group":
            file.create_group(name)
        elif kind == "type":
            file[name] = np.dtype("f4")
        elif kind != "deep":
            targets = {
                "soft": h5py.SoftLink("/hidden/deeper/data"), "dangling": h5py.SoftLink("/none"),
                "loop": h5py.SoftLink(f"/{name}"), "external": h5py.ExternalLink(other.name, name),
                "missing": h5py.ExternalLink("none.h5", name),
            }  # fmt: skip
            file[name] = targets[kind]
    right = "must" if kind in ("soft", "external") else "refuse" if name in PIXELS else "any"
    return f"{kind} link of {name}", right


def _unwritten(path: Path, draw: random.Random) -> Told:
    with h5py.File(path, "a") as file:
        name = _pick(file, draw)
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        kind = draw.choice(["unwritten", "huge", "virtual", "raw", "filter", "empty", "scalar"])
        chunks = tuple(min(2, n) or 1 for n in shape)
        if kind == "unwritten":
            file.create_dataset(name, shape, dtype, chunks=chunks)
        elif kind == "huge":
            many = (draw.choice([2**31, 2**40, 2**62]), *shape[1:])
            chunk = (1, *(draw.choice([n, 1]) for n in shape[1:]))
            try:
                file.create_dataset(name, many, dtype, chunks=chunk)
            except ValueError:  # more bytes than HDF5 counts
                file.create_dataset(name, (2**31, *shape[1:]), dtype, chunks=chunk)
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape, dtype)
            layout[...] = h5py.VirtualSource("none.h5", name, shape)
            file.create_virtual_dataset(name, layout)
        elif kind == "raw":
            file.create_dataset(name, shape, dtype, external=[("none.bin", 0, h5py.h5f.UNLIMITED)])
        elif kind == "filter":
            _with_filter(file, name, shape, dtype, draw.choice([32001, 32015, 32004, 32008, 40000]))
        elif kind == "empty":
            file[name] = h5py.Empty(dtype)
        else:
            file[name] = np.zeros((), dtype)
    return f"{kind} {name}", "refuse" if name in PIXELS else "any"


def _with_filter(
    file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], number: int
) -> None:
    """A dataset that says it went through a filter of a plug-in."""
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_chunk(shape)
    how.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple(shape)
    made = h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype), space, how)
    made.write_direct_chunk((0,) * len(shape), b"\x01" * 100)


def _odd_type(path: Path, draw: random.Random) -> Told:
    with h5py.File(path, "a") as file:
        name = _pick(file, draw)
        rows = len(file[name])
        del file[name]
        made: list[tuple[Any, Any]] = [
            (np.zeros(rows, [("a", "f4"), ("b", "i4")]), None),
            ([np.arange(k) for k in range(rows)], h5py.vlen_dtype(np.float32)),
            (["text"] * rows, h5py.string_dtype()), ([b"\xff"] * rows, h5py.string_dtype("ascii")),
            (np.zeros(rows, "i1"), h5py.enum_dtype({"a": 0}, basetype="i1")),
            (np.zeros((rows, 3), "c16"), None), (np.zeros(rows, "V7"), h5py.opaque_dtype("V7")),
            ([file.ref] * rows, h5py.ref_dtype), (np.zeros((rows, 1), "?"), None),
        ]  # fmt: skip
        values, dtype = draw.choice(made)
        file.create_dataset(name, data=values, dtype=dtype)
    return f"{name} of type {dtype or values.dtype}", "refuse" if name in PIXELS else "any"


def _parquet_type(path: Path, draw: random.Random) -> Told:
    table = pq.read_table(path)
    number = draw.randrange(table.num_columns)
    name, rows = table.column_names[number], table.num_rows
    columns = [
        pa.array([None] * rows, pa.float32()), pa.array([None] * rows, pa.null()),
        pa.array([1.0, *[None] * (rows - 1)]), pa.array(["a"] * rows), pa.array([b"a"] * rows),
        pa.array(["a", "b"] * (rows // 2)).dictionary_encode(), pa.array([{"a": 1}] * rows),
        pa.array([[1]] * rows), pa.array([[]] * rows, pa.list_(pa.float32())),
        pa.array([[0.0] * k for k in range(rows)]), pa.array([[[0.0]]] * rows),
        pa.array([[[[1.0, None]]]] * rows), pa.array([None, *[[[[1.0]]]] * (rows - 1)]),
        pa.array([0] * rows, pa.decimal128(5, 2)), pa.array([0] * rows, pa.timestamp("s")),
        pa.array([2**63] * rows, pa.uint64()), pa.array([-(2**63)] * rows, pa.int64()),
        pa.array([float("nan")] * rows), pa.array([True] * rows),
        pa.array([[("k", 1)]] * rows, pa.map_(pa.string(), pa.int32())),
        pa.array(np.zeros(rows, "f2")), pa.array([[1.0, 2.0]] * rows, pa.list_(pa.float64(), 2)),
        pa.array([[1.0]] * rows, pa.large_list(pa.float32())),
    ]  # fmt: skip
    made = draw.choice(columns)
    table = table.set_column(number, name, made)
    pq.write_table(table, path)
    return f"{name} of type {made.type}", "any" if name in PIXELS else "images"


def _parquet_frame(path: Path, draw: random.Random) -> Told:
    table = pq.read_table(path)
    kind = draw.choice(["metadata", "metadata", "twice", "none", "no columns", "many", "order"])
    if kind == "metadata":
        key = draw.choice(["channels", "labels", "shape", "nonsense"])
        table = table.replace_schema_metadata({f"hepjax.{key}": draw.choice(TEXTS)})
    elif kind == "twice":
        name = draw.choice(table.column_names)
        table = table.append_column(name, table.column(name))
    elif kind == "none":
        table = table.slice(0, 0)
    elif kind == "no columns":
        table = table.select([])
    elif kind == "many":
        for name in {n for n in NAMES if n} - set(table.column_names):
            table = table.append_column(name, pa.array([1.0] * table.num_rows))
    else:
        table = table.select(draw.sample(table.column_names, table.num_columns))
    pq.write_table(table, path)
    return f"Parquet, {kind}", "must" if kind == "order" else "any"


def _npz_member(path: Path, draw: random.Random) -> Told:
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = draw.choice(sorted(members))
    kind = draw.choice(["extra", "header", "pickled", "cut", "twice", "structured", "bomb", "name"])
    right = "any"
    if kind == "extra":
        members[draw.choice(["a.txt", "dir/", "../x.npy", "é.npy", ".npy"])] = b"hello"
    elif kind == "header":
        header = draw.choice([b"(2**40,)", b"(1099511627776, 9, 9, 3)", b"(-1,)", b"()", b"(1e3,)"])
        form = b"{'descr': '<f4', 'fortran_order': False, 'shape': " + header + b", }\n"
        members[name] = b"\x93NUMPY\x01\x00" + len(form).to_bytes(2, "little") + form
    elif kind in ("pickled", "structured"):
        data = io.BytesIO()
        odd = np.array([{}, 1], object) if kind == "pickled" else np.zeros(3, [("a", "f4")])
        np.save(data, odd, allow_pickle=True)
        members[name] = data.getvalue()
    elif kind == "cut":
        members[name] = members[name][: draw.randrange(len(members[name]))]
        right = "refuse" if name.removesuffix(".npy") in PIXELS else "any"
    elif kind == "bomb":
        form = b"{'descr': '<f4', 'fortran_order': False, 'shape': (14, 9, 9, 3), }\n"
        head = b"\x93NUMPY\x01\x00" + len(form).to_bytes(2, "little") + form
        members[name] = head + bytes(3 * 10**8)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for member, data in members.items():
            file.writestr(f"deeper/{member}" if kind == "name" else member, data)
        if kind == "twice":
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                file.writestr(name, members[draw.choice(sorted(members))])
    return f"npz, {kind} {name}", right


def _folder(path: Path, draw: random.Random) -> Told:
    files = sorted(p for p in path.rglob("*") if p.is_file())
    file = draw.choice(files)
    kind = draw.choice(["removed", "renamed", "copied", "junk", "folder", "loop", "empty", "swap"])
    if kind == "removed":
        file.unlink()
    elif kind == "renamed":
        file.rename(file.with_name(draw.choice(["other", f".{file.name}", f"{file.name}.bak"])))
    elif kind == "copied":
        shutil.copy(file, file.with_name(f"copy-{file.name}"))
    elif kind == "junk":
        (path / draw.choice(["README.md", ".hidden", "junk.parquet", "x.h5", "a.txt"])).write_text(
            "junk"
        )
    elif kind == "swap":
        other = draw.choice(files)
        a, b = file.read_bytes(), other.read_bytes()
        file.write_bytes(b)
        other.write_bytes(a)
    else:
        file.unlink()
        if kind == "folder":
            file.mkdir()
        elif kind == "loop":
            file.symlink_to(file.name)
        else:
            file.touch()
    return f"{kind}: {file.name}", "same" if kind in ("copied", "junk") else "any"


def _json(path: Path, draw: random.Random) -> Told:
    """A value of a JSON file replaced, also with the seal of a manifest made anew."""
    file = draw.choice(sorted(path.glob("*.json")))
    content = json.loads(file.read_text())
    where, at, key = content, "", ""
    while isinstance(where, dict | list) and where:
        keys: list[Any] = sorted(where) if isinstance(where, dict) else list(range(len(where)))
        key = draw.choice(keys)
        at += f".{key}"
        if draw.random() < 0.3 or not isinstance(where[key], dict | list) or not where[key]:
            break
        where = where[key]
    how = draw.choice(["removed", "replaced", "replaced", "replaced", "added"])
    if how == "removed":
        del where[key]
    elif how == "added" and isinstance(where, dict):
        where["unheard of"] = draw.choice(JSON_VALUES)
    else:
        where[key] = draw.choice(JSON_VALUES)
    sealed = file.name == FILE and draw.random() < 0.7
    if sealed:
        content.pop("sha256", None)
        content = json.loads(json.dumps(content))
        content |= {"sha256": seal(content)}
    file.write_text(json.dumps(content))
    return f"JSON {how}: {file.name}{at}{', sealed' * sealed}", "any"


KINDS: dict[str, tuple[Callable[[Path, random.Random], Told], ...]] = {
    "hdf5": (_attribute, _attribute, _link, _unwritten, _odd_type),
    "parquet": (_parquet_type, _parquet_type, _parquet_frame),
    "npz": (_npz_member,),
    "folder": (_folder, _json, _json),
    "pickle": (fuzz_pickles.tamper,),
    "tfrecord": (fuzz_pickles.tamper_records,),
}
