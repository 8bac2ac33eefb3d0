"""Sparse detector images: the non-zero cells of each event, which travel in place of dense arrays.

Coarse channels (calorimeter towers) are kept at their own granularity: one stored cell stands for
the block of equal pixels that it fills. ``ops/densify.py`` undoes both inside the compiled step.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from hepjax.errors import InputError


@dataclass(frozen=True)
class Channel:
    """One layer of an image."""

    name: str
    """pT, d0, dz, ECAL, HCAL, BPIX1 ... : never guessed, orders differ between files."""
    unit: str
    """Of the stored values: GeV, cm, mm, hits, or "1" if unknown or scaled."""
    coarsening: int = 1
    """Pixels along each image axis that one stored cell fills with its value."""


@dataclass(frozen=True)
class Grid:
    """The cells of an event: pixels of the dense image, and its channels."""

    shape: tuple[int, ...]
    """Pixels along each image axis: (125, 125), (375, 375), (25, 25, 25)."""
    channels: tuple[Channel, ...]

    def __post_init__(self) -> None:
        for channel in self.channels:
            if any(pixels % channel.coarsening for pixels in self.shape):
                raise InputError(
                    f"channel {channel.name}: expected a coarsening that divides {self.shape}, "
                    f"found {channel.coarsening}"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels, in order."""
        return tuple(channel.name for channel in self.channels)

    @property
    def planes(self) -> tuple[tuple[int, ...], ...]:
        """Stored cells along each axis, channel by channel."""
        return tuple(tuple(n // c.coarsening for n in self.shape) for c in self.channels)

    @property
    def starts(self) -> np.ndarray:
        """(channels + 1,) int64: flat index of the first cell of each channel, and the size."""
        return np.cumsum([0, *map(prod, self.planes)], dtype=np.int64)

    @property
    def size(self) -> int:
        """Stored cells of an event if none were zero."""
        return int(self.starts[-1])


@dataclass(frozen=True)
class SparseImages:
    """Non-zero cells of n events: those of event i are ``first[i]:first[i + 1]``."""

    first: np.ndarray
    """(n + 1,) int64."""
    cell: np.ndarray
    """(cells,) uint32, flat cell of a ``Grid``: channel, then row-major pixel; ascending."""
    value: np.ndarray
    """(cells,) float32."""

    def __len__(self) -> int:
        return len(self.first) - 1
