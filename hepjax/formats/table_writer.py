"""Writes tables of numbers, piece by piece, as Parquet; the file is there whole or not at all."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepjax import InputError
from hepjax.formats.atomic import replacing

ROW_GROUP = 2**17
"""Rows of a row group at most."""


def write_table(
    path: str | Path, pieces: Iterable[dict[str, np.ndarray]], about: dict[str, str]
) -> int:
    """Write the rows of all pieces; return their number.

    Args:
      path: a file of that name is replaced at the end.
      pieces: columns (rows,), the same in every piece.
      about: kept in the metadata of the file.
    Raises:
      InputError: the file cannot be written, or there are no rows.
    """
    metadata = {f"hepjax.{key}": text for key, text in about.items()}
    writer, rows = None, 0
    with replacing(path) as partial, ExitStack() as opened:
        for piece in pieces:
            table = pa.table(piece)
            if writer is None:
                schema = table.schema.with_metadata(metadata)
                writer = pq.ParquetWriter(partial, schema, compression="zstd")
                opened.enter_context(writer)
            writer.write_table(table.cast(schema), ROW_GROUP)
            rows += len(table)
        if rows == 0:
            raise InputError(f"{path}: expected events to write about, found none")
    return rows
