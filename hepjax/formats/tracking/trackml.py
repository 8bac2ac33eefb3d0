"""Files of the TrackML challenge: ``event<number>-{hits,truth,particles}.csv``, also ``.gz``.

Identifiers of particles have 64 bits and never pass through floating point. Cells are not needed.
"""

import gzip
import io
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from hepjax import InputError
from hepjax.formats.atomic import write_bytes
from hepjax.formats.files import inside, list_all
from hepjax.formats.tracking.detector import SURFACES, surface_of
from hepjax.formats.tracking.event import Event, outside

NAME = re.compile(r"^(event\d+)-hits\.csv(\.gz)?$")
LARGEST = 2**28
"""Bytes of an uncompressed table at most: 20 times a full event."""
HITS = {
    "hit_id": "int32", "x": "float32", "y": "float32", "z": "float32", "volume_id": "int32",
    "layer_id": "int32", "module_id": "int32",
}  # fmt: skip
TRUTH = {"hit_id": "int32", "particle_id": "int64", "weight": "float32"}
PARTICLES = {
    "particle_id": "int64", "vx": "float32", "vy": "float32", "vz": "float32", "px": "float32",
    "py": "float32", "pz": "float32", "q": "int32",
}  # fmt: skip


def is_event(path: Path) -> bool:
    """Whether a file is the table of hits of an event, or a folder has such files."""
    if path.is_dir():
        return any(NAME.match(p.name) for p in path.iterdir())
    return NAME.match(path.name) is not None


def list_events(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The tables of hits of ``paths``, sorted, each once; a folder stands for those in it.

    Raises:
      InputError: there are none.
    """

    def of_folder(folder: Path) -> list[Path]:
        found = [p for p in inside(folder) if NAME.match(p.name)]
        if not found:
            raise InputError(
                f"{folder}: expected files event<number>-hits.csv[.gz], ColliderML tracker hits or "
                "a packed set, found none of them"
            )
        return found

    files = list_all(paths, of_folder)
    for path in files:
        if not NAME.match(path.name):
            raise InputError(
                f"{path}: expected a file event<number>-hits.csv[.gz] or ColliderML tracker hits "
                "(.parquet), found something else"
            )
    return files


def read_event(hits: Path) -> Event:
    """An event with the truth and the particles beside its hits, as far as they are there.

    Raises:
      InputError: missing, damaged or incomplete tables, identifiers that are no whole numbers, or
        hits outside of the detector.
    """
    table = _table(hits, HITS)
    xyz = np.stack([table[k] for k in ("x", "y", "z")], axis=1)
    if not len(xyz):
        raise InputError(f"{hits}: expected at least one hit, found none")
    bad = np.flatnonzero(outside(xyz))
    if len(bad):
        found = ", ".join(f"{v:g}" for v in xyz[bad[0]])
        raise InputError(
            f"{hits}: expected hits within 1,100 mm of the beam and 3,050 mm of the centre, found "
            f"({found}) mm in row {bad[0] + 1}"
        )
    surface = surface_of(table["volume_id"], table["layer_id"])
    if (surface < 0).any():
        row = int(np.flatnonzero(surface < 0)[0])
        raise InputError(
            f"{hits}: expected volumes and layers of the TrackML detector, found volume "
            f"{table['volume_id'][row]}, layer {table['layer_id'][row]} in row {row + 1}"
        )
    event = Event(xyz, surface.astype(np.int32), table["module_id"])
    truth = _beside(hits, "truth")
    if truth is None:
        return event
    known, particles = _table(truth, TRUTH), _beside(hits, "particles")
    place = _by_hit(truth, table["hit_id"], known["hit_id"])
    fields: dict[str, Any] = {
        "particle": known["particle_id"][place], "weight": known["weight"][place]
    }  # fmt: skip
    if particles is not None:
        p = _table(particles, PARTICLES)
        fields |= {
            "identifier": p["particle_id"], "charge": p["q"],
            "vertex": np.stack([p[k] for k in ("vx", "vy", "vz")], 1),
            "momentum": np.stack([p[k] for k in ("px", "py", "pz")], 1),
        }  # fmt: skip
    return Event(xyz, event.surface, event.module, **fields)


def _by_hit(path: Path, hits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Row of the truth of each hit."""
    order = np.argsort(truth)
    place = np.clip(np.searchsorted(truth[order], hits), 0, max(len(truth) - 1, 0))
    if len(truth) != len(hits) or not (truth[order][place] == hits).all():
        raise InputError(
            f"{path}: expected the truth of the same {len(hits)} hits, found {len(truth)} rows "
            "with other hit_id"
        )
    return order[place]


def _beside(hits: Path, table: str) -> Path | None:
    """Another table of the event, compressed or not."""
    stem = hits.name.split("-hits.csv")[0]
    names = (f"{stem}-{table}.csv", f"{stem}-{table}.csv.gz")
    return next((hits.parent / n for n in names if (hits.parent / n).is_file()), None)


def _table(path: Path, columns: dict[str, str]) -> dict[str, np.ndarray]:
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            unpacker = zlib.decompressobj(31)
            raw = unpacker.decompress(raw, LARGEST)
            if not unpacker.eof:
                found = "a larger one" if unpacker.unconsumed_tail else "a truncated one"
                raise InputError(
                    f"{path}: expected a whole table of at most {LARGEST:,} bytes, found {found}"
                )
    except OSError as error:
        raise InputError(f"{path}: expected to read it, found: {error.strerror}") from None
    except zlib.error:
        raise InputError(f"{path}: expected a gzip file, found a damaged one") from None
    if raw and not raw.endswith(b"\n"):
        raise InputError(f"{path}: expected a whole last line, found a truncated file")
    types = {name: pa.type_for_alias(kind) for name, kind in columns.items()}
    options = pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(columns))
    try:
        table = pyarrow.csv.read_csv(io.BytesIO(raw), convert_options=options)
    except pa.ArrowKeyError as error:
        missing = re.findall(r"'([^']*)'", str(error)) or ["others"]
        raise InputError(
            f"{path}: expected the columns {', '.join(columns)}, found none {missing[0]}"
        ) from None
    except pa.ArrowInvalid as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: expected a table of {', '.join(columns)} (identifiers as whole numbers), "
            f"found: {reason}"
        ) from None
    if any(table.column(name).null_count for name in columns):
        raise InputError(f"{path}: expected a number in every place, found empty ones")
    return {name: table.column(name).to_numpy() for name in columns}


def write_event(folder: Path, number: int, event: Event) -> Path:
    """Write the three tables of an event with truth; return the one of its hits."""
    assert event.particle is not None
    assert event.identifier is not None
    assert event.momentum is not None
    assert event.vertex is not None
    assert event.charge is not None
    known = np.array([(s.volume, s.layer) for s in SURFACES], np.int32)[event.surface]
    ids = np.arange(1, len(event) + 1, dtype=np.int32)
    x, y, z = event.xyz.T
    hits = dict(zip(*np.unique(event.particle, return_counts=True), strict=True))
    tables: dict[str, dict[str, Any]] = {
        "hits": {"hit_id": ids, "x": x, "y": y, "z": z, "volume_id": known[:, 0],
                 "layer_id": known[:, 1], "module_id": event.module},
        "truth": {"hit_id": ids, "particle_id": event.particle, "weight": event.weight},
        "particles": {
            "particle_id": event.identifier,
            **{f"v{a}": event.vertex[:, k] for k, a in enumerate("xyz")},
            **{f"p{a}": event.momentum[:, k] for k, a in enumerate("xyz")},
            "q": event.charge,
            "nhits": np.array([hits.get(i, 0) for i in event.identifier], np.int32),
        },
    }  # fmt: skip
    for name, columns in tables.items():
        sink = io.BytesIO()
        pyarrow.csv.write_csv(pa.table(columns), sink)
        packed = gzip.compress(sink.getvalue(), 6, mtime=0)
        write_bytes(folder / f"event{number:09d}-{name}.csv.gz", packed)
    return folder / f"event{number:09d}-hits.csv.gz"
