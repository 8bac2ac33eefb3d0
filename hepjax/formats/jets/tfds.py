"""Jet images in a TFDS folder of array_record files, through the data sources of
tensorflow-datasets; TensorFlow itself is neither needed nor imported.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.damage import reading
from hepjax.formats.images import Grid, SparseImages
from hepjax.formats.jets.arrays import (
    Columns,
    Piece,
    canonical,
    from_dense,
    ranges,
    scalars_of,
    words_of,
)
from hepjax.formats.jets.meaning import Meaning, agree, flat_shape, make_grid
from hepjax.formats.silence import silenced

IMAGE_FEATURES = ("X_jets", "X_jet", "X", "image")


@dataclass(frozen=True)
class TfdsJets:
    """One folder; made by ``describe_tfds``."""

    path: Path
    events: int
    grid: Grid
    labels: dict[int, str]
    splits: tuple[tuple[str, int], ...]
    """Names and events of the splits, in the order in which they are read."""
    image: str
    scalars: tuple[str, ...]
    layout = "tfds"

    def stream(
        self, batch: int = 256, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[SparseImages, Columns]]:
        """Events in order, split after split, at most ``batch`` at a time.

        Raises:
          InputError: damage, or numbers that cannot be images, labels and jet quantities.
        """
        stop = self.events if stop is None else min(stop, self.events)
        before = 0
        with reading(self.path, "array_record"):
            with silenced():
                builder = _builder(self.path)
            for split, events in self.splits:
                low, high = max(start - before, 0), min(stop - before, events)
                if low < high:
                    with silenced():
                        source = builder.as_data_source(split=split)
                    for a, b in ranges(low, high, batch, 4 * self.grid.size):
                        yield self._decode(source.__getitems__(range(a, b)), before + a)
                before += events

    def _decode(self, read: list[dict[str, Any]], start: int) -> tuple[SparseImages, Columns]:
        piece = Piece(self.path, self.grid, self.labels, start)
        images = [np.asarray(event[self.image]) for event in read]
        stored = {name: np.array([event[name] for event in read]) for name in self.scalars}
        return from_dense(piece, np.stack(images), channels_last=True), canonical(piece, stored)


def describe_tfds(path: Path, asked: Meaning) -> TfdsJets:
    """Features, counts and meaning of a folder, from its two JSON files.

    Raises:
      InputError: no jet images, no labels, another file format, damage, or a meaning that nobody
        states.
    """
    with reading(path, "array_record"), silenced():
        builder = _builder(path)
        info = builder.info
        if info.file_format is None or info.file_format.value != "array_record":
            found = info.file_format and info.file_format.value
            raise InputError(
                f"{path}: expected a TFDS folder of array_record files, found {found}; give its "
                "TFRecord files themselves, or prepare it with file_format='array_record'"
            )
        features = dict(info.features.items())
        splits = tuple((name, int(split.num_examples)) for name, split in info.splits.items())
        name = next((name for name in IMAGE_FEATURES if name in features), None)
        if name is None or None in features[name].shape:
            raise InputError(
                f"{path}: expected a feature X_jets of fixed shape, found {', '.join(features)}"
            )
        columns = {k: _words(v) for k, v in features.items() if k != name}
        scalars = scalars_of(path, columns, asked)
        meaning = agree(path, _said(features), asked)
        form = tuple(map(int, features[name].shape))
    if not sum(events for _, events in splits):
        raise InputError(f"{path}: expected events, found none")
    if len(form) == 1:
        channels, *form_2d = flat_shape(path, meaning, form[0])
    elif len(form) in (2, 3):
        channels, form_2d = form[2] if len(form) == 3 else 1, list(form[:2])
    else:
        raise InputError(
            f"{path}: expected images (rows, columns, channels) in {name}, found shape {form}"
        )
    grid = make_grid(path, meaning, channels, (form_2d[0], form_2d[1]))
    events = sum(count for _, count in splits)
    return TfdsJets(path, events, grid, meaning.labels or {}, splits, name, scalars)


def _builder(path: Path) -> Any:
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(path)


def _words(feature: Any) -> str | None:
    """What a feature holds, see ``scalars_of``."""
    if not isinstance(feature.shape, tuple) or isinstance(feature.np_dtype, dict):
        return type(feature).__name__
    return words_of(np.dtype(feature.np_dtype), feature.shape)


def _said(features: dict[str, Any]) -> Meaning:
    """The meaning of the labels, if the folder names its classes."""
    for key in ("y", "label"):
        names = getattr(features.get(key), "names", None)
        if names and list(names) != [str(k) for k in range(len(names))]:
            return Meaning(labels=dict(enumerate(map(str, names))))
    return Meaning()
