"""Writes ROOT files, whole or not at all: tables as flat trees, showers with arrays of cells."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.atomic import replacing
from hepjax.formats.root.tree import require_uproot

TREE = "events"
ROWS = 2**17
"""Rows of a basket at most."""


def write_root_table(
    path: Path, pieces: Iterable[dict[str, np.ndarray]], about: dict[str, str]
) -> int:
    """Write the rows of all pieces to the tree ``events``; return their number.

    Args:
      pieces: columns (rows,) of numbers, the same in every piece.
      about: kept beside the tree, as ``TObjString`` of the names ``hepjax_<key>``.
    Raises:
      InputError: the file cannot be written, there are no rows, or a column holds texts.
      MissingExtraError: uproot is not installed.
    """
    rows = 0
    with _tree(path, about) as extend:
        for piece in pieces:
            length = len(next(iter(piece.values())))
            for start in range(0, length, ROWS):
                extend({k: _plain(path, k, v[start : start + ROWS]) for k, v in piece.items()})
            rows += length
        if rows == 0:
            raise InputError(f"{path}: expected events to write about, found none")
    return rows


@contextmanager
def root_showers(path: Path, about: dict[str, str]) -> Iterator[Any]:
    """Yield ``write(batch)``: ``ecal`` (n, ...) float32 GeV and columns (n,), to ``events``.

    Raises:
      InputError: the file cannot be written.
      MissingExtraError: uproot is not installed.
    """
    with _tree(path, about) as extend:
        yield lambda batch: extend({name: np.asarray(a) for name, a in batch.items()})


@contextmanager
def _tree(path: Path, about: dict[str, str]) -> Iterator[Any]:
    """Yield what appends columns to the tree, which is made by the first of them."""
    uproot = require_uproot(path)
    with replacing(path) as partial, uproot.recreate(partial) as file:
        for key, text in about.items():
            file[f"hepjax_{key}"] = text
        made: list[Any] = []

        def extend(columns: dict[str, np.ndarray]) -> None:
            if not made:
                kinds = {name: (a.dtype, a.shape[1:]) for name, a in columns.items()}
                made.append(file.mktree(TREE, {n: np.dtype(kind) for n, kind in kinds.items()}))
            made[0].extend(columns)

        yield extend


def _plain(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind not in "biuf":
        raise InputError(f"{path}: expected columns of numbers, found {values.dtype} in {name}")
    return values.astype(np.float32) if values.dtype == np.float16 else values
