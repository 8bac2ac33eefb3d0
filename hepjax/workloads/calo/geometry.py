"""Cells of a calorimeter layer by layer: moments, neighbours, symmetries. All static."""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.physics.calorimeter import grids


class Plan(NamedTuple):
    """What the networks know of a calorimeter; cells of a layer beyond its own are padding."""

    inside: np.ndarray
    """(layers, cells) bool, cells that exist."""
    functions: np.ndarray
    """(layers, cells, 5) float32: x, y, x^2, y^2, r in mm; of a layer without sectors 0, 0, r^2,
    0, r."""
    angular: np.ndarray
    """(layers,) bool, layers with cells in more than one direction."""
    floor: np.ndarray
    """(layers,) mm^2 below which a mean r^2 is not resolved."""
    places: np.ndarray
    """(voxels,) number of each cell of a flat shower in (layers * cells)."""


@lru_cache
def plan(calorimeter: Calorimeter) -> Plan:
    """The static facts of a calorimeter."""
    layers, counts = len(calorimeter.layers), grids.cells_of_layers(calorimeter)
    number = np.arange(calorimeter.voxels, dtype=np.int32).reshape(1, *calorimeter.shape)
    with jax.ensure_compile_time_eval():
        at = np.asarray(grids.by_layer(number + 1, calorimeter))[0] - 1
    inside = np.arange(at.shape[1]) < counts[:, None]
    places = np.zeros(calorimeter.voxels, np.int32)
    places[at[inside]] = np.flatnonzero(inside.ravel())
    x, y, r = grids.positions(calorimeter)
    angular = np.zeros(layers, bool)
    angular[grids.angular_layers(calorimeter)] = True
    turned = angular[:, None]
    functions = np.stack(
        [x * turned, y * turned, np.where(turned, x * x, r * r), y * y * turned, r], axis=-1
    )
    functions = np.where(inside[..., None], functions, 0.0).astype(np.float32)
    nearest = np.where(inside & (r > 0), r, np.inf).min(1)
    return Plan(inside, functions, angular, ((0.3 * nearest) ** 2).astype(np.float32), places)


def to_layers(calorimeter: Calorimeter, showers: jax.Array) -> jax.Array:
    """(n, *calorimeter.shape) as (n, layers, cells), padded with 0."""
    return grids.by_layer(showers, calorimeter)


def from_layers(calorimeter: Calorimeter, cells: jax.Array) -> jax.Array:
    """The inverse of ``to_layers``."""
    if calorimeter.box:
        return cells.transpose(0, 2, 1).reshape(-1, *calorimeter.shape)
    if calorimeter.regular is not None:
        return cells.reshape(-1, *calorimeter.shape)
    return cells.reshape(cells.shape[0], -1)[:, plan(calorimeter).places]


@lru_cache
def window(calorimeter: Calorimeter, size: int) -> np.ndarray:
    """(layers, size) numbers of the cells of each layer that are nearest to the axis; cells that do
    not exist come last. (1, size) where all layers are alike."""
    far = np.where(plan(calorimeter).inside, grids.positions(calorimeter)[2], np.inf)
    found = np.argsort(far, axis=1, kind="stable")[:, :size].astype(np.int32)
    return found[:1] if (found == found[:1]).all() else found


def in_window(calorimeter: Calorimeter, size: int, cells: jax.Array) -> jax.Array:
    """Of (n, layers, cells) those of the window, (n, layers, size)."""
    places = window(calorimeter, size)
    if len(places) == 1:
        return cells[:, :, places[0]]
    return cells[:, np.arange(len(places))[:, None], places]


def with_window(calorimeter: Calorimeter, cells: jax.Array, inner: jax.Array) -> jax.Array:
    """(n, layers, cells) with the cells of the window replaced by (n, layers, size)."""
    places = window(calorimeter, inner.shape[2])
    if len(places) == 1:
        return cells.at[:, :, places[0]].set(inner, unique_indices=True)
    return cells.at[:, np.arange(len(places))[:, None], places].set(inner, unique_indices=True)


@lru_cache
def groups(calorimeter: Calorimeter) -> tuple[tuple[int, int, tuple[int, int], bool], ...]:
    """Consecutive layers of one binning: first, end, (rows, columns) of their images, and whether
    rows close in the azimuth."""
    if calorimeter.cells is not None:
        return ((0, len(calorimeter.layers), calorimeter.cells, False),)
    shapes = [(layer.sectors, len(layer.rings) - 1) for layer in calorimeter.layers]
    found: list[tuple[int, int, tuple[int, int], bool]] = []
    for number, shape in enumerate(shapes):
        if found and found[-1][2] == shape:
            found[-1] = (found[-1][0], number + 1, *found[-1][2:])
        else:  # with one or two sectors a cell would meet itself, or one neighbour twice
            found.append((number, number + 1, shape, shape[0] > 2))
    return tuple(found)


def shifted(calorimeter: Calorimeter, cells: jax.Array, rows: int, columns: int) -> jax.Array:
    """Each cell of (n, layers, cells) replaced by the neighbour ``rows`` and ``columns`` further.

    0 beyond the edge; a cylinder closes in the azimuth.
    """
    parts = []
    for first, end, (height, width), closed in groups(calorimeter):
        reach = max(abs(rows), abs(columns))
        image = cells[:, first:end, : height * width].reshape(-1, end - first, height, width)
        around = ((0, 0), (0, 0), (reach, reach))
        image = jnp.pad(image, (*around, (0, 0)), mode="wrap" if closed else "constant")
        image = jnp.pad(image, (*around[:2], (0, 0), (reach, reach)))
        top, left = reach + rows, reach + columns
        image = image[:, :, top : top + height, left : left + width]
        image = image.reshape(-1, end - first, height * width)
        parts.append(jnp.pad(image, ((0, 0), (0, 0), (0, cells.shape[2] - height * width))))
    return jnp.concatenate(parts, axis=1)


def turned(calorimeter: Calorimeter, cells: jax.Array, key: jax.Array) -> jax.Array:
    """All showers, cells (n, layers, cells), turned and mirrored alike, by a symmetry of the cells.

    Conditions, not choices between two results: what they give is an array in memory, where XLA
    would compute a choice anew in every loop over the cells.
    """
    turn, mirror = jax.random.split(key)
    if calorimeter.cells is not None:
        image = cells.reshape(*cells.shape[:2], *calorimeter.cells)
        x, y = calorimeter.cells
        if x == y and calorimeter.cell_mm[0] == calorimeter.cell_mm[1]:
            swap = jax.random.bernoulli(turn)
            image = jax.lax.cond(swap, lambda c: jnp.swapaxes(c, 2, 3), lambda c: c, image)
        for axis, flip in zip((2, 3), jax.random.bernoulli(mirror, 0.5, (2,)), strict=True):
            image = jax.lax.cond(flip, lambda c, axis=axis: jnp.flip(c, axis), lambda c: c, image)
        return image.reshape(cells.shape)
    sectors = max(layer.sectors for layer in calorimeter.layers)
    by, flip = jax.random.randint(turn, (), 0, sectors), jax.random.bernoulli(mirror)
    parts = []
    for first, end, (height, width), _ in groups(calorimeter):
        part = cells[:, first:end]
        if height == sectors:
            inside = part[..., : height * width].reshape(*part.shape[:2], height, width)
            inside = jnp.roll(inside, by, axis=2)
            inside = jax.lax.cond(flip, lambda c: jnp.flip(c, 2), lambda c: c, inside)
            inside = inside.reshape(*part.shape[:2], height * width)
            part = jnp.pad(inside, ((0, 0), (0, 0), (0, part.shape[2] - height * width)))
        parts.append(part)
    return jnp.concatenate(parts, axis=1)
