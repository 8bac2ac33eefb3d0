"""Showers that pass once, chunk by chunk, and what is kept of them: memory does not grow with them.

Of each shower its quantities stay (comparison.py), some 3 kB; of all together the mean pictures
and the sums that tell how alike they are; and a few showers as they came.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.physics.calorimeter import grids, metrics, observables
from hepjax.physics.calorimeter.comparison import Sample, quantities_of_chunk

CHUNK = 256
"""Showers at a time, so that a function compiles once; the last are padded."""


@dataclass(frozen=True)
class Showers:
    """A sample whose conditions are known and whose cells come in batches."""

    energy: np.ndarray
    """(n,) incident energies, GeV."""
    shape: tuple[int, ...]
    """Of one shower."""
    batches: Callable[[], Iterator[np.ndarray]]
    """Cells of all showers in order, (k, ``*shape``) GeV, from the start at every call."""
    theta: np.ndarray | None = None
    """(n,) polar angles, rad; None for normal incidence."""

    def __len__(self) -> int:
        return len(self.energy)


def of_arrays(ecal: np.ndarray, energy: np.ndarray, theta: np.ndarray | None = None) -> Showers:
    """A sample that is in memory: cells (n, ...) GeV, energies (n,) GeV, polar angles (n,) rad."""
    return Showers(energy, ecal.shape[1:], lambda: iter([ecal]), theta)


class Reduced(NamedTuple):
    """What is left of a sample after it has passed."""

    sample: Sample
    projections: tuple[np.ndarray, ...]
    """Mean energy in GeV summed along one axis of the grid, (bins, ...) each."""
    alike: np.ndarray
    """Mean similarity of shower pairs, (3, bins): of all, and of every other from 0 and from 1."""
    pictures: list[np.ndarray]
    """Of the showers that ``alike`` compares, bin by bin: energy in the y-z or r-z plane over the
    incident one, (k, y or r, layers)."""
    picked: np.ndarray
    """The showers that were asked for, on the grid, (k, a, b, layers)."""
    cells: np.ndarray | None
    """The first showers as they came, (m, cells) float32 GeV, if they were asked for."""


def chunks(showers: Showers) -> Iterator[tuple[np.ndarray, int, int]]:
    """Cells (``CHUNK``, ...) float32, the number of the first shower, and how many are showers."""
    waiting, first = np.zeros((0, *showers.shape), np.float32), 0
    for batch in showers.batches():
        waiting = np.concatenate([waiting, batch]) if len(waiting) else batch
        whole = len(waiting) // CHUNK * CHUNK
        for start in range(0, whole, CHUNK):
            yield np.asarray(waiting[start : start + CHUNK], np.float32), first, CHUNK
            first += CHUNK
        waiting = waiting[whole:]
    if len(waiting):
        padding = ((0, CHUNK - len(waiting)), *[(0, 0)] * len(showers.shape))
        yield np.pad(np.asarray(waiting, np.float32), padding), first, len(waiting)


def reduce(
    showers: Showers, calorimeter: Calorimeter, inside: np.ndarray, picks: np.ndarray, *,
    similar: np.ndarray | None = None, keep: int = 0,
    advance: Callable[[int], object] = lambda n: None,
) -> Reduced:  # fmt: skip
    """Let a sample pass.

    Args:
      inside: (bins, n) bool, the showers of each bin of the mean pictures.
      picks: numbers of the showers that are kept as pictures.
      similar: (3, bins, n) bool, the showers that are compared in pairs, see ``similar_showers``.
      keep: how many of the first showers are kept as they came.
      advance: is told of showers that have passed.
    """
    parts: list[Sample] = []
    shape = grids.grid_shape(calorimeter)
    planes = [np.zeros((len(inside), shape[a], shape[b])) for a, b in ((0, 1), (0, 2), (1, 2))]
    similar = np.zeros((3, 0, len(showers)), bool) if similar is None else similar
    groups = similar.reshape(-1, len(showers))
    units = np.zeros((len(groups), calorimeter.voxels), np.float32)
    numbers = np.zeros(len(groups), int)
    chosen = similar[0].any(0)
    plane_number, side = (2, shape[1]) if calorimeter.box else (1, shape[0])
    pictures = np.zeros((int(chosen.sum()), side, shape[2]), np.float32)
    place = np.cumsum(chosen) - 1
    picked: dict[int, np.ndarray] = {}
    kept: list[np.ndarray] = []
    for cells, first, count in chunks(showers):
        rows = slice(first, first + count)
        missing = (0, CHUNK - count)
        energy = np.pad(np.asarray(showers.energy[rows], np.float32), missing)
        theta = None if showers.theta is None else np.pad(
            np.asarray(showers.theta[rows], np.float32), missing
        )  # fmt: skip
        found = quantities_of_chunk(cells, energy, theta, calorimeter)
        parts.append({name: np.asarray(value)[:count] for name, value in found.items()})
        weight = np.pad(inside[:, rows], ((0, 0), missing))
        for total, part in zip(planes, _projected(cells, weight, calorimeter), strict=True):
            total += np.asarray(part)
        if groups[:, rows].any():
            length = np.linalg.norm(cells[:count].reshape(count, -1), axis=1)
            mask = groups[:, rows] & (length > 0)
            units += mask.astype(np.float32) @ (
                cells[:count].reshape(count, -1) / np.where(length > 0, length, 1)[:, None]
            )
            numbers += mask.sum(1)
        compared = np.flatnonzero(chosen[rows])
        if len(compared):
            plane = _planes(cells, calorimeter)[plane_number]
            pictures[place[first + compared]] = (
                np.asarray(plane)[compared] / energy[compared, None, None]
            )
        for pick in picks[(picks >= first) & (picks < first + count)]:
            one = cells[pick - first][None]
            picked[int(pick)] = np.asarray(grids.on_grid(one, calorimeter))[0]
        if first < keep:
            kept.append(cells[: min(count, keep - first)].reshape(-1, calorimeter.voxels))
        advance(count)
    alike = [metrics.similarity_of(u, int(n)) for u, n in zip(units, numbers, strict=True)]
    events = np.maximum(inside.sum(1), 1)[:, None, None]
    return Reduced(
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        tuple(plane / events for plane in planes),
        np.array(alike).reshape(3, -1),
        [pictures[place[np.flatnonzero(group)]] for group in similar[0]],
        np.stack([picked[int(p)] for p in picks]) if len(picks) else np.zeros((0, *shape)),
        np.concatenate(kept) if kept else None,
    )


def similar_showers(energy: np.ndarray, bins: metrics.Bins) -> np.ndarray:
    """Which showers are compared in pairs, (3, bins, n): the first of each bin of energy.

    Of all showers, and of every other one from the first and from the second. The whole sample
    stands in only if there is no other bin: its energies alone make it diverse.
    """
    inside = np.asarray(metrics.in_bins(energy, bins[1:] or bins))
    parity = np.arange(len(energy)) % 2
    chosen = np.stack([inside, inside & (parity == 0), inside & (parity == 1)])
    return chosen & (np.cumsum(chosen, axis=2) <= metrics.SIMILARITY_SHOWERS)


@jax.jit
def _plane_sums(grid: jax.Array, weight: jax.Array) -> tuple[jax.Array, ...]:
    inside = weight.astype(grid.dtype)
    return tuple(jnp.tensordot(inside, p, 1) for p in observables.projections(grid))


@partial(jax.jit, static_argnums=1)
def _planes(cells: np.ndarray, calorimeter: Calorimeter) -> tuple[jax.Array, ...]:
    return observables.projections(grids.on_grid(cells, calorimeter))


def _projected(
    cells: np.ndarray, weight: np.ndarray, calorimeter: Calorimeter
) -> tuple[jax.Array, ...]:
    return _plane_sums(grids.on_grid(cells, calorimeter), weight)
