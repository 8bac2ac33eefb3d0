"""Events of detector elements and their particles, as all readers of MLPF files give them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.formats.particleflow.columns import ARRAYS, Particle


@dataclass(frozen=True, eq=False)
class Events:
    """Elements of n events one after another: those of event i are ``first[i]:first[i + 1]``.

    Row r of ``ygen`` is the particle that element r stands for, row r of ``ycand`` what rule-based
    particle flow made of it. Columns: columns.py.
    """

    first: np.ndarray
    """(n + 1,) int64."""
    X: np.ndarray
    """(elements, 12) float32."""
    ygen: np.ndarray
    """(elements, 7) float32."""
    ycand: np.ndarray
    """(elements, 7) float32."""

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return self.first.nbytes + self.X.nbytes + self.ygen.nbytes + self.ycand.nbytes


@dataclass(frozen=True, eq=False)
class EventFile:
    """What a file holds; no handle of it, so it pickles."""

    path: Path
    layout: str
    elements: np.ndarray
    """(events,) int64, number of elements of each event."""
    blocks: np.ndarray
    """(n_blocks + 1,) int64: events that are decoded together."""
    read: Callable[[int, int], Events]
    """The events from the first number up to the second, as they lie in the file."""
    unassociated: np.ndarray | None = None
    """(events,) int64: generated particles that left no element, None if the file has no count."""
    without_targets: str = ""
    """Elements of which the file has no targets: such events can only be predicted."""

    def __len__(self) -> int:
        return len(self.elements)


def join(path: Path, start: int, parts: list[dict[str, np.ndarray]]) -> Events:
    """Single events ``X``, ``ygen`` and ``ycand``, of ``start`` onwards, as one.

    Columns of a particle after the seventh (the jet index of TFDS) are left out.

    Raises:
      InputError: other numbers of columns or different numbers of rows in one event.
    """
    for event, part in enumerate(parts, start):
        shapes = {key: part[key].shape for key in ARRAYS}
        for key, columns in ARRAYS.items():
            more = 0 if key == "X" else 1
            if len(shapes[key]) != 2 or not columns <= shapes[key][1] <= columns + more:
                raise InputError(
                    f"{path}: expected {columns} columns in {key!r}, "
                    f"found shape {shapes[key]} in event {event}"
                )
        if len({rows for rows, _ in shapes.values()}) > 1:
            raise InputError(
                f"{path}: expected as many rows in 'ygen' and 'ycand' as elements, "
                f"found {shapes} in event {event}"
            )
    first = np.cumsum([0, *(len(part["X"]) for part in parts)], dtype=np.int64)
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which is checked
        return Events(
            first,
            np.concatenate([p["X"].astype(np.float32) for p in parts]),
            np.concatenate([p["ygen"][:, : len(Particle)].astype(np.float32) for p in parts]),
            np.concatenate([p["ycand"][:, : len(Particle)].astype(np.float32) for p in parts]),
        )
