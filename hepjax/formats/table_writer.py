"""Writes tables of numbers, piece by piece; the file is there whole or not at all.

The name says the format (``WRITERS``).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepjax import InputError
from hepjax.formats.atomic import replacing
from hepjax.formats.files import by_suffix
from hepjax.formats.root.writer import write_root_table

ROW_GROUP = 2**17
"""Rows of a row group at most."""
Pieces = Iterable[dict[str, np.ndarray]]


def write_table(path: str | Path, pieces: Pieces, about: dict[str, str]) -> int:
    """Write the rows of all pieces; return their number.

    Args:
      path: a file of that name is replaced at the end.
      pieces: columns (rows,), the same in every piece.
      about: kept in the metadata of the file.
    Raises:
      InputError: an unknown ending, the file cannot be written, or there are no rows.
      MissingExtraError: a ROOT file without the package that writes it.
    """
    path = Path(path)
    return by_suffix(path, WRITERS)(path, pieces, about)


@contextmanager
def parquet_file(path: Path, about: dict[str, str]) -> Iterator[Callable[[pa.Table], None]]:
    """Yield what appends a table, all with the columns of the first; ``about`` in the metadata."""
    metadata = {f"hepjax.{key}": text for key, text in about.items()}
    made: list[pq.ParquetWriter] = []
    with replacing(path) as partial, ExitStack() as opened:

        def write(table: pa.Table) -> None:
            if not made:
                schema = table.schema.with_metadata(metadata)
                made.append(pq.ParquetWriter(partial, schema, compression="zstd"))
                opened.enter_context(made[0])
            made[0].write_table(table.cast(made[0].schema), ROW_GROUP)

        yield write


def _parquet(path: Path, pieces: Pieces, about: dict[str, str]) -> int:
    rows = 0
    with parquet_file(path, about) as write:
        for piece in pieces:
            table = pa.table(piece)
            write(table)
            rows += len(table)
        _require_rows(path, rows)
    return rows


def _hdf5(path: Path, pieces: Pieces, about: dict[str, str]) -> int:
    """A dataset (rows,) for each column; ``about`` in the attributes of the file."""
    rows = 0
    with replacing(path) as partial, h5py.File(partial, "w") as file:
        file.attrs.update({f"hepjax.{key}": text for key, text in about.items()})
        for piece in pieces:
            length = len(next(iter(piece.values())))
            for name, values in piece.items():
                values = np.asarray(values)
                if name not in file:
                    file.create_dataset(
                        name, (0,), values.dtype, maxshape=(None,), chunks=(ROW_GROUP,),
                        compression="gzip", shuffle=True,
                    )  # fmt: skip
                file[name].resize(rows + length, axis=0)
                file[name][rows:] = values
            rows += length
        _require_rows(path, rows)
    return rows


def _require_rows(path: Path, rows: int) -> None:
    if rows == 0:
        raise InputError(f"{path}: expected events to write about, found none")


WRITERS: dict[str, Callable[[Path, Pieces, dict[str, str]], int]] = {
    ".parquet": _parquet, ".root": write_root_table, ".h5": _hdf5, ".hdf5": _hdf5,
}  # fmt: skip
"""By the end of the name, lower case."""
