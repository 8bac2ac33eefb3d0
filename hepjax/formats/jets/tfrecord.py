"""Jet images in TFRecord files of ``tf.train.Example``: ``X_jets`` with channels last, and one
number each as m0, pt, y.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.formats.images import Grid, SparseImages
from hepjax.formats.jets.arrays import (
    Columns,
    Piece,
    canonical,
    events_at_once,
    from_dense,
    scalars_of,
    words_of,
)
from hepjax.formats.jets.meaning import Meaning, agree, flat_shape, make_grid
from hepjax.formats.tfrecord import Feature, parse_example, read_records

IMAGE_FEATURES = ("X_jets", "X_jet", "X")


@dataclass(frozen=True)
class TFRecordJets:
    """One file; made by ``describe_tfrecord``."""

    path: Path
    grid: Grid
    labels: dict[int, str]
    image: str
    scalars: tuple[str, ...]
    layout = "tfrecord"

    @cached_property
    def events(self) -> int:
        """Records in the file, which has to be read through for it."""
        return sum(1 for _ in read_records(self.path))

    def stream(
        self, batch: int = 256, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[SparseImages, Columns]]:
        """Events in order, at most ``batch`` at a time; those before ``start`` are read as well.

        Raises:
          InputError: damage, or numbers that cannot be images, labels and jet quantities.
        """
        step = events_at_once(batch, 4 * self.grid.size)
        records = islice(read_records(self.path), start, stop)
        pixels = np.empty((step, self.grid.size), np.float32)
        while read := list(islice(records, step)):
            piece = Piece(self.path, self.grid, self.labels, start)
            columns: dict[str, list[np.generic]] = {name: [] for name in self.scalars}
            for row, data in enumerate(read):
                features = _parse(self.path, start + row, data)
                image = _image(self.path, start + row, features, self.image)
                if len(image) != self.grid.size:
                    raise InputError(
                        f"{self.path}: expected {self.grid.size} numbers in {self.image}, found "
                        f"{len(image)} in event {start + row}"
                    )
                pixels[row] = image
                for name, values in columns.items():
                    values.append(_scalar(self.path, start + row, features, name))
            stored = {name: np.array(values) for name, values in columns.items()}
            yield (
                from_dense(piece, pixels[: len(read)], channels_last=True),
                canonical(piece, stored),
            )
            start += len(read)


def describe_tfrecord(path: Path, asked: Meaning) -> TFRecordJets:
    """Features and meaning of a file, from its first record.

    Raises:
      InputError: no jet images, no labels, damage, or a meaning that nobody states.
    """
    features = _parse(path, 0, next(read_records(path)))
    name = next((name for name in IMAGE_FEATURES if name in features), None)
    if name is None:
        raise InputError(
            f"{path}: expected a feature X_jets, found {', '.join(features) or 'no features'}"
        )
    holds = {k: _words(v) for k, v in sorted(features.items()) if k != name}
    scalars = scalars_of(path, holds, asked)
    meaning = agree(path, Meaning(), asked)
    channels, rows, columns = flat_shape(path, meaning, len(_image(path, 0, features, name)))
    grid = make_grid(path, meaning, channels, (rows, columns))
    return TFRecordJets(path, grid, meaning.labels or {}, name, scalars)


def _words(feature: Feature) -> str | None:
    """What a feature holds, see ``scalars_of``."""
    if not isinstance(feature, np.ndarray):
        return "text or bytes"
    return words_of(feature.dtype, feature.shape)


def _parse(path: Path, event: int, data: bytes) -> dict[str, Feature]:
    try:
        return parse_example(data)
    except ValueError as error:
        raise InputError(
            f"{path}: expected a tf.train.Example, found {error} in event {event}"
        ) from error


def _image(path: Path, event: int, features: dict[str, Feature], name: str) -> np.ndarray:
    """Numbers of the image: a list of them, or the bytes of float32 numbers."""
    image = features.get(name, np.empty(0, np.float32))
    if isinstance(image, np.ndarray):
        return image
    if len(image) != 1 or len(image[0]) % 4:
        raise InputError(
            f"{path}: expected the bytes of float32 pixels in {name}, found "
            f"{[len(part) for part in image][:3]} bytes in event {event}"
        )
    return np.frombuffer(image[0], "<f4")


def _scalar(path: Path, event: int, features: dict[str, Feature], name: str) -> np.generic:
    value = features.get(name, [])
    if not isinstance(value, np.ndarray) or len(value) != 1:
        raise InputError(
            f"{path}: expected one number in {name}, found {len(value)} in event {event}"
        )
    return value[0]
