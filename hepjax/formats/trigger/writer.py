"""Writes events of trigger tasks: tables, and the files of smart-pixel clusters."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepjax.formats.atomic import replacing
from hepjax.formats.table_writer import write_table
from hepjax.formats.trigger.pixels import COLUMNS
from hepjax.formats.trigger.tables import CLASS, Events
from hepjax.formats.trigger.tasks import TASKS


def write_events(path: Path, pieces: Iterable[Events], name: str, about: dict[str, str]) -> int:
    """Write labelled events of a task as Parquet; return their number."""
    task = TASKS[name]
    classes = np.array(task.classes)

    def columns() -> Iterable[dict[str, np.ndarray]]:
        for piece in pieces:
            assert piece.label is not None
            made = {n: piece.inputs[:, k] for k, n in enumerate(task.inputs)}
            yield made | {CLASS: classes[piece.label]}

    return write_table(path, columns(), about | {"task": name})


def write_clusters(
    folder: Path, number: int, charge: np.ndarray, labels: dict[str, np.ndarray]
) -> Path:
    """Write charges (n, 13, 21) and their labels (n,); return the file of the charges."""
    path = folder / f"recon2D_d{number:05d}.parquet"
    flat = charge.reshape(len(charge), -1).astype(np.float32)
    tables = {
        path: {name: flat[:, k] for k, name in enumerate(COLUMNS)},
        path.with_name(path.name.replace("recon2D", "labels")): labels,
    }
    for place, columns in reversed(tables.items()):
        with replacing(place) as partial:
            pq.write_table(pa.table(columns), partial, compression="zstd")
    return path
