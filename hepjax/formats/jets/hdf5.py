"""Jet images in HDF5: ``X_jets`` (events, rows, columns, channels) with m0, pt, y, or the e/gamma
``X`` (events, 32, 32, channels) with y.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hepjax import InputError
from hepjax.formats.hdf5 import keys, numeric_dataset, open_hdf5, read_rows
from hepjax.formats.hdf5_text import text_attribute
from hepjax.formats.images import Grid, SparseImages
from hepjax.formats.jets.arrays import (
    Columns,
    Piece,
    canonical,
    canonical_name,
    events_at_once,
    from_dense,
    scalars_of,
    words_of,
)
from hepjax.formats.jets.meaning import Meaning, agree, from_metadata, make_grid
from hepjax.formats.units import ENERGY, converted

IMAGE_DATASETS = ("X_jets", "X")

BLOCK_BYTES = 2**30
"""Events of one chunk are read together up to this size, so that no chunk is inflated twice."""


@dataclass(frozen=True)
class Hdf5Jets:
    """One file; made by ``describe_hdf5``."""

    path: Path
    events: int
    grid: Grid
    labels: dict[int, str]
    image: str
    scalars: tuple[str, ...]
    layout = "hdf5"

    def stream(
        self, batch: int = 256, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[SparseImages, Columns]]:
        """Events in order, at most ``batch`` at a time.

        Raises:
          InputError: damage, or numbers that cannot be images, labels and jet quantities.
        """
        stop = self.events if stop is None else min(stop, self.events)
        with open_hdf5(self.path) as file:
            image = numeric_dataset(file, self.path, self.image)
            block = _block_events(image, batch)
            first = start - start % block
            for low in range(first, stop, block):
                a, b = max(low, start), min(low + block, stop)
                pixels = read_rows(image, a, b)
                for k in range(a, b, batch):
                    end = min(k + batch, b)
                    piece = Piece(self.path, self.grid, self.labels, k)
                    stored = {name: self._column(file, name, k, end) for name in self.scalars}
                    images = from_dense(piece, pixels[k - a : end - a], channels_last=True)
                    yield images, canonical(piece, stored)

    def _column(self, file: h5py.File, name: str, start: int, stop: int) -> np.ndarray:
        values = file[name][start:stop]
        if canonical_name(name) not in ("pt", "mass"):
            return values
        return converted(values, file[name], self.path, name, ENERGY)


def describe_hdf5(path: Path, asked: Meaning) -> Hdf5Jets:
    """Datasets and meaning of a file, without reading its images.

    Raises:
      InputError: no jet images, no labels, damage, or a meaning that nobody states.
    """
    with open_hdf5(path) as file:
        name = next((name for name in IMAGE_DATASETS if name in keys(file)), IMAGE_DATASETS[0])
        image = numeric_dataset(file, path, name)
        if image.ndim not in (3, 4) or 0 in image.shape:
            raise InputError(
                f"{path}: expected images (events, rows, columns, channels) in {name!r}, found "
                f"shape {image.shape}"
            )
        columns = {k: _words(file.get(k)) for k in keys(file) if k != name}
        scalars = scalars_of(path, columns, asked)
        for key in scalars:
            if numeric_dataset(file, path, key, "fiub").shape[0] != len(image):
                raise InputError(
                    f"{path}: expected as many rows in {key!r} as images ({len(image)}), found "
                    f"{len(file[key])}"
                )
        said = from_metadata(path, _attributes(file))
        meaning = agree(path, said, asked)
        channels = image.shape[3] if image.ndim == 4 else 1
        grid = make_grid(path, meaning, channels, image.shape[1:3])
        return Hdf5Jets(path, len(image), grid, meaning.labels or {}, name, scalars)


def _block_events(image: h5py.Dataset, batch: int) -> int:
    """Events read together: whole chunks if they fit."""
    event_bytes = image.nbytes // len(image)
    step = events_at_once(batch, event_bytes)
    chunk = image.chunks[0] if image.chunks else 1
    if chunk > step:
        return chunk if chunk * event_bytes <= BLOCK_BYTES else step
    return step - step % chunk


def _words(item: object) -> str | None:
    """What a dataset holds, see ``scalars_of``."""
    if not isinstance(item, h5py.Dataset):
        return "nothing that can be read" if item is None else "a group"
    if h5py.check_string_dtype(item.dtype) is not None:
        return "text"
    return "one value for all" if item.ndim == 0 else words_of(item.dtype, item.shape[1:])


def _attributes(file: h5py.File) -> dict[str, str]:
    texts = {key: text_attribute(file, key) for key in file.attrs if key.startswith("hepjax.")}
    return {key: text for key, text in texts.items() if text is not None}
