"""Packs files of images or showers into a set of sparse shards, in parallel; resumes if killed.

One unit of work makes one shard from a range of events. The ranges do not depend on the number of
workers. Files are read by jets/reader.py and showers/images.py, shards written by shard_writer.py.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Protocol

from hepjax import HepjaxError, InputError
from hepjax.formats.atomic import write_json
from hepjax.formats.images import Grid
from hepjax.formats.packed.layout import Columns, shard_name
from hepjax.formats.packed.manifest import (
    FILE,
    PLAN_FILE,
    Manifest,
    Shard,
    read_manifest,
)
from hepjax.formats.packed.parallel import Advance, in_processes
from hepjax.formats.packed.shard import describe_shard
from hepjax.formats.packed.shard_writer import write_shard
from hepjax.formats.packed.writer import checked, finish, make_folder, merge
from hepjax.formats.sparse import SparseImages

EVENTS_PER_SHARD = 8192
"""Least number of events of a shard, but for the last."""
SEQUENTIAL = ("tfrecord",)
"""Layouts without random access, which must be read even to count events: files are not split."""


Progress = Callable[[int], AbstractContextManager[Advance]]


class ImageFile(Protocol):
    """A file that can be packed, such as a ``JetFile``. It pickles, and is open only to stream."""

    @property
    def path(self) -> Path: ...

    @property
    def layout(self) -> str: ...

    @property
    def events(self) -> int: ...

    @property
    def grid(self) -> Grid: ...

    @property
    def labels(self) -> dict[int, str]: ...

    def stream(
        self, batch: int = 256, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[SparseImages, Columns]]: ...


Piece = tuple[ImageFile, int, int | None]
"""Events of a file, from the first to one past the last; None is its end."""


@contextmanager
def no_progress(events: int) -> Iterator[Advance]:
    """Tell nobody."""
    yield lambda events: None


@dataclass(frozen=True)
class _Unit:
    """The events of a shard."""

    path: Path
    pieces: list[Piece]

    @property
    def events(self) -> int | None:
        """None if only reading tells."""
        counts = [None if stop is None else stop - start for _, start, stop in self.pieces]
        return None if None in counts else sum(count or 0 for count in counts)


def pack(
    files: Sequence[ImageFile],
    out_dir: str | Path,
    *,
    units: dict[str, str],
    workers: int | None = None,
    progress: Progress = no_progress,
) -> Manifest:
    """Pack files of one kind; shards that are there already are verified and kept.

    Args:
      files: in the order that their events shall have.
      out_dir: folder, made if absent; empty, or with what an earlier call with the same files left.
        Nothing of files that are refused is left there, unless shards are finished.
      units: of the columns.
      workers: processes; as many as CPUs by default.
      progress: a context that is given the number of events and yields ``advance``.
    Raises:
      InputError: the folder holds something else, a file is damaged or its events are refused.
      HepjaxError: a worker was killed.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers: expected at least 1, found {workers}")
    is_new = not Path(out_dir).exists()
    out_dir = make_folder(out_dir)
    try:
        return _pack(files, out_dir, units, workers, progress)
    except InputError:
        _leave_nothing(out_dir, is_new)
        raise


def _pack(
    files: Sequence[ImageFile],
    out_dir: Path,
    units: dict[str, str],
    workers: int | None,
    progress: Progress,
) -> Manifest:
    made_from = _inputs(files)
    _claim(out_dir, made_from)
    sizes = _sizes(files)
    work = [
        _Unit(out_dir / shard_name(number), pieces)
        for number, pieces in enumerate(_split(files, sizes))
    ]
    workers = min(workers or os.cpu_count() or 1, len(work))
    make = partial(_make, units)
    with progress(sum(sizes)) as advance:
        if workers == 1:
            shards = [make(unit, advance) for unit in work]
        else:
            shards = in_processes(make, work, workers, advance, where=str(out_dir))
    finish(out_dir, shards, made_from)
    (out_dir / PLAN_FILE).unlink(missing_ok=True)
    return read_manifest(out_dir)


def _leave_nothing(out_dir: Path, is_new: bool) -> None:
    """Remove the plan of a set without any shard, and the folder if it was made for it."""
    if any(out_dir.glob("*.parquet")) or (out_dir / FILE).exists():
        return
    with suppress(OSError):
        (out_dir / PLAN_FILE).unlink(missing_ok=True)
        if is_new:
            out_dir.rmdir()


def _sizes(files: Sequence[ImageFile]) -> list[int]:
    """Events of each file; of sequential ones an estimate from the first, by bytes."""
    if files[0].layout not in SEQUENTIAL:
        return [file.events for file in files]
    bytes_of = [_size_and_time(file.path)["bytes"] for file in files]
    return [max(1, round(files[0].events * size / bytes_of[0])) for size in bytes_of]


def _inputs(files: Sequence[ImageFile]) -> dict[str, Any]:
    """Everything the shards depend on, as JSON."""
    geometry = getattr(files[0], "geometry", None)
    return ({} if geometry is None else {"geometry": geometry}) | {
        "files": [{"path": str(file.path), **_size_and_time(file.path)} for file in files],
        "channels": [asdict(channel) for channel in files[0].grid.channels],
        "labels": {str(number): name for number, name in files[0].labels.items()},
        "events_per_shard": EVENTS_PER_SHARD,
    }


def _size_and_time(path: Path) -> dict[str, int]:
    """Size and time of modification of a file or folder, by which a change is noticed."""
    stats = [p.stat() for p in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return {
        "bytes": sum(stat.st_size for stat in stats),
        "modified_ns": max(stat.st_mtime_ns for stat in stats),
    }


def _claim(out_dir: Path, made_from: dict[str, Any]) -> None:
    """Write down in the folder what is being packed into it.

    Raises:
      InputError: something else is there.
    """
    plan = out_dir / PLAN_FILE
    if (out_dir / FILE).exists():
        found = read_manifest(out_dir).made_from
    elif any(out_dir.glob("*.parquet")):
        try:
            found = json.loads(plan.read_bytes())
        except (OSError, ValueError):
            found = None
    else:
        found = made_from
        write_json(plan, made_from, indent=1)
    if found != made_from:
        raise InputError(
            f"{out_dir}: expected an empty folder or what this command left there, found "
            f"{_difference(found, made_from)}; choose another folder or remove this one"
        )


def _difference(found: Any, made_from: dict[str, Any]) -> str:
    if not isinstance(found, dict):
        return "other Parquet files"
    for key, value in made_from.items():
        if key != "files" and found.get(key) != value:
            return f"a set packed with {key} {found.get(key)}"
    before = {file["path"]: file for file in found.get("files", [])}
    for file in made_from["files"]:
        if before.get(file["path"]) != file:
            changed = "changed since" if file["path"] in before else "not among them"
            return f"a set packed from {len(before)} files ({file['path']}: {changed})"
    return f"a set packed from {len(before)} files, not {len(made_from['files'])}"


def _split(files: Sequence[ImageFile], sizes: Sequence[int]) -> Iterator[list[Piece]]:
    """Ranges of files for each shard: small files share one, large files are cut evenly."""
    waiting: list[Piece] = []
    events = 0
    for file, size in zip(files, sizes, strict=True):
        if file.layout in SEQUENTIAL:
            parts: list[Piece] = [(file, 0, None)]
        else:
            step = ceil(size / max(1, size // EVENTS_PER_SHARD))
            parts = [(file, low, min(low + step, size)) for low in range(0, size, step)]
        for part in parts:
            waiting.append(part)
            events += (part[2] or size) - part[1]
            if events >= EVENTS_PER_SHARD:
                yield waiting
                waiting, events = [], 0
    if waiting:
        yield waiting


def _make(units: dict[str, str], unit: _Unit, advance: Advance) -> Shard:
    """The shard of a unit of work: the existing one if it is sound, or else a new one."""
    first = unit.pieces[0][0]
    if unit.path.exists():
        try:
            shard, meaning = describe_shard(unit.path)
            if unit.events in (None, shard.events) and meaning.labels == first.labels:
                advance(shard.events)
                return shard
        except InputError:
            pass  # damaged: made again
    images, columns, grid = merge(_events(unit, advance), first.grid)
    shard = write_shard(unit.path, images, columns, grid, first.labels, units)
    if shard.events != len(images):
        raise HepjaxError(f"{unit.path}: expected {len(images)} events, found {shard.events}")
    return shard


def _events(unit: _Unit, advance: Advance) -> Iterator[tuple[SparseImages, Columns]]:
    for file, start, stop in unit.pieces:
        done = start
        stream = file.stream(start=start, stop=stop)
        for images, columns in checked(stream, file.grid, file.labels, str(file.path), start):
            done += len(images)
            yield images, columns
            advance(len(images))
        if done != (done if stop is None else stop):
            raise InputError(
                f"{file.path}: expected events {start} to {stop}, found only {done - start} of "
                "them; copy the file again"
            )
