"""Jet and e/gamma images of every layout that users have, one file at a time and in order.

For random access, ``hepjax pack`` turns them into packed sets (formats/packed).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from hepjax import InputError
from hepjax.formats.files import exists_inside, list_all
from hepjax.formats.images import Grid, SparseImages
from hepjax.formats.jets.meaning import Meaning
from hepjax.formats.recognise import container, data_files


class JetFile(Protocol):
    """One file (or TFDS folder). It is open only while it streams, so it pickles."""

    @property
    def path(self) -> Path: ...

    @property
    def layout(self) -> str:
        """nested, flat or pairs (all three in Parquet), hdf5, npz, tfrecord, tfds."""
        ...

    @property
    def events(self) -> int: ...

    @property
    def grid(self) -> Grid:
        """Pixels and channels; every channel at full granularity, as it is stored."""
        ...

    @property
    def labels(self) -> dict[int, str]:
        """Class id to class name."""
        ...

    def stream(
        self, batch: int = 256, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[SparseImages, dict[str, np.ndarray]]]:
        """Events ``start`` to ``stop`` in order, at most ``batch`` at a time, in bounded memory.

        Yields:
          the images, and ``label`` int32, ``pt``, ``mass`` (GeV), ``eta``, ``phi``, ``event``
          int64, as far as they are stored; other columns keep the name of the file.
        Raises:
          InputError: damage, a label outside ``labels``, a pixel outside the grid, numbers that are
            not finite, events of another shape.
        """
        ...


def open_jets(
    paths: str | Path | Sequence[str | Path],
    *,
    channels: tuple[str, ...] | None = None,
    labels: dict[int, str] | None = None,
    shape: tuple[int, int] | None = None,
    first_look: bool = False,
    labelled: bool = True,
) -> list[JetFile]:
    """Files of one layout and one meaning, sorted by path.

    Args:
      paths: files, TFDS folders, or folders that stand for their files.
      channels: names in stored order, ``name`` or ``name:unit``; needed unless the files say them.
      labels: class id to class name; needed unless the files say them.
      shape: rows and columns of images that are stored flat and not square.
      first_look: without channel names the channels are called by their number, and without the
        meaning of labels ``labels`` is empty. Labels may be missing.
      labelled: whether the events must have labels; prediction needs none.
    Raises:
      InputError: unreadable or unknown files, files that do not go together, or a meaning that
        neither the files nor the arguments state.
    """
    asked = Meaning(channels, labels, shape, first_look, not labelled)
    files = [_describe(path, asked) for path in list_jet_files(paths)]
    for file in files[1:]:
        for what in ("layout", "grid", "labels"):
            first, other = getattr(files[0], what), getattr(file, what)
            if first != other:
                raise InputError(
                    f"{file.path}: expected the {what} of {files[0].path.name} ({first}), found "
                    f"{other}; use them separately"
                )
    return files


def list_jet_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files of ``paths``, sorted, each once; a folder stands for the data files in it.

    Raises:
      InputError: a path does not exist, a folder has no files, or there are no paths.
    """
    return list_all(paths, data_files, lambda path: exists_inside(path, "dataset_info.json"))


def _describe(path: Path, asked: Meaning) -> JetFile:
    """Only the libraries that this file needs are imported."""
    kind = container(path)
    if kind == "parquet":
        from hepjax.formats.jets.parquet import describe_parquet

        return describe_parquet(path, asked)
    if kind == "hdf5":
        from hepjax.formats.jets.hdf5 import describe_hdf5

        return describe_hdf5(path, asked)
    if kind == "npz":
        from hepjax.formats.jets.npz import describe_npz

        return describe_npz(path, asked)
    if kind == "tfrecord":
        from hepjax.formats.jets.tfrecord import describe_tfrecord

        return describe_tfrecord(path, asked)
    if kind == "root":
        from hepjax.formats.root.jets import describe_root_jets

        return describe_root_jets(path, asked)
    if kind == "tfds":
        from hepjax.formats.jets.tfds import describe_tfds

        return describe_tfds(path, asked)
    raise InputError(f"{path}: expected files to read, found a packed set; it needs no conversion")
