"""Events of a tagger: which files, which channels of them, which part of them, with what weight.

Packed sets are read as training goes; other layouts, if small, are read into memory. Both give the
sparse images in the channels of the configuration; the dense ones are made inside the step.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from hepjax.engine.workload import Sources
from hepjax.errors import InputError
from hepjax.formats.images import Channel, Grid, SparseImages
from hepjax.formats.jets import open_jets
from hepjax.formats.packed import PackedSource, open_packed
from hepjax.formats.packed_manifest import FILE
from hepjax.formats.source import Batch
from hepjax.tagger.config import DataConfig, TaggerConfig

CELLS = 128
"""Rows of cells are padded to a multiple, as in packed sets."""
PT_BINS = 20
LARGEST_WEIGHT = 10.0
"""Of an event over the mean: the few events at the end of a spectrum do not rule the loss."""


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
        most = int(np.diff(images.first).max(initial=1))
        self._width = -(-most // CELLS) * CELLS

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
        images, last = self._images, max(len(self._images.cell) - 1, 0)
        first = images.first[indices][:, None]
        position = first + np.arange(self._width)
        stored = position < images.first[np.asarray(indices) + 1][:, None]
        position = np.minimum(position, last)
        return {
            "cell": np.where(stored, images.cell[position], self.grid.size).astype(np.int32),
            "value": np.where(stored, images.value[position], np.float32(0)),
        } | {name: values[indices] for name, values in self._values.items()}


class JetSource:
    """Events ``rows`` of other images, in the channels of a configuration; a ``Source``.

    A batch has ``cell``, ``value``, ``label`` and ``weight``; all columns besides, in 32 bits, if
    ``with_columns``. Its ``coarsening`` (n, k, ...) has the coarsening of each channel as shape and
    says nothing otherwise: the compiled step has to know them, and shapes are what it knows.
    """

    def __init__(
        self, cfg: DataConfig, images: Images, rows: np.ndarray,
        weight: np.ndarray | None = None, *, with_columns: bool = True,
    ) -> None:  # fmt: skip
        self._images, self._rows = images, rows
        self._weight = np.ones(len(rows), np.float32) if weight is None else weight
        self.grid, self.labels = _selected(cfg, images.grid), images.labels
        self.columns = tuple(images.columns)
        self._table = None if self.grid == images.grid else _table(images.grid, self.grid)
        self._fields = [
            name for name in self.columns
            if name == "label" or (with_columns and name != "event")
        ]  # fmt: skip

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def blocks(self) -> np.ndarray:
        """Blocks of the images, as far as they have events here."""
        return np.unique(np.searchsorted(self._rows, self._images.blocks))

    def column(self, name: str) -> np.ndarray:
        """(n,) values of one column."""
        return self._images.column(name)[self._rows]

    def __getitem__(self, indices: np.ndarray) -> Batch:
        batch = self._translated(self._images[self._rows[indices]], self._table)
        return batch | {"weight": self._weight[indices]}

    def _translated(self, batch: Any, table: Any) -> Any:
        cell = batch["cell"] if table is None else table[batch["cell"]]
        coarsenings = (channel.coarsening for channel in self.grid.channels)
        fields = {name: _in_32_bits(batch[name]) for name in self._fields}
        return {
            "cell": cell,
            "value": batch["value"],
            "coarsening": np.zeros((len(cell), *coarsenings), np.uint8),
        } | fields

    def resident(self) -> tuple[dict[str, Any], Callable[..., Any]]:
        """Arrays of all events, and the pure function from them and events (n,) to a batch."""
        if isinstance(self._images, PackedSource):
            arrays, take_packed = self._images.resident()
            rows = self._rows.astype(np.int32)
        else:
            arrays, take_packed = self._images[self._rows], _take_rows
            rows = np.arange(len(self), dtype=np.int32)
        unread = set(self._images.columns) - set(self._fields)
        images = {name: array for name, array in arrays.items() if name not in unread}
        own = {"row": rows, "weight": self._weight}
        own |= {} if self._table is None else {"table": self._table}

        def take(arrays: dict[str, Any], indices: jax.Array) -> dict[str, jax.Array]:
            own = arrays["own"]
            batch = take_packed(arrays["images"], own["row"][indices])
            return self._translated(batch, own.get("table")) | {"weight": own["weight"][indices]}

        return {"own": own, "images": images}, take


def _take_rows(arrays: dict[str, Any], indices: jax.Array) -> dict[str, jax.Array]:
    return {name: array[indices] for name, array in arrays.items()}


def sources(cfg: TaggerConfig) -> Sources:
    """Training, validation and test events: separate files, or parts of the same ones.

    Raises:
      InputError: files that cannot be used, or a part without events of one of the classes.
    """
    data = cfg.data
    images = _labelled(data, data.files)
    share = split_share(images)
    own_files = ((), data.validation_files, data.test_files)
    fractions = [0.0 if files else f for files, f in zip(own_files, data.fractions, strict=True)]
    edges = np.cumsum([0.0, *fractions]) / sum(fractions)
    parts: list[JetSource | None] = []
    for number, name in enumerate(("training", "validation", "test")):
        files = own_files[number]
        if not files and fractions[number] == 0:
            parts.append(None)
            continue
        inside = (share >= edges[number]) & (share < edges[number + 1])
        chosen = _labelled(data, files) if files else images
        rows = np.arange(len(chosen)) if files else np.flatnonzero(inside)
        _require_both(data, files or data.files, chosen.column("label")[rows], name)
        weight = _weights(data, chosen, rows) if name == "training" else None
        parts.append(JetSource(data, chosen, rows, weight, with_columns=name != "training"))
    training, validation, test = parts
    if training is None or validation is None:
        raise InputError("data.fractions: expected a share for validation, found 0")
    return Sources(training, validation, test)


def _weights(cfg: DataConfig, images: Images, rows: np.ndarray) -> np.ndarray | None:
    if cfg.weights == "none":
        return None
    if cfg.weights == "pt_flat" and "pt" not in images.columns:
        raise InputError(f"{cfg.files[0]}: expected a column pt for data.weights, found none")
    pt = images.column("pt")[rows] if cfg.weights == "pt_flat" else None
    return weights(images.column("label")[rows], pt)


def _labelled(cfg: DataConfig, files: Sequence[str]) -> Images:
    images = open_images(cfg, files)
    if "label" not in images.columns:
        raise InputError(f"{files[0]}: expected labelled events to train on, found no labels")
    return images


def open_jet_source(cfg: TaggerConfig, paths: Sequence[Path]) -> JetSource:
    """All events of these files in their order, weight 1."""
    images = open_images(cfg.data, [str(path) for path in paths])
    return JetSource(cfg.data, images, np.arange(len(images)))


def open_images(cfg: DataConfig, files: Sequence[str]) -> Images:
    """The files as sparse images, checked against the configuration.

    Raises:
      InputError: unreadable files, or others than the configuration says: image size, channels,
        the meaning of the labels.
    """
    if all((Path(file) / FILE).is_file() for file in files):
        images: Images = open_packed([Path(file) for file in files])
    else:
        images = _read(cfg, files)
    where = files[0]
    if tuple(images.grid.shape) != cfg.shape:
        raise _unlike(
            where, f"images of {list(cfg.shape)} pixels", list(images.grid.shape), "shape"
        )
    expected = dict(enumerate(cfg.labels))
    if "label" in images.columns and images.labels != expected:
        found = [images.labels[key] for key in sorted(images.labels)]
        raise _unlike(where, f"labels {expected}", found, "labels")
    for name in cfg.names:
        if name not in images.grid.names:
            raise InputError(
                f"{where}: expected channel {name} (data.channels), "
                f"found {', '.join(images.grid.names)}"
            )
    return images


def _unlike(where: str, expected: str, found: object, key: str) -> InputError:
    text = str(found).replace("'", "")
    return InputError(
        f"{where}: expected {expected} (data.{key}), found {text}; set 'data.{key}={text}'"
    )


def _read(cfg: DataConfig, files: Sequence[str]) -> ImagesInMemory:
    readers = open_jets(
        list(files), channels=cfg.stored_channels or None, labels=dict(enumerate(cfg.labels)),
        shape=cfg.shape,
    )  # fmt: skip
    parts = [part for reader in readers for part in reader.stream()]
    images, values = zip(*parts, strict=True)
    sizes = np.concatenate([np.diff(part.first) for part in images])
    joined = SparseImages(
        np.concatenate([[0], np.cumsum(sizes)]),
        np.concatenate([part.cell for part in images]),
        np.concatenate([part.value for part in images]),
    )
    columns = {name: np.concatenate([part[name] for part in values]) for name in values[0]}
    return ImagesInMemory(readers[0].grid, readers[0].labels, joined, columns)


def split_share(images: Images) -> np.ndarray:
    """Where each event falls between 0 and 1, (n,): a hash of its event number and label.

    Jets of one collision have one number, so they never lie on both sides of a division. Without
    event numbers the row stands in.
    """
    label = images.column("label").astype(np.uint64)
    numbered = "event" in images.columns
    event = images.column("event") if numbered else np.arange(len(images))
    # SplitMix64 (Steele, Lea and Flood, OOPSLA 2014); unsigned products wrap as it wants.
    x = event.astype(np.uint64) * np.uint64(2) + label
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)) / 2.0**53


def weights(label: np.ndarray, pt: np.ndarray | None) -> np.ndarray:
    """Weights (n,) float32 of mean 1 so that both classes count the same.

    Args:
      pt: (n,) GeV; with it each class counts the same in every one of the bins of pT too, up to
        ``LARGEST_WEIGHT``.
    """
    bins = np.zeros(len(label), np.int64)
    if pt is not None:
        edges = np.linspace(pt.min(), pt.max(), PT_BINS + 1)[1:-1]
        bins = np.digitize(pt, edges)
    group = 2 * bins + label
    weight = 1.0 / np.bincount(group)[group]
    weight = np.minimum(weight / weight.mean(), LARGEST_WEIGHT)
    for value in (0, 1):
        weight[label == value] /= weight[label == value].mean() * np.mean(label == value) * 2
    return weight.astype(np.float32)


def _require_both(cfg: DataConfig, files: Sequence[str], label: np.ndarray, part: str) -> None:
    for value, name in enumerate(cfg.labels):
        if not (label == value).any():
            raise InputError(
                f"{files[0]}: expected {part} events of both classes, found none of label {value} "
                f"({name}) among {len(label)}"
            )


def _selected(cfg: DataConfig, stored: Grid) -> Grid:
    channels: dict[str, Channel] = {channel.name: channel for channel in stored.channels}
    return Grid(tuple(stored.shape), tuple(channels[name] for name in cfg.names))


def _table(stored: Grid, wanted: Grid) -> np.ndarray:
    """For each stored cell, and the padding after them, the cell in the wanted channels."""
    table = np.full(stored.size + 1, wanted.size, np.int32)
    for number, name in enumerate(wanted.names):
        start, stop = stored.starts[stored.names.index(name) :][:2]
        table[start:stop] = wanted.starts[number] + np.arange(stop - start)
    return table


def _in_32_bits(values: Any) -> Any:
    kinds = {"f": np.float32, "i": np.int32, "u": np.int32, "b": np.int32}
    return values.astype(kinds[values.dtype.kind])
