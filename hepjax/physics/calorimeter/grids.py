"""Cells of any calorimeter on three axes and layer by layer, from its description.

A box is its own grid (x, y, depth). A cylinder is looked at as (r, alpha, depth). Where its layers
have different bins, the common ones are all of their edges, and the energy of a cell is spread
evenly over its area.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.formats.showers.calorimeter import Calorimeter

Array = jax.Array | np.ndarray


class Positions(NamedTuple):
    """Centres of the cells of each layer, (layers, cells) mm; 0 in the padding of ``by_layer``."""

    x: np.ndarray
    y: np.ndarray
    r: np.ndarray


def axes(calorimeter: Calorimeter) -> tuple[str, str, str]:
    """Names of the three axes; the last is the depth."""
    return ("x", "y", "z") if calorimeter.box else ("r", "alpha", "z")


def grid_shape(calorimeter: Calorimeter) -> tuple[int, int, int]:
    """Numbers of bins along ``axes``."""
    if calorimeter.cells is not None:
        return (*calorimeter.cells, len(calorimeter.layers))
    rings, sectors = _common_bins(calorimeter)
    return len(rings) - 1, sectors, len(calorimeter.layers)


def on_grid(showers: Array, calorimeter: Calorimeter) -> jax.Array:
    """Showers on the three axes: (n, x, y, layer) or (n, r, alpha, layer), the energy kept.

    Args:
      showers: (n, ``*calorimeter.shape``), any unit.
    """
    showers = jnp.asarray(showers)
    if calorimeter.box:
        return showers
    if calorimeter.regular is not None:
        return showers.reshape(-1, *calorimeter.regular).transpose(0, 3, 2, 1)
    layers = [
        jnp.einsum(
            "nar,rp,aq->npq",
            showers[:, start:end].reshape(-1, layer.sectors, len(layer.rings) - 1),
            *_spread(calorimeter, number),
        )
        for number, (layer, start, end) in enumerate(
            zip(calorimeter.layers, calorimeter.offsets, calorimeter.offsets[1:], strict=False)
        )
    ]
    return jnp.stack(layers, axis=-1)


@lru_cache
def places(calorimeter: Calorimeter) -> np.ndarray:
    """Bin of each cell along ``axes``, (cells, 3) int32, cells in the order of a flat shower."""
    if calorimeter.box:
        found = np.unravel_index(np.arange(calorimeter.voxels), calorimeter.shape)
        return np.stack(found, axis=1).astype(np.int32)
    edges, sectors = _common_bins(calorimeter)
    rows = []
    for number, layer in enumerate(calorimeter.layers):
        centres = (np.array(layer.rings)[1:] + np.array(layer.rings)[:-1]) / 2
        ring = np.searchsorted(edges, centres, side="right") - 1
        sector = ((np.arange(layer.sectors) + 0.5) * sectors / layer.sectors).astype(int)
        alpha, r = np.meshgrid(sector, ring, indexing="ij")
        rows.append(np.stack([r.ravel(), alpha.ravel(), np.full(r.size, number)], axis=1))
    return np.concatenate(rows).astype(np.int32)


def by_layer(showers: Array, calorimeter: Calorimeter) -> jax.Array:
    """Cells of each layer, (n, layers, cells); layers with fewer cells are padded with 0."""
    showers = jnp.asarray(showers)
    layers = len(calorimeter.layers)
    if calorimeter.box:
        return showers.reshape(len(showers), -1, layers).transpose(0, 2, 1)
    if calorimeter.regular is not None:
        return showers.reshape(len(showers), layers, -1)
    most = max(layer.voxels for layer in calorimeter.layers)
    index = np.full((layers, most), calorimeter.voxels)  # the last column is empty
    for number, start in enumerate(calorimeter.offsets[:-1]):
        count = calorimeter.layers[number].voxels
        index[number, :count] = np.arange(start, start + count)
    return jnp.pad(showers, ((0, 0), (0, 1)))[:, index]


def cells_of_layers(calorimeter: Calorimeter) -> np.ndarray:
    """Number of cells of each layer, (layers,)."""
    if calorimeter.cells is not None:
        return np.full(len(calorimeter.layers), int(np.prod(calorimeter.cells)))
    return np.array([layer.voxels for layer in calorimeter.layers])


@lru_cache
def positions(calorimeter: Calorimeter) -> Positions:
    """Where the cells of ``by_layer`` are, from the shower axis.

    Of a cylinder x = r cos(alpha) and y = r sin(alpha) are what the CaloChallenge calls eta and
    phi, with the centres of its rings and of its sectors, which are equal bins of (-pi, pi).
    """
    if calorimeter.cells is not None:
        (nx, ny), (sx, sy) = calorimeter.cells, calorimeter.cell_mm
        x, y = np.meshgrid(
            (np.arange(nx) - (nx - 1) / 2) * sx, (np.arange(ny) - (ny - 1) / 2) * sy, indexing="ij"
        )
        plane = np.stack([x.ravel(), y.ravel(), np.hypot(x, y).ravel()])
        return Positions(*(np.tile(v, (len(calorimeter.layers), 1)) for v in plane))
    most = max(layer.voxels for layer in calorimeter.layers)
    found = np.zeros((3, len(calorimeter.layers), most))
    for number, layer in enumerate(calorimeter.layers):
        rings = np.array(layer.rings)
        alpha = -np.pi + (np.arange(layer.sectors) + 0.5) * 2 * np.pi / layer.sectors
        a, r = np.meshgrid(alpha, (rings[1:] + rings[:-1]) / 2, indexing="ij")
        found[:, number, : layer.voxels] = [
            (r * np.cos(a)).ravel(), (r * np.sin(a)).ravel(), r.ravel()
        ]  # fmt: skip
    return Positions(*found)


def angular_layers(calorimeter: Calorimeter) -> np.ndarray:
    """Indices of the layers that have bins in the azimuth; all layers of a box."""
    if calorimeter.box:
        return np.arange(len(calorimeter.layers))
    return np.flatnonzero([layer.sectors > 1 for layer in calorimeter.layers])


@lru_cache
def _common_bins(calorimeter: Calorimeter) -> tuple[np.ndarray, int]:
    """Edges of the rings of all layers, mm, and the largest number of sectors."""
    edges = sorted({edge for layer in calorimeter.layers for edge in layer.rings})
    return np.array(edges), max(layer.sectors for layer in calorimeter.layers)


@lru_cache
def _spread(calorimeter: Calorimeter, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the rings and sectors of a layer in the common bins: (rings, r), (sectors, a)."""
    edges, sectors = _common_bins(calorimeter)
    layer = calorimeter.layers[number]
    rings = _overlap(np.array(layer.rings) ** 2, edges**2)  # of areas
    return rings, _overlap(
        np.linspace(0, 1, layer.sectors + 1), np.linspace(0, 1, sectors + 1)
    )  # fmt: skip


def _overlap(own: np.ndarray, common: np.ndarray) -> np.ndarray:
    low = np.maximum(own[:-1, None], common[None, :-1])
    high = np.minimum(own[1:, None], common[None, 1:])
    return (np.maximum(high - low, 0) / np.diff(own)[:, None]).astype(np.float32)
