"""Writes one shard of a packed set; what it holds is in layout.py."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepjax import InputError
from hepjax.formats.atomic import replacing
from hepjax.formats.images import Grid
from hepjax.formats.packed.layout import BLOCK_EVENTS, IMAGE_COLUMNS, METADATA, Columns
from hepjax.formats.packed.manifest import Meaning, Shard
from hepjax.formats.packed.shard import describe_shard
from hepjax.formats.sparse import SparseImages

ZSTD_LEVEL = 3


def write_shard(
    path: Path,
    images: SparseImages,
    columns: Columns,
    grid: Grid,
    labels: dict[int, str],
    units: dict[str, str],
) -> Shard:
    """Write a shard and read it back; return its entry of the manifest.

    Raises:
      InputError: too many cells for one file, or it cannot be written; nothing is left then.
    """
    if len(images.cell) >= 2**31:
        raise InputError(f"{path}: expected fewer than 2^31 cells, found {len(images.cell)}")
    meaning = Meaning(
        grid=grid,
        labels=labels,
        columns={name: str(values.dtype) for name, values in columns.items()},
        units={name: unit for name, unit in units.items() if name in columns},
    )
    metadata = {METADATA: json.dumps(asdict(meaning))}
    table = _table(images, columns).replace_schema_metadata(metadata)
    with replacing(path) as partial:
        # Differences of ascending cells and bytes of like significance side by side: 30 % smaller
        # than plain, and as fast to read.
        pq.write_table(
            table, partial, row_group_size=BLOCK_EVENTS, compression="zstd",
            compression_level=ZSTD_LEVEL, use_dictionary=False, write_page_checksum=True,
            column_encoding={
                "cell.list.element": "DELTA_BINARY_PACKED",
                "value.list.element": "BYTE_STREAM_SPLIT",
            },
        )  # fmt: skip
        entry, _ = describe_shard(partial)
    return replace(entry, file=path.name)


def _table(images: SparseImages, columns: Columns) -> pa.Table:
    first = pa.array(images.first.astype(np.int32))
    arrays, fields = [], []
    for name, kind in IMAGE_COLUMNS.items():
        flat = pa.array(np.ascontiguousarray(getattr(images, name)))
        arrays.append(pa.ListArray.from_arrays(first, flat, type=kind))
        fields.append(pa.field(name, kind, nullable=False))
    for name, values in columns.items():
        arrays.append(pa.array(values))
        fields.append(pa.field(name, arrays[-1].type, nullable=False))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
