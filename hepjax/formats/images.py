"""Grids of detector images, and conversion between dense and sparse images on the host.

Sparse images are the non-zero cells of each event (sparse.py). Coarse channels (calorimeter towers)
keep their own granularity: one stored cell stands for the block of equal pixels that it fills.
``ops/densify.py`` makes images dense inside the compiled step.
"""

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from hepjax import InputError
from hepjax.formats.sparse import SparseImages, by_event


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


def channel_of(images: SparseImages, grid: Grid) -> np.ndarray:
    """(cells,) int64: the number of the channel of each cell."""
    return np.searchsorted(grid.starts, images.cell, side="right") - 1


def unsound(images: SparseImages, grid: Grid, start: int = 0) -> str | None:
    """What is wrong with images, naming the event (counted from ``start``); None if nothing is."""
    first, cell, value = images.first, images.cell, images.value
    if (
        first[0] != 0
        or first[-1] != len(cell)
        or len(cell) != len(value)
        or (np.diff(first) < 0).any()
    ):
        return f"expected as many values as cells, found {len(value)} for {len(cell)}"

    def event(bad: np.ndarray) -> int:
        return start + int(np.searchsorted(first, bad.argmax(), side="right")) - 1

    if len(cell) and (largest := int(cell.max())) >= grid.size:
        bad = cell == largest
        return f"expected cells 0 to {grid.size - 1}, found {largest} in event {event(bad)}"
    descends = np.zeros(len(cell) + 1, bool)
    descends[1:-1] = cell[1:] <= cell[:-1]
    descends[first] = False
    if descends.any():
        return f"expected cells in ascending order, found others in event {event(descends)}"
    finite = np.isfinite(value)
    if not finite.all():
        at = int(finite.argmin())
        channel = grid.names[channel_of(images, grid)[at]]
        where = f"event {event(~finite)}, channel {channel}"
        return f"expected finite values, found {value[at]} in {where}"
    return None


def sparsify(dense: np.ndarray, grid: Grid) -> SparseImages:
    """The cells of dense images whose bits are not all zero: -0.0 is kept, so is every NaN.

    Args:
      dense: (n, *shape, channels) float32; ``np.moveaxis(x, 1, -1)`` for channels first, no copy.
      grid: a coarse channel must hold one value in each of its blocks.
    Raises:
      InputError: other axes than the grid's, or a coarse channel that is not constant in a block.
    """
    n, image = len(dense), (*grid.shape, len(grid.channels))
    if dense.shape[1:] != image or dense.dtype != np.float32:
        raise InputError(
            f"images: expected float32 of (n, {', '.join(map(str, image))}), "
            f"found {dense.dtype} of {dense.shape}"
        )
    if all(channel.coarsening == 1 for channel in grid.channels):
        return _sparsify_pixels(dense, grid.size)
    planes = []
    for pixels, channel in zip(np.moveaxis(dense, -1, 0), grid.channels, strict=True):
        corners = (slice(None, None, channel.coarsening),) * len(grid.shape)
        planes.append(pixels[(slice(None), *corners)].reshape(n, -1))
    images = _sparsify_pixels(np.concatenate(planes, axis=1)[..., None], grid.size)
    if not np.array_equal(_bits(densify(images, grid)), _bits(np.ascontiguousarray(dense))):
        coarse = [f"{c.name} ({c.coarsening})" for c in grid.channels if c.coarsening > 1]
        raise InputError(
            f"channels {', '.join(coarse)}: expected one value in each coarse cell, found several; "
            "use a coarsening of 1"
        )
    return images


def _bits(values: np.ndarray) -> np.ndarray:
    return values.view(np.uint32)


def _sparsify_pixels(dense: np.ndarray, size: int) -> SparseImages:
    n, channels = len(dense), dense.shape[-1]
    channels_first = np.moveaxis(dense, -1, 1)
    if channels_first.flags.c_contiguous:
        flat = channels_first.reshape(-1)
        position = at = np.flatnonzero(_bits(flat))
    else:
        # Sorting the few cells costs less than transposing the images.
        flat = np.ascontiguousarray(dense).reshape(-1)
        at = np.flatnonzero(_bits(flat))
        event, inside = np.divmod(at, size)
        pixel, channel = np.divmod(inside, channels)
        position = event * size + channel * (size // channels) + pixel
        order = np.argsort(position)
        position, at = position[order], at[order]
    first, cell = by_event(position, n, size)
    return SparseImages(first, cell.astype(np.uint32), flat[at])


def densify(images: SparseImages, grid: Grid) -> np.ndarray:
    """Dense images (n, *shape, channels) float32 on the host: the inverse of ``sparsify``."""
    n = len(images)
    dense = np.zeros((n, *grid.shape, len(grid.channels)), np.float32)
    events, channels = images.event, channel_of(images, grid)
    for number, (channel, plane) in enumerate(zip(grid.channels, grid.planes, strict=True)):
        inside = channels == number
        event, value = events[inside], images.value[inside]
        corner = np.unravel_index(images.cell[inside] - grid.starts[number], plane)
        for offset in product(range(channel.coarsening), repeat=len(plane)):
            pixel = [c * channel.coarsening + o for c, o in zip(corner, offset, strict=True)]
            dense[(event, *pixel, number)] = value
    return dense
