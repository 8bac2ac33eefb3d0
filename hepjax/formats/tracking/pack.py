"""Writes packed sets of hits, from events or from files of any layout."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hepjax import InputError, __version__
from hepjax.formats.atomic import make_folder, write_json
from hepjax.formats.files import exists_inside
from hepjax.formats.packed.manifest import FILE, checksum, seal
from hepjax.formats.table_writer import parquet_file
from hepjax.formats.tracking.event import Event
from hepjax.formats.tracking.packed import FORMAT, HITS, PARTICLES, TRUTH
from hepjax.formats.tracking.reader import list_events, read_event

SHARD_HITS = 2_000_000
"""Hits of a shard, some 40 MB; the last event may go beyond."""
TYPES: dict[str, pa.DataType] = {"whole": pa.int64(), "numbers": pa.float32()}

Advance = Callable[[int], object]


def pack_hits(
    paths: Sequence[Path], out: Path, advance: Advance = lambda n: None
) -> dict[str, Any]:
    """Write the events of files of any layout as a packed set; see ``write_packed``.

    Raises:
      InputError: see ``reader.read_event`` and ``write_packed``.
    """
    return write_packed(out, map(read_event, list_events(list(paths))), advance)


def write_packed(
    folder: Path, events: Iterable[Event], advance: Advance = lambda n: None
) -> dict[str, Any]:
    """Write events as a packed set; return ``events``, ``hits``, ``shards`` and ``bytes``.

    Args:
      folder: made if absent; without another set.
      advance: told of each event that is done.
    Raises:
      InputError: the folder holds a set, or the disk refuses.
    """
    if exists_inside(folder, FILE):
        raise InputError(
            f"{folder}: expected a folder without a packed set, found {FILE}; choose another "
            "folder or remove it"
        )
    make_folder(folder)
    waiting, total = iter(events), 0
    shards: list[dict[str, Any]] = []
    following = next(waiting, None)
    while following is not None:
        path, count, hits = folder / f"shard-{len(shards):06d}.parquet", 0, 0
        with parquet_file(path, {"format": FORMAT, "hepjax": __version__}) as write:
            while following is not None and hits < SHARD_HITS:
                write(_row(following))  # a row group of its own
                count, hits = count + 1, hits + len(following)
                advance(1)
                following = next(waiting, None)
        shards.append({
            "file": path.name, "events": count, "hits": hits, "bytes": path.stat().st_size,
            "sha256": checksum(path),
        })  # fmt: skip
        total += count
    content: dict[str, Any] = {
        "format": FORMAT, "hepjax": __version__, "events": total, "shards": shards
    }  # fmt: skip
    write_json(folder / FILE, content | {"sha256": seal(content)}, indent=1)
    size = {name: sum(s[name] for s in shards) for name in ("hits", "bytes")}
    return {"events": total, "shards": len(shards), **size}


def _row(event: Event) -> pa.Table:
    """The row of an event; columns that it does not have are null."""
    values: dict[str, Any] = {
        **dict(zip("xyz", event.xyz.T, strict=True)), "surface": event.surface,
        "module": event.module, "particle": event.particle, "weight": event.weight,
        "identifier": event.identifier, "charge": event.charge,
    }  # fmt: skip
    for kind, vectors in (("v", event.vertex), ("p", event.momentum)):
        values |= {f"{kind}{a}": None if vectors is None else vectors[:, k]
                   for k, a in enumerate("xyz")}  # fmt: skip
    if event.particle is not None and event.weight is None:
        values["weight"] = np.zeros(len(event), np.float32)
    return pa.table({
        name: pa.array([values[name]], pa.list_(TYPES[kind]))
        for name, kind in (HITS | TRUTH | PARTICLES).items()
    })  # fmt: skip
