"""Writes showers batch by batch into one file, whose name says the format (``WRITERS``)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from hepjax.formats.files import by_suffix
from hepjax.formats.root.writer import root_showers
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.layout import Layout
from hepjax.formats.showers.writer import ShowerWriter
from hepjax.formats.source import Batch
from hepjax.formats.table_writer import parquet_file

Write = Callable[[Batch], None]
Writer = Callable[
    [Path, int, Layout, str, Calorimeter, dict[str, str]], AbstractContextManager[Write]
]


def shower_file(
    path: Path, total: int, layout: Layout, particle: str, calorimeter: Calorimeter,
    notes: dict[str, str],
) -> AbstractContextManager[Write]:  # fmt: skip
    """Yield what appends a batch: ``ecal`` (n, ...) GeV, ``energy`` (n,) GeV, ``theta`` (n,) rad.

    Args:
      total: showers in all.
      layout, particle: of HDF5 files, which are as published.
      notes: what made the showers; kept in ROOT and Parquet files.
    Raises:
      InputError: an unknown ending, or the file cannot be written.
      MissingExtraError: a ROOT file without the package that writes it.
    """
    return by_suffix(path, WRITERS)(path, total, layout, particle, calorimeter, notes)


@contextmanager
def _hdf5(
    path: Path, total: int, layout: Layout, particle: str, calorimeter: Calorimeter,
    notes: dict[str, str],
) -> Iterator[Write]:  # fmt: skip
    with ShowerWriter(path, layout, total, particle, calorimeter) as writer:
        yield writer.write


@contextmanager
def _root(
    path: Path, total: int, layout: Layout, particle: str, calorimeter: Calorimeter,
    notes: dict[str, str],
) -> Iterator[Write]:  # fmt: skip
    with root_showers(path, notes | {"unit": "GeV", "calorimeter": calorimeter.name}) as write:
        yield write


@contextmanager
def _parquet(
    path: Path, total: int, layout: Layout, particle: str, calorimeter: Calorimeter,
    notes: dict[str, str],
) -> Iterator[Write]:  # fmt: skip
    """A column each; ``ecal`` as nested lists of fixed size, a row group a batch."""
    told = notes | {"unit": "GeV", "calorimeter": calorimeter.name}
    with parquet_file(path, told) as write:
        yield lambda batch: write(
            pa.table({name: _nested(np.asarray(a)) for name, a in batch.items()})
        )


def _nested(values: np.ndarray) -> pa.Array:
    """An array (n, ...) as n values, or n lists of lists."""
    nested = pa.array(values.reshape(-1))
    for size in values.shape[:0:-1]:
        nested = pa.FixedSizeListArray.from_arrays(nested, size)
    return nested


WRITERS: dict[str, Writer] = {
    ".h5": _hdf5, ".hdf5": _hdf5, ".root": _root, ".parquet": _parquet,
}  # fmt: skip
"""By the end of the name, lower case."""
