"""Tables of trigger events, Parquet: one column an input, and ``class`` with names of classes.

Folders of smart-pixel clusters, which have files of their own, are read by ``pixels.py``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepjax import InputError
from hepjax.formats.files import inside, list_all
from hepjax.formats.trigger import pixels
from hepjax.formats.trigger.columns import numbers, texts
from hepjax.formats.trigger.tasks import TASKS, Task

CLASS = "class"


class Events(NamedTuple):
    """Inputs (n, k) float32 and the number of the class (n,) int32; None without classes."""

    inputs: np.ndarray
    label: np.ndarray | None


def is_trigger(path: Path) -> bool:
    """Whether a file or folder holds events of a trigger task."""
    return task_of(path) is not None


def task_of(path: Path) -> str | None:
    """The name of the task whose events these are; None of none."""
    if path.is_dir():
        try:
            files = sorted(p for p in path.iterdir() if p.suffix == ".parquet")
        except OSError:
            return None
        clusters = [p for p in files if pixels.NAME.match(p.name)]
        return task_of((clusters or files)[0]) if files else None
    if path.suffix != ".parquet" or not path.is_file():
        return None
    if pixels.NAME.match(path.name):
        return "pixels"
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException):
        return None
    told = (schema.metadata or {}).get(b"hepjax.task", b"").decode(errors="replace")
    if told in TASKS:
        return told
    return next((n for n, t in TASKS.items() if set(t.inputs) <= set(schema.names)), None)


def list_tables(paths: Sequence[str | Path]) -> list[Path]:
    """The files of ``paths``, sorted; a folder stands for its Parquet files, of clusters for those
    of their pixels.

    Raises:
      InputError: there are none.
    """

    def of_folder(folder: Path) -> list[Path]:
        found = [p for p in inside(folder) if p.suffix == ".parquet"]
        clusters = [p for p in found if pixels.NAME.match(p.name)]
        if not found:
            raise InputError(f"{folder}: expected files *.parquet, found none of this name")
        return clusters or found

    return list_all(list(paths), of_folder)


def read_events(paths: Sequence[str | Path], task: Task) -> Events:
    """All events of these files in their order.

    Raises:
      InputError: unreadable files, missing columns, unknown classes, numbers that are not finite.
    """
    parts = [_read(path, task) for path in list_tables(paths)]
    labels = [part.label for part in parts if part.label is not None]
    whole = len(labels) == len(parts)
    return Events(
        np.concatenate([part.inputs for part in parts]), np.concatenate(labels) if whole else None
    )


def _read(path: Path, task: Task) -> Events:
    if pixels.NAME.match(path.name):
        if task is not TASKS["pixels"]:
            raise InputError(
                f"{path}: expected columns {', '.join(task.inputs[:3])}, ..., found clusters of "
                "pixels; set data.task=pixels"
            )
        return Events(*pixels.read_clusters(path))
    inputs, names = numbers(path, task.inputs), texts(path, CLASS)
    if names is None:
        return Events(inputs, None)
    known = {name: number for number, name in enumerate(task.classes)}
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"{path}: expected the classes {', '.join(task.classes)} in its column class, found "
            f"{unknown[0][:40]!r}"
        )
    return Events(inputs, np.array([known[name] for name in names], np.int32))
