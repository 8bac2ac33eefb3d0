"""What a shard of a packed set is: columns, blocks and metadata, for readers and writers.

A shard is a Parquet file that pandas and pyarrow read as well. ``cell`` and ``value`` are lists,
every other column has one number an event; the metadata (``manifest.Meaning``) say what they mean.
"""

import numpy as np
import pyarrow as pa

Columns = dict[str, np.ndarray]

BLOCK_EVENTS = 1024
"""Events of a row group, which are decoded together; the last one of a shard may have fewer."""
IMAGE_COLUMNS = {
    name: pa.list_(pa.field("element", kind, nullable=False))
    for name, kind in (("cell", pa.uint32()), ("value", pa.float32()))
}
METADATA = b"hepjax"
MAGIC = b"PAR1"


def shard_name(number: int) -> str:
    """Shards sort by name in the order of their events."""
    return f"shard-{number:05d}.parquet"
