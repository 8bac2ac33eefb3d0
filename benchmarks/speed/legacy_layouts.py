"""Writes jet images in the dense layouts in which they are published, to test and time readers.

Nothing in hepjax writes these; ``hepjax pack`` reads them.
"""

import gzip
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepjax.formats.images import Grid, SparseImages
from hepjax.formats.jets.meaning import Meaning, to_metadata
from hepjax.formats.tfrecord import write_record

Columns = Mapping[str, np.ndarray]

PUBLISHED_NAMES = {"label": "y", "mass": "m0"}
BLOCK_EVENTS = 32
"""Events that are dense in memory at a time."""


def dense(images: SparseImages, grid: Grid, start: int, stop: int) -> np.ndarray:
    """Events ``start`` to ``stop`` as (events, channels, rows, columns) float32."""
    first = images.first[start : stop + 1]
    pairs = slice(first[0], first[-1])
    pixels = np.zeros((stop - start, grid.size), np.float32)
    event = np.repeat(np.arange(stop - start), np.diff(first))
    pixels[event, images.cell[pairs]] = images.value[pairs]
    return pixels.reshape(stop - start, len(grid.channels), *grid.shape)


def write_nested_parquet(
    path: Path,
    images: SparseImages,
    columns: Columns,
    grid: Grid,
    *,
    dtype: str = "f8",
    row_group: int = 1,
    image: str = "X_jets",
    meaning: Meaning | None = None,
) -> Path:
    """Lists (channels, rows, columns), snappy, by default one jet in a row group."""
    kind = pa.list_(pa.list_(pa.list_(pa.from_numpy_dtype(dtype))))
    with _parquet(path, {image: kind}, columns, meaning) as file:
        for start, stop, block in _blocks(images, grid):
            pixels = pa.array(block.astype(dtype).reshape(-1))
            for length in block.shape[:0:-1]:
                offsets = np.arange(len(pixels) // length + 1, dtype=np.int32) * length
                pixels = pa.ListArray.from_arrays(pa.array(offsets), pixels)
            table = _table(file.schema, [pixels], columns, start, stop)
            file.write_table(table, row_group_size=row_group)
    return path


def write_flat_parquet(
    path: Path,
    images: SparseImages,
    columns: Columns,
    grid: Grid,
    *,
    row_group: int = 3200,
    meaning: Meaning | None = None,
) -> Path:
    """One float32 list an event, channels last, snappy."""
    kept: list[pa.Table] = []
    with _parquet(path, {"X_jets": pa.list_(pa.float32())}, columns, meaning) as file:
        for start, stop, block in _blocks(images, grid):
            pixels = pa.array(_channels_last(block).reshape(-1))
            offsets = np.arange(len(block) + 1, dtype=np.int32) * grid.size
            lists = pa.ListArray.from_arrays(pa.array(offsets), pixels)
            kept.append(_table(file.schema, [lists], columns, start, stop))
            if sum(map(len, kept)) >= row_group or stop == len(images):
                file.write_table(pa.concat_tables(kept), row_group_size=row_group)
                kept.clear()
    return path


def write_pairs_parquet(
    path: Path,
    images: SparseImages,
    columns: Columns,
    grid: Grid,
    *,
    row_group: int = 500,
    meaning: Meaning | None = None,
) -> Path:
    """Lists of flat pixel and of value, zstd."""
    offsets = pa.array(images.first.astype(np.int32))
    table = pa.table(
        {
            **{PUBLISHED_NAMES.get(k, k): v for k, v in columns.items()},
            "idx": pa.ListArray.from_arrays(offsets, pa.array(images.cell.astype(np.int32))),
            "val": pa.ListArray.from_arrays(offsets, pa.array(images.value)),
        }
    )
    if meaning is not None:
        table = table.replace_schema_metadata(to_metadata(meaning))
    pq.write_table(table, path, compression="zstd", row_group_size=row_group)
    return path


def write_tfrecord(
    path: Path,
    images: SparseImages,
    columns: Columns,
    grid: Grid,
    *,
    compress: bool = True,
    as_bytes: bool = False,
) -> Path:
    """``tf.train.Example`` records, gzip: ``X_jets`` with channels last, one number a column."""
    with gzip.open(path, "wb", 6) if compress else open(path, "wb") as file:
        for start, _, block in _blocks(images, grid):
            for row, image in enumerate(_channels_last(block)):
                features = {
                    PUBLISHED_NAMES.get(k, k): _float_list(np.float32(v[start + row]))
                    for k, v in columns.items()
                }
                data = image.tobytes()
                pixels = _field(1, _field(1, data)) if as_bytes else _float_list(image)
                write_record(file, serialize_example({"X_jets": pixels} | features))
    return path


def write_hdf5(
    path: Path,
    images: SparseImages,
    columns: Columns,
    grid: Grid,
    *,
    chunk: int = 32,
    image: str = "X_jets",
    meaning: Meaning | None = None,
) -> Path:
    """``X_jets`` (events, rows, columns, channels) float32, gzip in chunks of ``chunk`` events."""
    shape = (len(images), *grid.shape, len(grid.channels))
    with h5py.File(path, "w") as file:
        pixels = file.create_dataset(
            image, shape, "f4", chunks=(min(chunk, len(images)), *shape[1:]), compression="gzip"
        )
        for start, stop, block in _blocks(images, grid):
            pixels[start:stop] = _channels_last(block)
        for name, values in columns.items():
            file[PUBLISHED_NAMES.get(name, name)] = values
        for key, text in (to_metadata(meaning) if meaning else {}).items():
            file.attrs[key] = np.bytes_(text)
    return path


def write_npz(path: Path, images: SparseImages, columns: Columns, grid: Grid) -> Path:
    """``X`` (events, rows, columns, channels) float32 and columns, deflated."""
    pixels = _channels_last(dense(images, grid, 0, len(images)))
    others = {PUBLISHED_NAMES.get(name, name): values for name, values in columns.items()}
    np.savez_compressed(path, X=pixels, **others)
    return path


def write_tfds(
    folder: Path,
    images: SparseImages,
    columns: Columns,
    grid: Grid,
    *,
    splits: Mapping[str, int],
    classes: list[str],
) -> Path:
    """A data set of tensorflow-datasets: array_record files of named splits, two JSON files."""
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter

    folder.mkdir()
    scalars = {PUBLISHED_NAMES.get(k, k): v for k, v in columns.items() if k != "label"}
    shape = (*grid.shape, len(grid.channels))
    features = {
        "X_jets": tfds.features.Tensor(shape=shape, dtype=np.float32),
        "y": tfds.features.ClassLabel(names=classes),
        **{k: tfds.features.Scalar(dtype=np.float32) for k in scalars},
    }
    tfds.features.FeaturesDict(features).save_config(str(folder))
    described, start = [], 0
    for name, events in splits.items():
        path = folder / f"jets-{name}.array_record-00000-of-00001"
        writer = ArrayRecordWriter(str(path), "group_size:1")
        pixels = _channels_last(dense(images, grid, start, start + events))
        for k, image in enumerate(pixels, start):
            numbers = {key: _float_list(np.float32(values[k])) for key, values in scalars.items()}
            label = _field(3, _field(1, bytes([columns["label"][k]])))
            writer.write(serialize_example({"X_jets": _float_list(image), "y": label} | numbers))
        writer.close()
        described.append(
            {
                "name": name,
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "numBytes": str(path.stat().st_size),
                "shardLengths": [str(events)],
            }
        )
        start += events
    info = {"fileFormat": "array_record", "moduleName": "jets", "name": "jets"}
    content = json.dumps(info | {"splits": described, "version": "1.0.0"})
    (folder / "dataset_info.json").write_text(content)
    return folder


def serialize_example(features: Mapping[str, bytes]) -> bytes:
    """An Example of serialised Features by name."""
    entries = [_field(1, k.encode()) + _field(2, v) for k, v in features.items()]
    return _field(1, b"".join(_field(1, entry) for entry in entries))


def _float_list(values: np.ndarray | np.float32) -> bytes:
    """A Feature of floats, packed."""
    return _field(2, _field(1, np.asarray(values, "<f4").tobytes()))


def _field(number: int, data: bytes) -> bytes:
    length, head = len(data), bytearray([number << 3 | 2])
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(head) + struct.pack("B", length) + data


def _blocks(images: SparseImages, grid: Grid) -> Iterator[tuple[int, int, np.ndarray]]:
    for start in range(0, len(images), BLOCK_EVENTS):
        stop = min(start + BLOCK_EVENTS, len(images))
        yield start, stop, dense(images, grid, start, stop)


def _channels_last(block: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(block, 1, -1))


def _parquet(
    path: Path, image: dict[str, pa.DataType], columns: Columns, meaning: Meaning | None
) -> pq.ParquetWriter:
    fields = image | {
        PUBLISHED_NAMES.get(name, name): pa.from_numpy_dtype(values.dtype)
        for name, values in columns.items()
    }
    schema = pa.schema(fields, metadata=to_metadata(meaning) if meaning else None)
    return pq.ParquetWriter(path, schema, compression="snappy")


def _table(
    schema: pa.Schema, image: list[pa.Array], columns: Columns, start: int, stop: int
) -> pa.Table:
    scalars = [pa.array(values[start:stop]) for values in columns.values()]
    return pa.Table.from_arrays([*image, *scalars], schema=schema)
