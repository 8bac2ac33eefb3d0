"""Lossless downsampling of image channels that are constant on blocks of pixels, and back.

Calorimeter towers are published upsampled to the pixels of the tracker: one value fills a block of
pixels. Such a channel is kept as one cell for each block. It is downsampled only if every block is
constant in all events, so no bit is lost. Everything works on sparse cells; no image becomes dense.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import gcd

import numpy as np

from hepjax import InputError
from hepjax.formats.images import Grid, SparseImages, channel_of

CANDIDATES = (15, 5, 3)
"""Block sides that are tried, in pixels: an HCAL tower at three times the crystal granularity, an
HCAL tower at the crystal granularity, a crystal at three times the crystal granularity."""


def concatenate(pieces: Sequence[SparseImages]) -> SparseImages:
    """Events of several pieces, in order."""
    first = [np.zeros(1, np.int64)]
    for piece in pieces:
        first.append(piece.first[1:] + first[-1][-1])
    return SparseImages(
        np.concatenate(first),
        np.concatenate([piece.cell for piece in pieces]),
        np.concatenate([piece.value for piece in pieces]),
    )


def coarsen(images: SparseImages, grid: Grid) -> tuple[SparseImages, Grid]:
    """Downsample each channel by the largest lossless factor; the images and their grid."""
    key = images.event * grid.size
    channels = channel_of(images, grid)
    kept = np.ones(len(images.cell), bool)
    cell = images.cell.astype(np.int64)
    factors = []
    for number, plane in enumerate(grid.planes):
        at = np.flatnonzero(channels == number)
        pixel = cell[at] - grid.starts[number]
        factor = _factor(key[at], pixel, images.value[at].view(np.uint32), plane, grid.size)
        if factor > 1:
            block, is_corner = _blocks(plane, factor)
            kept[at], pixel = is_corner[pixel], block[pixel]
        factors.append(factor)
        cell[at] = pixel
    coarse = _coarser(grid, factors)
    cell += coarse.starts[channels]
    first = np.concatenate([[0], np.cumsum(kept)])[images.first]
    return SparseImages(first, cell[kept].astype(np.uint32), images.value[kept]), coarse


def _factor(
    key: np.ndarray, pixel: np.ndarray, bits: np.ndarray, plane: tuple[int, ...], size: int
) -> int:
    """Largest side of blocks (pixels) that are constant in all events of a channel; 1 for none."""
    few = slice(0, int(np.searchsorted(key, 8 * size)))  # eight events rule out most candidates
    for factor in CANDIDATES:
        if any(n % factor for n in plane):
            continue
        if all(_is_constant(key[s], pixel[s], bits[s], plane, factor) for s in (few, slice(None))):
            return factor
    return 1


@lru_cache(maxsize=32)
def _blocks(plane: tuple[int, ...], factor: int) -> tuple[np.ndarray, np.ndarray]:
    """The block of each pixel of a plane, and whether the pixel is the first of its block."""
    index = np.indices(plane).reshape(len(plane), -1)
    coarse_plane = tuple(n // factor for n in plane)
    block = np.asarray(np.ravel_multi_index(tuple(index // factor), coarse_plane), np.int64)
    return block, np.all(index % factor == 0, axis=0)


def _is_constant(
    key: np.ndarray, pixel: np.ndarray, bits: np.ndarray, plane: tuple[int, ...], factor: int
) -> bool:
    """Whether each block is either empty or full, with the same bits in all its pixels."""
    block, is_corner = _blocks(plane, factor)
    at_corner = is_corner[pixel]
    mine = key + block[pixel]
    corners = mine[at_corner]
    if len(corners) * factor ** len(plane) != len(key):
        return False
    if not len(key):
        return True
    # Cells ascend, so the corners of blocks do too: a binary search finds the corner of each cell.
    found = np.minimum(np.searchsorted(corners, mine), len(corners) - 1)
    return bool((corners[found] == mine).all() and (bits[at_corner][found] == bits).all())


def _coarser(grid: Grid, factors: Sequence[int]) -> Grid:
    return replace(
        grid,
        channels=tuple(
            replace(channel, coarsening=channel.coarsening * factor)
            for channel, factor in zip(grid.channels, factors, strict=True)
        ),
    )


def common_grid(grids: Iterable[Grid]) -> Grid:
    """The coarsest grid to which images of all these grids can be expanded.

    Each channel gets the greatest common divisor of its coarsenings.

    Raises:
      InputError: they differ in more than coarsening.
    """
    first, *others = grids
    coarsening = [channel.coarsening for channel in first.channels]
    for other in others:
        if _fine(other) != _fine(first):
            raise InputError(
                f"images: expected one grid, found {_fine(first)} and {_fine(other)}; "
                "use them separately"
            )
        coarsening = [gcd(a, c.coarsening) for a, c in zip(coarsening, other.channels, strict=True)]
    return _coarser(_fine(first), coarsening)


def _fine(grid: Grid) -> Grid:
    return replace(grid, channels=tuple(replace(c, coarsening=1) for c in grid.channels))


def expand(images: SparseImages, grid: Grid, finer: Grid) -> SparseImages:
    """Upsample images from ``grid`` to a ``finer`` one: each cell fills its block of cells."""
    if grid == finer:
        return images
    event, channels = images.event, channel_of(images, grid)
    keys, values = [], []
    for number, (plane, fine_plane) in enumerate(zip(grid.planes, finer.planes, strict=True)):
        at = channels == number
        corner = np.unravel_index(images.cell[at] - grid.starts[number], plane)
        factor = fine_plane[0] // plane[0]
        for offset in product(range(factor), repeat=len(plane)):
            index = [c * factor + o for c, o in zip(corner, offset, strict=True)]
            local = np.ravel_multi_index(index, fine_plane)
            keys.append(event[at] * finer.size + finer.starts[number] + local)
            values.append(images.value[at])
    key = np.concatenate(keys)
    order = np.argsort(key)
    key = key[order]
    first = np.searchsorted(key, np.arange(len(images) + 1) * finer.size)
    return SparseImages(first, (key % finer.size).astype(np.uint32), np.concatenate(values)[order])
