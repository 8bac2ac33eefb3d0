"""What the exporter knows of each array of a traced program: a constant, or a tensor of the graph.

Two things are put off until a node needs them, because often none does. An array that was
transposed keeps its place in memory and remembers its ``order``. An array that was broadcast stays
as small as it was, since ONNX broadcasts element by element itself.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Dim = Any
"""A size: an int, or a symbolic expression of jax.export."""
Dims = tuple[Dim, ...]


@dataclass(frozen=True, eq=False)
class Const:
    """A constant: ``array`` broadcasts to ``shape``, which has the same rank."""

    array: np.ndarray
    shape: Dims

    @property
    def whole(self) -> bool:
        """Whether nothing is left to broadcast."""
        return same(self.array.shape, self.shape)


@dataclass(frozen=True)
class Tensor:
    """The output of a node.

    Attributes:
      shape: as the traced program sees it.
      dims: the same axes as they are in memory; 1 where the program sees a broadcast axis.
      order: which of these axes each axis in memory is; ``range(rank)`` if not transposed.
    """

    name: str
    dtype: np.dtype
    shape: Dims
    dims: Dims
    order: tuple[int, ...]

    @property
    def plain(self) -> bool:
        """Whether memory holds what the program sees."""
        return self.order == tuple(range(len(self.shape))) and same(self.dims, self.shape)


@dataclass(frozen=True)
class Keys:
    """Keys of random numbers. Hosts have none; what is drawn with them is an input, or made by the
    graph."""


Value = Const | Tensor | Keys


def constant(array: Any) -> Const:
    """A constant as it is."""
    known = np.asarray(array)
    return Const(known, known.shape)


def tensor(name: str, dtype: Any, shape: Dims) -> Tensor:
    """A tensor whose memory holds what the program sees."""
    return Tensor(name, np.dtype(dtype), tuple(shape), tuple(shape), tuple(range(len(shape))))


def same(a: Dims, b: Dims) -> bool:
    """Whether two shapes are equal, symbolic sizes included."""
    return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))


def _equal(x: Dim, y: Dim) -> bool:
    if isinstance(x, int) != isinstance(y, int):
        return False  # a symbolic size is not known to be that number
    return bool(x == y)


def is_one(size: Dim) -> bool:
    """Whether a size is the number 1."""
    return isinstance(size, int) and size == 1


def static(shape: Dims) -> bool:
    """Whether all sizes are numbers."""
    return all(isinstance(n, (int, np.integer)) for n in shape)
