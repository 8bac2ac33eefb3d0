"""The whole training set in device memory: read once, after which an epoch costs no input.

The order of events is that of the streamed input, so both train to the same bits.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import NamedSharding

from hepjax import InputError
from hepjax.engine.device_memory import enough_memory
from hepjax.engine.workload import Batch
from hepjax.formats.source import Part, Source

Arrays = dict[str, Any]
Take = Callable[[Arrays, jax.Array], Batch]


@runtime_checkable
class Compact(Protocol):
    """A source that lies in memory smaller than as one large batch."""

    def resident(self) -> tuple[Arrays, Take]:
        """Arrays of all events, and the pure function from them and events (n,) to a batch."""
        ...


class Rows:
    """The events of a source, each as its number only."""

    def __init__(self, source: Source) -> None:
        self.source, self.blocks = source, source.blocks

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return {"row": np.asarray(indices, np.int32)}


def place(source: Source, sharding: NamedSharding) -> tuple[Arrays, Take]:
    """Copy a source into the memory of the devices.

    Args:
      sharding: of every array; a full copy on each device lets each take its own events.
    Raises:
      InputError: the events are of several lengths, or do not fit.
    """
    if getattr(source, "bucket", None) is not None:
        raise InputError(
            "input.resident: expected events of one length, found several buckets; set "
            "input.resident=false, or one length in data.buckets"
        )
    arrays, take = _compact(source) or (source[np.arange(len(source))], _rows_of)
    size = sum(np.asarray(a).nbytes for a in jax.tree.leaves(arrays))
    with enough_memory(
        f"input.resident: expected room for {size / 1e9:.1f} GB on each device, found less; "
        "set input.resident=false"
    ):
        return jax.block_until_ready(jax.device_put(arrays, sharding)), take


def _compact(source: Source) -> tuple[Arrays, Take] | None:
    if isinstance(source, Compact):
        return source.resident()
    whole = _compact(source.source) if isinstance(source, Part) else None
    if whole is None:
        return None
    (arrays, take), start = whole, source.start  # type: ignore[attr-defined]
    return arrays, lambda arrays, rows: take(arrays, rows + start)


def _rows_of(arrays: Arrays, rows: jax.Array) -> Batch:
    return {field: values[rows] for field, values in arrays.items()}
