"""Pile-up: overlay of minimum-bias collisions from a pool on a hard collision.

Follows the PileUpMerger of Delphes with the CMS card. The pool itself is made elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hepjax.simulate.collisions.particles import Particles, concatenate, moved, turned

SIGMA_Z_MM = 53.0
MAX_Z_MM = 250.0
SIGMA_T_MM = 160e-12 * 299_792_458e3
"""160 ps, in mm/c."""


@dataclass(frozen=True)
class Pool:
    """Minimum-bias events, one after the other: event i is ``first[i]:first[i + 1]``."""

    particles: Particles
    first: np.ndarray  # (events + 1,)

    def __len__(self) -> int:
        return len(self.first) - 1


def make_pool(events: Sequence[Particles]) -> Pool:
    """A pool of these events."""
    return Pool(concatenate(events), np.cumsum([0, *map(len, events)]))


def overlay(hard: Particles, pool: Pool, mean: float, rng: np.random.Generator) -> Particles:
    """The hard event first, then Poisson(mean) events drawn from the pool.

    Each collision gets a vertex z ~ N(0, 53 mm) within 250 mm and t ~ N(0, 160 ps). Pile-up
    collisions are also rotated about the beam by a random angle.
    """
    count = rng.poisson(mean)
    chosen = rng.integers(len(pool), size=count)
    z, t = vertices(count + 1, rng)
    angle = rng.uniform(-np.pi, np.pi, count)
    size = pool.first[chosen + 1] - pool.first[chosen]
    ends = np.cumsum(size)
    rows = np.arange(size.sum()) + np.repeat(pool.first[chosen] - ends + size, size)
    soft = turned(pool.particles[rows], np.repeat(angle, size))
    soft = moved(soft, np.repeat(z[1:], size), np.repeat(t[1:], size))
    return concatenate([moved(hard, z[0], t[0]), soft])


def vertices(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """z (mm) and time (mm/c) of collisions, both (count,)."""
    z = rng.normal(0.0, SIGMA_Z_MM, count)
    while np.any(far := np.abs(z) > MAX_Z_MM):
        z[far] = rng.normal(0.0, SIGMA_Z_MM, far.sum())
    return z, rng.normal(0.0, SIGMA_T_MM, count)
