"""Columns of Parquet files as arrays, checked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepjax import InputError


def numbers(path: Path, names: Sequence[str]) -> np.ndarray:
    """Columns (n, names) float32.

    Raises:
      InputError: unreadable, a column is missing or is no numbers, no rows, or numbers that are
        empty or not finite.
    """
    with _opened(path) as file:
        there = set(file.schema_arrow.names)
        if missing := [name for name in names if name not in there]:
            raise InputError(
                f"{path}: expected {len(names)} columns from {names[0]} to {names[-1]}, found none "
                f"{missing[0]}"
            )
        table = file.read(list(names))
        columns = [c.cast(pa.float32(), safe=False).to_numpy() for c in table.columns]
    values = np.stack(columns, axis=1)
    if not len(values):
        raise InputError(f"{path}: expected at least one event, found none")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"{path}: expected finite numbers in the column {names[column]}, found "
            f"{values[row, column]} in row {row + 1}; remove such events"
        )
    return values


def texts(path: Path, name: str) -> list[str] | None:
    """A column of texts; None if the file has none of this name.

    Raises:
      InputError: unreadable.
    """
    with _opened(path) as file:
        if name not in file.schema_arrow.names:
            return None
        return [str(value) for value in file.read([name]).column(name).to_pylist()]


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"{path}: expected a Parquet file of numbers, found: {reason}") from None
