"""Writes packed sets: sparse images in Parquet shards, and a manifest when all are there.

Files appear whole or not at all, and the same events give the same bytes. pack.py packs files that
exist already.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError, __version__
from hepjax.formats import atomic
from hepjax.formats.coarse import coarsen, common_grid, concatenate, expand
from hepjax.formats.images import Grid, unsound
from hepjax.formats.packed.layout import IMAGE_COLUMNS, Columns, shard_name
from hepjax.formats.packed.manifest import FILE, FORMAT, Manifest, Shard, seal
from hepjax.formats.packed.shard import ShardReader, largest_event
from hepjax.formats.packed.shard_writer import write_shard
from hepjax.formats.sparse import SparseImages

Batches = Iterable[tuple[SparseImages, Columns]]


def write_packed(
    out_dir: str | Path,
    batches: Batches,
    grid: Grid,
    labels: dict[int, str],
    *,
    events_per_shard: int = 8192,
    units: dict[str, str] | None = None,
    made_from: dict[str, Any] | None = None,
) -> Path:
    """Write events as a packed set, all of them or none.

    Args:
      out_dir: folder, made if absent; it may not hold Parquet files or a manifest yet.
      batches: images on ``grid`` and their columns (n,), of any sizes; every channel is kept as
        coarse as it is.
      labels: class id to class name of the column ``label``; empty if there is none.
      events_per_shard: the last shard may hold fewer.
      units: of the columns, for example {"pt": "GeV"}.
      made_from: where the events come from, for the manifest; anything that JSON has.
    Returns:
      the folder.
    Raises:
      InputError: the folder cannot be used, the disk is full, there are no events, or some that
        ``checked`` refuses.
    """
    if events_per_shard < 1:
        raise InputError(f"events per shard: expected at least 1, found {events_per_shard}")
    out_dir = make_folder(out_dir)
    if present := sorted(out_dir.glob("*.parquet")) + sorted(out_dir.glob(FILE)):
        raise InputError(
            f"{out_dir}: expected a folder without Parquet files, found {present[0].name}; "
            "choose another folder or remove them"
        )
    sound = checked(batches, grid, labels, str(out_dir))
    written: list[Path] = []
    try:
        shards = []
        for number, pieces in enumerate(_by_shard(sound, events_per_shard)):
            written.append(out_dir / shard_name(number))
            images, columns, own = merge(pieces, grid)
            shards.append(write_shard(written[-1], images, columns, own, labels, units or {}))
        if not shards:
            raise InputError(f"{out_dir}: expected at least one event to write, found none")
        finish(out_dir, shards, made_from)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return out_dir


def make_folder(out_dir: str | Path) -> Path:
    """Make the folder and remove what a killed writer left half-written in it.

    Raises:
      InputError: it cannot be made.
    """
    out_dir = atomic.make_folder(out_dir)
    for partial in out_dir.glob(".*.tmp"):
        partial.unlink(missing_ok=True)
    return out_dir


def _by_shard(batches: Batches, events_per_shard: int) -> Iterator[Batches]:
    """The batches cut where a new shard begins."""
    waiting: list[tuple[SparseImages, Columns]] = []
    done = 0
    for images, columns in batches:
        start = 0
        while start < len(images):
            stop = min(len(images), start + events_per_shard - done % events_per_shard)
            rows = {name: values[start:stop] for name, values in columns.items()}
            waiting.append((_part(images, start, stop), rows))
            done += stop - start
            start = stop
            if done % events_per_shard == 0:
                yield waiting
                waiting = []
    if waiting:
        yield waiting


def _part(images: SparseImages, start: int, stop: int) -> SparseImages:
    first = images.first[start : stop + 1]
    inside = slice(first[0], first[-1])
    return SparseImages(first - first[0], images.cell[inside], images.value[inside])


def checked(
    batches: Batches, grid: Grid, labels: dict[int, str], origin: str, start: int = 0
) -> Iterator[tuple[SparseImages, Columns]]:
    """Check batches and pass them on.

    Args:
      origin: file or folder for the messages, which count events from ``start``.
    Raises:
      InputError: cells out of range or order, values that are not finite, labels without a meaning,
        or columns that are not one number an event.
    """
    for images, columns in batches:
        if problem := unsound(images, grid, start):
            raise InputError(f"{origin}: {problem}")
        for name, values in columns.items():
            if name in IMAGE_COLUMNS:
                raise InputError(
                    f"{origin}: expected another name of the column {name!r}, found the one that "
                    "packed sets have for pixels; rename it"
                )
            if values.shape != (len(images),) or values.dtype.kind not in "fiub":
                raise InputError(
                    f"{origin}: expected one number an event in column {name!r}, found "
                    f"{values.dtype} of {values.shape} for {len(images)} events"
                )
        if "label" in columns:
            unknown = ~np.isin(columns["label"], list(labels))
            if unknown.any():
                raise InputError(
                    f"{origin}: expected labels {', '.join(map(str, labels)) or '(none)'}, found "
                    f"{columns['label'][unknown][0]} in event {start + int(unknown.argmax())}; "
                    "give its meaning"
                )
        start += len(images)
        yield images, columns


def merge(pieces: Batches, grid: Grid) -> tuple[SparseImages, Columns, Grid]:
    """Concatenate pieces, each channel downsampled without loss: images, columns and their grid.

    Each piece is downsampled as it comes: towers upsampled to fine pixels would fill the memory.

    Raises:
      InputError: pieces of different columns.
    """
    kept, columns = [], []
    for images, values in pieces:
        kept.append(coarsen(images, grid))
        columns.append(values)
        if (found := _types(values)) != (expected := _types(columns[0])):
            raise InputError(
                f"columns: expected {expected} in all events, found also {found}; "
                "pack files of different kinds into different folders"
            )
    common = common_grid(own for _, own in kept)
    images = concatenate([expand(some, own, common) for some, own in kept])
    return images, {name: np.concatenate([c[name] for c in columns]) for name in columns[0]}, common


def _types(columns: Columns) -> dict[str, str]:
    return {name: str(values.dtype) for name, values in columns.items()}


def finish(out_dir: Path, shards: Sequence[Shard], made_from: dict[str, Any] | None = None) -> None:
    """Write the manifest, which makes a set of the shards.

    Raises:
      InputError: shards whose grids, labels or columns differ.
    """
    meanings = [ShardReader(out_dir / shard.file).meaning for shard in shards]
    grid = common_grid(meaning.grid for meaning in meanings)
    for shard, meaning in zip(shards, meanings, strict=True):
        if replace(meaning, grid=grid) != replace(meanings[0], grid=grid):
            raise InputError(
                f"{out_dir / shard.file}: expected the labels and columns of {shards[0].file} "
                f"({meanings[0].labels}, {meanings[0].columns}), found {meaning.labels}, "
                f"{meaning.columns}; pack files of different kinds into different folders"
            )
    largest = max(
        shard.largest if meaning.grid == grid else largest_event(out_dir / shard.file, grid)
        for shard, meaning in zip(shards, meanings, strict=True)
    )
    _write_manifest(
        out_dir, Manifest(replace(meanings[0], grid=grid), largest, tuple(shards), made_from)
    )


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    """From then on the folder is a packed set."""
    content = {
        "format": FORMAT,
        "hepjax": __version__,
        "events": manifest.events,
        **asdict(manifest),
    }
    content = json.loads(json.dumps(content))  # keys become texts and tuples lists, as when read
    atomic.write_json(folder / FILE, content | {"sha256": seal(content)}, indent=1)
