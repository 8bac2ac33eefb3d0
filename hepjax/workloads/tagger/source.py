"""Events of a tagger as the engine reads them: sparse images in the channels of a configuration.

The dense images are made inside the compiled step (objective.py).
"""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import numpy as np

from hepjax.formats.images import Channel, Grid, SparseImages
from hepjax.formats.packed.reader import PackedSource
from hepjax.formats.source import Batch
from hepjax.formats.sparse import padded, padded_width
from hepjax.workloads.tagger.config import DataConfig


class Images(Protocol):
    """A source of sparse images with columns: a packed set, or ``ImagesInMemory``."""

    grid: Grid
    labels: dict[int, str]
    blocks: np.ndarray

    @property
    def columns(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, indices: np.ndarray) -> Batch: ...
    def column(self, name: str) -> np.ndarray: ...


class ImagesInMemory:
    """All events of files that are not packed."""

    def __init__(
        self, grid: Grid, labels: dict[int, str], images: SparseImages, values: Batch
    ) -> None:
        self.grid, self.labels, self._images, self._values = grid, labels, images, values
        self.blocks = np.array([0, len(images)])
        self._width = padded_width(images.largest)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns beside the image."""
        return tuple(self._values)

    def __len__(self) -> int:
        return len(self._images)

    def column(self, name: str) -> np.ndarray:
        """(n,) values of one column."""
        return self._values[name]

    def __getitem__(self, indices: np.ndarray) -> Batch:
        """``cell`` and ``value`` (n, K), padded with ``grid.size`` and 0, and the columns."""
        views = self._images.views(np.asarray(indices))
        columns = {name: values[indices] for name, values in self._values.items()}
        return padded(views, self._width, self.grid.size) | columns


class JetSource:
    """Events ``rows`` of other images, in the channels of a configuration; a ``Source``.

    A batch has ``cell``, ``value``, ``label`` and ``weight``; with ``with_columns`` all columns of
    the files besides.
    """

    def __init__(
        self, cfg: DataConfig, images: Images, rows: np.ndarray,
        weight: np.ndarray | None = None, *, with_columns: bool = True,
    ) -> None:  # fmt: skip
        self._images, self._rows = images, rows
        self._weight = np.ones(len(rows), np.float32) if weight is None else weight
        self.grid, self.labels = _selected(cfg, images.grid), dict(enumerate(cfg.labels))
        self.columns = tuple(images.columns)
        self._fields = [
            name for name in self.columns
            if name == "label" or with_columns
        ]  # fmt: skip
        self._tables = {"class_of_label": classes(cfg, images)}
        if self.grid != images.grid:
            self._tables["cell_of_cell"] = _cells(images.grid, self.grid)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def blocks(self) -> np.ndarray:
        """Blocks of the images, as far as they have events here."""
        return np.unique(np.searchsorted(self._rows, self._images.blocks))

    def column(self, name: str) -> np.ndarray:
        """(n,) values of one column."""
        values = self._images.column(name)[self._rows]
        return self._tables["class_of_label"][values] if name == "label" else values

    def __getitem__(self, indices: np.ndarray) -> Batch:
        batch = self._translated(self._images[self._rows[indices]], self._tables)
        return batch | {"weight": self._weight[indices]}

    def _translated(self, batch: Any, tables: Any) -> Any:
        """A batch of the images in the channels and classes of the configuration."""
        cell = batch["cell"]
        if "cell_of_cell" in self._tables:
            cell = tables["cell_of_cell"][cell]
        fields = {name: batch[name] for name in self._fields}
        if "label" in fields:
            fields["label"] = tables["class_of_label"][fields["label"]]
        return {"cell": cell, "value": batch["value"]} | fields

    def resident(self) -> tuple[dict[str, Any], Callable[..., Any]]:
        """Arrays of all events, and the pure function from them and events (n,) to a batch."""
        if isinstance(self._images, PackedSource):
            images, take_packed = self._images.resident()
            rows = self._rows.astype(np.int32)
        else:
            images, take_packed = self._images[self._rows], _take_rows
            rows = np.arange(len(self), dtype=np.int32)
        unread = set(self._images.columns) - set(self._fields)
        images = {name: array for name, array in images.items() if name not in unread}
        own = {"row_of_event": rows, "weight_of_event": self._weight} | self._tables

        def take(arrays: dict[str, Any], indices: jax.Array) -> dict[str, jax.Array]:
            images = {name: array for name, array in arrays.items() if name not in own}
            batch = take_packed(images, arrays["row_of_event"][indices])
            weight = arrays["weight_of_event"][indices]
            return self._translated(batch, arrays) | {"weight": weight}

        return images | own, take


def _take_rows(arrays: dict[str, Any], indices: jax.Array) -> dict[str, jax.Array]:
    return {name: array[indices] for name, array in arrays.items()}


def _selected(cfg: DataConfig, stored: Grid) -> Grid:
    channels: dict[str, Channel] = {channel.name: channel for channel in stored.channels}
    return Grid(tuple(stored.shape), tuple(channels[name] for name in cfg.names))


def classes(cfg: DataConfig, images: Images) -> np.ndarray:
    """For each label of the files the class of the configuration, which has the same name."""
    table = np.zeros(max(images.labels, default=0) + 1, np.int32)
    for number, name in images.labels.items():
        table[number] = cfg.labels.index(name) if name in cfg.labels else number
    return table


def _cells(stored: Grid, wanted: Grid) -> np.ndarray:
    """For each stored cell, and the padding after them, the cell in the wanted channels."""
    table = np.full(stored.size + 1, wanted.size, np.int32)
    for number, name in enumerate(wanted.names):
        start, stop = stored.starts[stored.names.index(name) :][:2]
        table[start:stop] = wanted.starts[number] + np.arange(stop - start)
    return table
