"""The ways of reading jet images that jet_input.py compares, and the files they read.

Legacy readers give dense images in the order of the file, as the published loaders do, and check
nothing. Packed sets go through the engine's own input: checksums, shuffling, sparse batches.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq

from benchmarks.speed import legacy_layouts
from hepjax.engine.input import training_batches
from hepjax.engine.resident import Rows
from hepjax.formats.coarse import concatenate, expand
from hepjax.formats.images import Grid, SparseImages
from hepjax.formats.packed.reader import open_packed
from hepjax.formats.packed.writer import write_packed
from hepjax.formats.source import Batch
from hepjax.formats.tfrecord import parse_example, read_records
from hepjax.simulate.jets.images import jet_grid
from hepjax.simulate.jets.toy import CROWDED, simulate_toy_jets
from hepjax.workloads.tagger.config import TaggerConfig
from hepjax.workloads.tagger.data import JetSource

Columns = dict[str, np.ndarray]
Labels = np.ndarray
DenseReader = Callable[[Path, int], Iterator[tuple[np.ndarray, Labels]]]
"""Of a file and a batch size: images in full, channels first or last, and labels."""


def toy_jets(n: int, resolution: int, seed: int = 0) -> tuple[SparseImages, Columns]:
    """Toy jets with as many cells as published images have (1,220), at native granularity."""
    made = list(simulate_toy_jets("top", n, seed, resolution=resolution, soft=CROWDED))
    images = concatenate([images for images, _ in made])
    return images, {name: np.concatenate([c[name] for _, c in made]) for name in made[0][1]}


def nested_lists(path: Path, batch_size: int) -> Iterator[tuple[np.ndarray, Labels]]:
    """As the published PyTorch loader: a row group a jet, turned into Python lists."""
    file = pq.ParquetFile(path)
    for start in range(0, file.num_row_groups, batch_size):
        rows = [file.read_row_group(k).to_pydict() for k in range(start, start + batch_size)]
        yield np.stack([np.float32(row["X_jets"][0]) for row in rows]), _labels(rows)


def nested_arrays(path: Path, batch_size: int) -> Iterator[tuple[np.ndarray, Labels]]:
    """The same files without Python lists: the numbers as Arrow holds them."""
    file = pq.ParquetFile(path)
    for start in range(0, file.num_row_groups, batch_size):
        images, labels = [], []
        for k in range(start, start + batch_size):
            row = file.read_row_group(k)
            lists = row["X_jets"].combine_chunks()
            channels, rows = len(lists.flatten()), len(lists.flatten().flatten())
            pixels = lists.flatten().flatten().flatten().to_numpy().astype(np.float32)
            images.append(pixels.reshape(channels, rows // channels, -1))
            labels.append(row["y"][0].as_py())
        yield np.stack(images), np.array(labels, np.int32)


def flat_parquet(shape: tuple[int, ...]) -> DenseReader:
    """Flat lists of float32, many jets a row group; ``shape`` of an image."""

    def read(path: Path, batch_size: int) -> Iterator[tuple[np.ndarray, Labels]]:
        for rows in pq.ParquetFile(path).iter_batches(batch_size):
            yield rows["X_jets"].flatten().to_numpy().reshape(-1, *shape), rows["y"].to_numpy()

    return read


def tfrecord(shape: tuple[int, ...]) -> DenseReader:
    """Gzip TFRecord of ``tf.train.Example``; ``shape`` of an image."""

    def read(path: Path, batch_size: int) -> Iterator[tuple[np.ndarray, Labels]]:
        examples: list[dict[str, Any]] = []
        for data in read_records(path):
            examples.append(parse_example(data))
            if len(examples) == batch_size:
                images = np.stack([example["X_jets"] for example in examples])
                yield images.reshape(-1, *shape), _labels(examples)
                examples = []

    return read


def hdf5(path: Path, batch_size: int) -> Iterator[tuple[np.ndarray, Labels]]:
    """Gzip HDF5 in chunks of 32 jets."""
    with h5py.File(path) as file:
        images, labels = file["X_jets"], file["y"]
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            yield images[part], labels[part]


def in_memory(images: np.ndarray, labels: Labels) -> DenseReader:
    """Dense float32 images that lie in memory already, taken at random."""

    def read(path: Path, batch_size: int) -> Iterator[tuple[np.ndarray, Labels]]:
        order = np.random.default_rng(0).permutation(len(images)).reshape(-1, batch_size)
        for rows in order:
            yield images[rows], labels[rows]

    return read


def _labels(rows: list[dict[str, Any]]) -> Labels:
    return np.array([row["y"][0] for row in rows], np.int32)


def as_batches(read: DenseReader, path: Path, batch_size: int) -> Iterator[Batch]:
    """The batches of a dense reader as the step takes them."""
    for image, label in read(path, batch_size):
        weight = np.ones(len(image), np.float32)
        yield {"image": image, "label": label.astype(np.int32), "weight": weight}


def _in_pixels(
    images: SparseImages, columns: Columns, resolution: int
) -> tuple[SparseImages, Columns, Grid]:
    """The jets as published files have them: all channels in pixels, few columns."""
    grid = jet_grid(resolution)
    fine = Grid(grid.shape, tuple(replace(channel, coarsening=1) for channel in grid.channels))
    kept = {name: columns[name] for name in ("label", "pt", "mass")}
    return expand(images, grid, fine), kept, fine


def write_nested(folder: Path, images: SparseImages, columns: Columns, resolution: int) -> Path:
    """The jets in Parquet as nested lists, a row group a jet."""
    return legacy_layouts.write_nested_parquet(
        folder / "nested.parquet", *_in_pixels(images, columns, resolution)
    )


def write_legacy(
    folder: Path, images: SparseImages, columns: Columns, resolution: int
) -> dict[str, tuple[Path, DenseReader]]:
    """The jets in each published layout; the file of each, and how to read it."""
    nested = write_nested(folder, images, columns, resolution)
    pixels, kept, fine = _in_pixels(images, columns, resolution)
    flat = legacy_layouts.write_flat_parquet(folder / "flat.parquet", pixels, kept, fine)
    records = legacy_layouts.write_tfrecord(folder / "jets.tfrecord", pixels, kept, fine)
    chunks = legacy_layouts.write_hdf5(folder / "jets.h5", pixels, kept, fine)
    array = np.moveaxis(legacy_layouts.dense(pixels, fine, 0, len(pixels)), 1, -1).copy()
    np.save(folder / "dense.npy", array)
    return {
        "nested Parquet, Python lists": (nested, nested_lists),
        "nested Parquet, Arrow arrays": (nested, nested_arrays),
        "flat Parquet, Arrow arrays": (flat, flat_parquet(array.shape[1:])),
        "TFRecord, gzip": (records, tfrecord(array.shape[1:])),
        "HDF5, gzip": (chunks, hdf5),
        "dense float32 in memory": (folder / "dense.npy", in_memory(array, columns["label"])),
    }


def write_set(folder: Path, images: SparseImages, columns: Columns, resolution: int) -> Path:
    """The jets as a packed set."""
    labels = {0: "qcd", 1: "top"}
    return write_packed(folder, [(images, columns)], jet_grid(resolution), labels)


def packed_source(cfg: TaggerConfig, folder: Path) -> JetSource:
    """All jets of a packed set as training reads them, nothing decoded yet."""
    images = open_packed(folder)
    return JetSource(cfg.data, images, np.arange(len(images)), with_columns=False)


def packed_batches(cfg: TaggerConfig, folder: Path) -> Iterator[Batch]:
    """One epoch of a packed set, opened afresh, through the engine's input."""
    source = packed_source(cfg, folder)
    size = cfg.train.batch_size
    return training_batches(source, cfg.input, size, cfg.train.seed, 0, len(source) // size)


def row_batches(cfg: TaggerConfig, source: JetSource) -> Iterator[Batch]:
    """One epoch of a set whose events are resident: their numbers alone."""
    size = cfg.train.batch_size
    return training_batches(
        Rows(source), cfg.input, size, cfg.train.seed, 0, len(source) // size
    )  # fmt: skip
