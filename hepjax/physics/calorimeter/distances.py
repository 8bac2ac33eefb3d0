"""Distances between samples of feature vectors: FPD, KPD, precision, recall, density, coverage.

FPD and KPD are the Frechet and kernel physics distances of arXiv:2211.10295 with the settings that
the CaloChallenge uses; the other four are those of arXiv:2002.09797.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize

FPD_EVENTS = (10_000, 50_000)
"""Events of the smallest and the largest draws from both samples (published)."""
FPD_POINTS, FPD_DRAWS = 10, 20
"""Numbers of events, evenly spaced in their inverse, and draws of each (published)."""
KPD_EVENTS, KPD_DRAWS = 10_000, 10
"""Events of a draw, and draws (published)."""
NEIGHBOURS = 5
"""Of precision, recall, density and coverage (published)."""
EMPTY = 1e-4
"""GeV that an empty cell counts as below the logarithm there (published: 0.1 MeV)."""
ROWS = 1024
"""Rows of a matrix of distances that are computed at a time."""


class Distance(NamedTuple):
    """A distance and its error."""

    value: float
    error: float


class Manifold(NamedTuple):
    """Shares of generated events near the reference and of reference events near generated ones."""

    precision: float
    """Generated events inside a ball around a reference event."""
    recall: float
    """Reference events inside a ball around a generated event; falls with lost diversity."""
    density: float
    """Reference balls around a generated event over their expected number; 1 for equal samples."""
    coverage: float
    """Reference balls with a generated event inside."""


def scaled(reference: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both samples over the largest absolute value of each reference column (published)."""
    largest = np.abs(reference).max(0)
    largest = np.where(largest > 0, largest, 1.0)
    return reference / largest, generated / largest


def frechet(reference: np.ndarray, generated: np.ndarray) -> float:
    """Frechet distance of the normal distributions with the moments of two samples (n, features).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))
    """
    first, second = np.asarray(reference, float), np.asarray(generated, float)
    (m1, c1), (m2, c2) = ((s.mean(0), np.atleast_2d(np.cov(s, rowvar=False))) for s in
                          (first, second))  # fmt: skip
    values, vectors = np.linalg.eigh(c1)
    root = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ c2 @ root), 0.0)).sum()
    return float(((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross)


def fpd(
    reference: np.ndarray, generated: np.ndarray, seed: int = 0, *,
    events: tuple[int, int] = FPD_EVENTS, draws: int = FPD_DRAWS, points: int = FPD_POINTS,
) -> Distance:  # fmt: skip
    """Frechet distance for samples without end: a line in 1 / events, read off at 0.

    Args:
      events: of the smallest and the largest draws. They are drawn with replacement, as published,
        from a sample that has fewer than twice the largest number; see ``few_events``.
    Returns:
      the intercept of the fit, not below 0, and its error.
    """
    rng = np.random.default_rng(seed)
    counts = (1 / np.linspace(1 / events[0], 1 / events[1], points)).astype(int)
    means = []
    for count in counts:
        found = [
            frechet(*(s[_drawn(rng, len(s), int(count))] for s in (reference, generated)))
            for _ in range(draws)
        ]
        means.append(np.mean(found))
    fit, covariance = optimize.curve_fit(
        _line, 1 / counts, means,
        p0=[max(float(means[-1]) / 2, 1e-12), 1.0], bounds=(0, np.inf),
    )  # fmt: skip
    return Distance(float(fit[0]), float(np.sqrt(covariance[0, 0])))


def _line(x: np.ndarray, start: float, slope: float) -> np.ndarray:
    return start + slope * x


def few_events(*samples: np.ndarray) -> tuple[int, int]:
    """``events`` of ``fpd`` for samples below the published numbers: a quarter and a half of them.

    Draws without replacement of less than all events vary, as the extrapolation needs.
    """
    n = min(map(len, samples))
    return max(n // 4, 2), max(n // 2, 3)


def _drawn(rng: np.random.Generator, size: int, count: int) -> np.ndarray:
    if 2 * count <= size:
        return rng.permutation(size)[:count]
    return rng.integers(0, size, count)


def kpd(
    reference: np.ndarray, generated: np.ndarray, seed: int = 0, *,
    events: int = KPD_EVENTS, draws: int = KPD_DRAWS,
) -> Distance:  # fmt: skip
    """Squared maximum mean discrepancy with the kernel (x.y / features + 1)^4, unbiased.

    Returns:
      the median over the draws and half the width of their central 68 %. It may be below 0.
    """
    rng = np.random.default_rng(seed)
    found = [
        discrepancy(*(s[_drawn(rng, len(s), events)] for s in (reference, generated)))
        for _ in range(draws)
    ]
    low, high = np.quantile(found, (0.16, 0.84))
    return Distance(float(np.median(found)), float((high - low) / 2))


def discrepancy(first: np.ndarray, second: np.ndarray) -> float:
    """The unbiased estimate for two samples (n, features), double precision, rows in blocks."""
    x, y = np.asarray(first, float), np.asarray(second, float)
    n, m = len(x), len(y)
    own_x, own_y, cross = _kernel_sum(x, x), _kernel_sum(y, y), _kernel_sum(x, y)
    own_x -= (((x**2).sum(1) / x.shape[1] + 1) ** 4).sum()
    own_y -= (((y**2).sum(1) / y.shape[1] + 1) ** 4).sum()
    return float(own_x / (n * (n - 1)) + own_y / (m * (m - 1)) - 2 * cross / (n * m))


def _kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
    total = 0.0
    for start in range(0, len(x), ROWS):
        kernel = x[start : start + ROWS] @ y.T / x.shape[1] + 1
        kernel *= kernel
        total += float(np.vdot(kernel, kernel))
    return total


def log_cells(cells: np.ndarray) -> np.ndarray:
    """log10 of cell energies (n, cells) GeV in MeV, empty cells as 0.1 MeV: published for PRDC."""
    flat = cells.reshape(len(cells), -1)
    return np.log10(np.where(flat == 0, np.float32(EMPTY), flat) * 1e3, dtype=np.float32)


def prdc(reference: np.ndarray, generated: np.ndarray, neighbours: int = NEIGHBOURS) -> Manifold:
    """Precision, recall, density and coverage of generated events, (n, features) and (m, features).

    The ball around an event reaches to the ``neighbours``-th nearest event of its own sample.
    """
    if min(len(reference), len(generated)) <= neighbours:
        return Manifold(*(float("nan"),) * 4)
    x, y = (jnp.asarray(s, jnp.float32) for s in (reference, generated))
    reach_x, reach_y = _reach(x, neighbours), _reach(y, neighbours)
    near_generated, in_generated = np.zeros(len(x), bool), np.zeros(len(x), bool)
    inside = np.zeros(len(y), int)
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        squared = _squared(x[rows], y)
        inside += np.asarray((squared < reach_x[rows, None]).sum(0))
        near_generated[rows] = np.asarray((squared < reach_x[rows, None]).any(1))
        in_generated[rows] = np.asarray((squared < reach_y[None]).any(1))
    return Manifold(
        float((inside > 0).mean()), float(in_generated.mean()),
        float(inside.mean() / neighbours), float(near_generated.mean()),
    )  # fmt: skip


def _reach(x: jax.Array, neighbours: int) -> jax.Array:
    """Squared distance to the ``neighbours``-th nearest other event; the nearest is the event."""
    # XLA sorts whole rows for this on a CPU; NumPy partitions them.
    rows = [
        np.partition(np.asarray(_squared(x[i : i + ROWS], x)), neighbours, axis=1)[:, neighbours]
        for i in range(0, len(x), ROWS)
    ]
    return jnp.asarray(np.concatenate(rows))


@jax.jit
def _squared(x: jax.Array, y: jax.Array) -> jax.Array:
    product = jnp.matmul(x, y.T, precision="highest")
    return jnp.maximum((x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * product, 0.0)
