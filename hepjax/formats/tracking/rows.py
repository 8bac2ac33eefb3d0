"""Parquet files with an event in a row and lists in its columns, as ColliderML and packed sets are.

Whole numbers are read as 64-bit integers and never pass through floating point.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepjax import InputError
from hepjax.formats.damage import reading

MAGIC = b"PAR1"
KEPT = 4
"""Row groups of files that stay in memory for the next event."""


def columns_of(path: Path) -> dict[str, pa.DataType]:
    """Types of the columns by name.

    Raises:
      InputError: no Parquet file, or a damaged one.
    """
    with reading(path, "Parquet", MAGIC):
        schema = pq.read_schema(path)
        return dict(zip(schema.names, schema.types, strict=True))


def require_lists(path: Path, columns: dict[str, str]) -> None:
    """Refuse a file without these columns of lists.

    Args:
      columns: by name what the lists hold: ``whole`` numbers or just ``numbers``.
    Raises:
      InputError: naming the first column that is missing or holds something else.
    """
    found = columns_of(path)
    for name, kind in columns.items():
        if name not in found:
            raise InputError(
                f"{path}: expected the columns {', '.join(columns)}, found none {name}"
            )
        held = getattr(found[name], "value_type", None)
        integer = held is not None and pa.types.is_integer(held)
        if not (integer or (kind == "numbers" and held is not None and pa.types.is_floating(held))):
            wanted = "whole numbers" if kind == "whole" else "numbers"
            raise InputError(
                f"{path}: expected lists of {wanted} in column {name}, found {found[name]}"
            )


def count_rows(path: Path) -> int:
    """Events of a file.

    Raises:
      InputError: no Parquet file, or a damaged one.
    """
    with reading(path, "Parquet", MAGIC):
        return int(pq.read_metadata(path).num_rows)


def read_row(
    path: Path, row: int, *groups: dict[str, str]
) -> tuple[dict[str, np.ndarray] | None, ...]:
    """The lists of an event, int64 of ``whole`` numbers and float32 of others.

    Args:
      groups: columns whose lists have one length, see ``require_lists``, to be called before.
    Returns:
      of each group the lists by name, None if all are null.
    Raises:
      InputError: damaged data, empty places, lists of different lengths, or numbers beyond 64 bits.
    """
    with reading(path, "Parquet", MAGIC):
        stamp = path.stat()
        names = tuple(name for columns in groups for name in columns)
        table, first = _group_of(path, row, names, (stamp.st_size, stamp.st_mtime_ns))
        cells = {name: table.column(name)[row - first] for name in names}
        lists = {name: cell.values for name, cell in cells.items() if cell.is_valid}
    return tuple(_of_group(path, row, lists, columns) for columns in groups)


def _of_group(
    path: Path, row: int, lists: dict[str, pa.Array], columns: dict[str, str]
) -> dict[str, np.ndarray] | None:
    values = {name: lists[name] for name in columns if name in lists}
    if not values:
        return None
    lengths = {name: len(v) for name, v in values.items()}
    if len(values) != len(columns) or len(set(lengths.values())) > 1:
        raise InputError(
            f"{path}: expected lists of one length in row {row}, found "
            + ", ".join(f"{name} {lengths.get(name, 'none')}" for name in columns)
        )
    return {name: _array(path, row, name, v, columns[name]) for name, v in values.items()}


def _array(path: Path, row: int, name: str, values: pa.Array, kind: str) -> np.ndarray:
    if values.null_count:
        raise InputError(
            f"{path}: expected a number in every place of column {name}, found an empty one in "
            f"row {row}"
        )
    if kind == "numbers":
        return values.to_numpy(zero_copy_only=False).astype(np.float32)
    try:
        found: np.ndarray = values.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        raise InputError(
            f"{path}: expected whole numbers below 2^63 in column {name}, found larger ones in row "
            f"{row}"
        ) from None
    return found


def _group_of(
    path: Path, row: int, columns: tuple[str, ...], stamp: tuple[int, int]
) -> tuple[Any, int]:
    """The row group that has a row, and its first row."""
    first = 0
    for number, rows in enumerate(_groups(path, stamp)):
        if row < first + rows:
            return _group(path, number, columns, stamp), first
        first += rows
    raise IndexError(f"row {row} of {first}")


@functools.lru_cache(maxsize=256)
def _groups(path: Path, stamp: tuple[int, int]) -> tuple[int, ...]:
    about = pq.read_metadata(path)
    return tuple(about.row_group(k).num_rows for k in range(about.num_row_groups))


@functools.lru_cache(maxsize=KEPT)
def _group(path: Path, number: int, columns: tuple[str, ...], stamp: tuple[int, int]) -> pa.Table:
    return pq.ParquetFile(path).read_row_group(number, list(columns), use_threads=False)
