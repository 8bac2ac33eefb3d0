"""How far generated showers are from Monte Carlo: published totals, criteria and distances.

Pure functions of per-event quantities (observables.py); lower is better, 0 is perfect. The sums
over energy bins compile, so training adds them up batch by batch; the rest is NumPy and
scipy.stats, which takes half a second to import and is not needed to train.
"""

import warnings
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.physics.calorimeter.observables import Array

Bins = tuple[tuple[float, float], ...]

PUBLISHED_CENTRES = (50.0, 100.0, 200.0, 300.0, 400.0, 500.0)
HALF_WIDTH = 5.0
"""GeV on either side of a bin's centre (published)."""
MIN_EVENTS = 20
"""Bins in which either sample has fewer events are left out of every mean over bins."""
SIMILARITY_SHOWERS = 200
"""Showers of a bin that are compared in pairs."""
ANGLES, ANGLE_HALF_WIDTH = np.radians((62.0, 90.0, 118.0)), 0.1
"""Centres and half width of the published bins of the polar angle, rad."""
DISCRETE = 24
"""Incident energies up to this many different ones are bins of their own."""
DECADES = 2.5
"""Ranges of incident energies beyond this get bins of equal ratio (CaloChallenge)."""
LAST_EPOCHS = 10
"""The published choice of the best epoch looks at this many last epochs."""


def energy_bins(low: float, high: float, events: int) -> Bins:
    """Bins of incident energy for ``events`` showers spread over ``low`` to ``high`` GeV.

    The first bin is the whole sample. The others lie around the published centres inside the range
    if there are at least four of them; otherwise around the multiples of the smallest of 5, 10, 20,
    50 or 100 GeV that gives at most six (20, 40, 60, 80 and 100 GeV for 10 to 100 GeV).
    They reach 5 GeV to both sides, as published; further in a small sample, so that a flat one has
    three times ``MIN_EVENTS`` in each, and never beyond the middle between two centres.
    A range that holds no centre has the first bin only.
    """
    centres = [c for c in PUBLISHED_CENTRES if low <= c <= high]
    if len(centres) < 4:
        for step in (5.0, 10.0, 20.0, 50.0, 100.0):
            first = max(int(np.ceil(low / step)), 1)
            centres = [step * k for k in range(first, int(high // step) + 1)]
            if len(centres) <= 6:
                break
    gap = min(np.diff(centres), default=2 * HALF_WIDTH)
    wanted = max(HALF_WIDTH, np.ceil(1.5 * MIN_EVENTS * (high - low) / max(events, 1)))
    half = float(min(wanted, gap / 2))
    return ((float(low), float(high)), *((c - half, c + half) for c in centres))


def bins_of(reference: Array, events: int) -> Bins:
    """Bins of incident energy for a sample at energies ``reference`` (n,), GeV; the first is all.

    A few discrete energies are a bin each. A range of more than ``DECADES`` has two bins a decade.
    Others have the published bins, see ``energy_bins``.
    """
    energy = np.asarray(reference, float)
    low = float(np.floor(energy.min()))
    high = max(float(np.ceil(energy.max())), low + 1.0)  # all showers of one energy
    lowest = max(energy.min(), 1e-6)
    known = np.unique(energy.astype(np.float32))
    if 1 < len(known) <= min(DISCRETE, len(energy) // MIN_EVENTS):
        return (low, high), *((float(e) * 0.999, float(e) * 1.001) for e in known)
    if np.log10(energy.max() / lowest) > DECADES:
        first, last = np.floor(2 * np.log10(lowest)), np.ceil(2 * np.log10(energy.max()))
        edges = 10 ** (np.arange(first, last + 1) / 2)
        return (low, high), *zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    return energy_bins(low, high, events)


def angle_bins(theta: Array | None) -> Bins:
    """Published bins of the polar angle that lie inside a sample at angles ``theta`` (n,), rad."""
    if theta is None or np.ptp(np.asarray(theta)) < 4 * ANGLE_HALF_WIDTH:
        return ()
    low, high = np.min(theta), np.max(theta)
    near = [c for c in ANGLES if low - ANGLE_HALF_WIDTH <= c <= high + ANGLE_HALF_WIDTH]
    return tuple((float(c - ANGLE_HALF_WIDTH), float(c + ANGLE_HALF_WIDTH)) for c in near)


def in_bins(energy: Array, bins: Bins) -> jax.Array:
    """Which of the energies (n,) lie in which bin, both edges included: (bins, n) bool."""
    low, high = jnp.array(bins).T[:, :, None]
    energy = jnp.asarray(energy)
    return (energy >= low) & (energy <= high)


def binned_sums(values: Array, energy: Array, bins: Bins, mask: Array | None = None) -> jax.Array:
    """Count, sum and sum of squares of ``values`` (n,) in bins of energy: (bins, 3).

    Adds up over batches; events with ``mask`` 0 do not count.
    """
    inside = in_bins(energy, bins).astype(jnp.float32)
    if mask is not None:
        inside = inside * jnp.asarray(mask)
    values = jnp.asarray(values)
    return inside @ jnp.stack([jnp.ones_like(values), values, values**2], axis=1)


def mean_relative_error(
    reference: Array, generated: Array, min_events: int = MIN_EVENTS
) -> tuple[float, float]:
    """Mean over bins of |<r> - <g>| / <r> and its error; the published best-epoch criterion when
    the values are sampling fractions.

    error^2 = mean over bins of (s_g / <r>)^2 / N_g + (s_r / <g>)^2 / N_r, as published.

    Args:
      reference, generated: (bins, 3) sums from ``binned_sums``.
      min_events: bins where either sample has fewer are left out.
    Returns:
      NaN, NaN if no bin is left; an infinite error if all generated showers of a bin are empty.
    """
    counts = np.minimum(np.asarray(reference)[:, 0], np.asarray(generated)[:, 0])
    used = counts >= max(min_events, 1)
    if not used.any():
        return float("nan"), float("nan")
    count_r, mean_r, spread_r = _mean_and_spread(np.asarray(reference, float)[used])
    count_g, mean_g, spread_g = _mean_and_spread(np.asarray(generated, float)[used])
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (spread_g / mean_r) ** 2 / count_g + (spread_r / mean_g) ** 2 / count_r
    relative = np.abs(mean_r - mean_g) / mean_r
    return float(relative.mean()), float(np.sqrt(variance.mean()))


def joined(reference: Array, generated: Array, min_events: int = MIN_EVENTS) -> tuple[Array, Array]:
    """Sums of ``binned_sums`` in bins of which at least one has enough events in both samples.

    While none has, neighbours become one bin, two by two, until two are left: one would not see an
    error at low energies that the opposite one at high energies makes up for. Where one bin has
    enough already, all stay as they are.
    """
    both = np.asarray(reference, float), np.asarray(generated, float)
    while len(both[0]) > 2 and np.minimum(both[0][:, 0], both[1][:, 0]).max() < min_events:
        pairs = np.arange(0, len(both[0]), 2)
        both = np.add.reduceat(both[0], pairs), np.add.reduceat(both[1], pairs)
    return both


def select_epoch(scores: Sequence[float | None], last: int = LAST_EPOCHS) -> int:
    """Index of the lowest score among the ``last`` last epochs; missing and non-finite lose.

    The latest epoch if no score is usable.
    """
    start = max(len(scores) - last, 0)
    usable = [np.inf if s is None or not np.isfinite(s) else s for s in scores[start:]]
    if not usable or min(usable) == np.inf:
        return len(scores) - 1
    return start + int(np.argmin(usable))


def moments_error(reference: Array, generated: Array) -> float:
    """|<M_r> - <M_g>| / <M_r>, averaged over two orders and three axes: published term (i).

    Args:
      reference, generated: (n, orders, 3) moments of the showers of one energy bin, in cells.

    Counted once; the released code adds it twice.
    """
    expected, found = (np.asarray(m, float)[:, :2].mean(0) for m in (reference, generated))
    return relative(expected, found)


def shapes_error(reference: Sequence[Array], generated: Sequence[Array]) -> tuple[float, ...]:
    """|<S_r> - <S_g>| / <S_r> averaged along each axis; their mean is published term (ii).

    Args:
      reference, generated: profiles along x, y and z, (n, cells) each, of one energy bin, GeV.

    Cells that are empty in the whole reference sample are left out.
    """
    return tuple(
        relative(np.asarray(r, float).mean(0), np.asarray(g, float).mean(0))
        for r, g in zip(reference, generated, strict=True)
    )


def mean_over_bins(values: Sequence[float] | np.ndarray) -> float:
    """Mean of the finite values, one per energy bin; NaN without any."""
    finite = [v for v in values if np.isfinite(v)]
    return float(np.mean(finite)) if finite else float("nan")


def relative(reference: Array, generated: Array) -> float:
    """|r - g| / r, averaged over the entries with r > 0; NaN if there are none."""
    r, g = np.asarray(reference, float), np.asarray(generated, float)
    some = r > 0
    return float((np.abs(r - g)[some] / r[some]).mean()) if some.any() else float("nan")


def separation(reference: Array, generated: Array) -> float:
    """Separation power 0.5 sum (p - q)^2 / (p + q) of two histograms scaled to one: 0 to 1.

    An empty histogram is wholly separated from a filled one.
    """
    p, q = np.asarray(reference, float), np.asarray(generated, float)
    if p.sum() <= 0 or q.sum() <= 0:
        return 0.0 if p.sum() <= 0 and q.sum() <= 0 else 1.0
    p, q = p / p.sum(), q / q.sum()
    either = p + q > 0
    return float(0.5 * ((p - q)[either] ** 2 / (p + q)[either]).sum())


def wasserstein(reference: Array, generated: Array) -> float:
    """Wasserstein-1 distance of two samples over the mean of the reference."""
    from scipy import stats

    r, g = np.asarray(reference, float), np.asarray(generated, float)
    return float(stats.wasserstein_distance(r, g) / abs(r.mean()))


def correlation_distance(reference: Array, generated: Array) -> float:
    """Published score: sum over pairs |C_r - C_g| / (n (n - 1) / 2), each pair counted once."""
    difference = np.abs(np.asarray(reference, float) - np.asarray(generated, float))
    size = len(difference)
    return float(difference[np.triu_indices(size, 1)].sum() / (size * (size - 1) / 2))


def fisher_distance(reference: Array, generated: Array) -> float:
    """Mean squared difference of arctanh C over pairs of different columns (published)."""
    above = np.triu_indices(len(reference), 1)
    r, g = (np.arctanh(np.clip(np.asarray(c, float)[above], -1 + 1e-6, 1 - 1e-6))
            for c in (reference, generated))  # fmt: skip
    return float(((r - g) ** 2).mean())


def real_fake_distance(reference: Array, generated: Array) -> float:
    """2 |AUC - 0.5| of the discriminator outputs: 0 = cannot tell, 1 = tells every shower."""
    from scipy import stats

    r, g = np.asarray(reference, float), np.asarray(generated, float)
    area = stats.mannwhitneyu(r, g).statistic / (len(r) * len(g))
    return float(2 * abs(area - 0.5))


def mean_similarity(showers: Array) -> float:
    """Mean cosine similarity of all pairs of showers (n, x, y, z); NaN without a pair.

    Towards 1 when showers are copies of one another. A generator whose value lies far above the
    Monte Carlo value has lost its diversity (mode collapse).
    """
    unit = unit_vectors(showers)
    return similarity_of(unit.sum(0), len(unit))


def unit_vectors(showers: Array) -> np.ndarray:
    """Showers (n, ...) as vectors of length 1, without the empty ones: (k, cells)."""
    cells = np.asarray(showers, np.float32).reshape(len(showers), int(np.prod(showers.shape[1:])))
    length = np.linalg.norm(cells, axis=1)
    return cells[length > 0] / length[length > 0, None]


def similarity_of(total: np.ndarray, n: int) -> float:
    """``mean_similarity`` of ``n`` showers whose unit vectors sum to ``total`` (cells,)."""
    # The sum over all pairs is the squared length of the summed unit vectors, less the diagonal.
    return float(((total**2).sum() - n) / (n * (n - 1))) if n > 1 else float("nan")


def kolmogorov(reference: Array, generated: Array) -> float:
    """p-value of the two-sample Kolmogorov-Smirnov test on unbinned values."""
    from scipy import stats

    with warnings.catch_warnings():
        # SciPy warns where the exact distribution fails and it takes the asymptotic one.
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(stats.ks_2samp(np.asarray(reference), np.asarray(generated)).pvalue)


def chi_squared(reference: Array, generated: Array) -> float:
    """p-value that two histograms of counts come from one distribution (homogeneity test).

    Bins empty in both are dropped; NaN if a histogram is empty or all counts lie in one bin.
    """
    from scipy import stats

    table = np.stack([np.asarray(reference, float), np.asarray(generated, float)])
    table = table[:, table.sum(0) > 0]
    if table.shape[1] < 2 or (table.sum(1) == 0).any():
        return float("nan")
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def holm(p_values: Array) -> np.ndarray:
    """p-values adjusted for their number by Holm's method; NaN stays NaN and is not counted.

    Where all null hypotheses hold, the chance that any of them falls below 0.05 is at most 5 %.
    """
    p = np.asarray(p_values, float)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted = np.full(len(p), np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def same_means(reference: Array, generated: Array) -> float:
    """p-value of Hotelling's test that the mean vectors of two samples (n, k), (m, k) are equal.

    For curves that are means over showers: their points are correlated, which a chi2 of the points
    one by one ignores. Each sample has a covariance of its own. Points with less than 0.1 % of the
    sum of the reference are summed into one. NaN with fewer than 5 showers a point.
    """
    from scipy import stats

    r, g = (np.asarray(s, float) for s in (reference, generated))
    share = r.mean(0)
    small = share < 1e-3 * share.sum()
    r, g = (np.concatenate([s[:, ~small], s[:, small].sum(1, keepdims=True)], 1) for s in (r, g))
    n = min(len(r), len(g))
    if n < 5 * r.shape[1]:
        return float("nan")
    covariance = np.cov(r, rowvar=False) / len(r) + np.cov(g, rowvar=False) / len(g)
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    solid = values > 1e-8
    along = vectors[:, solid].T @ ((r.mean(0) - g.mean(0)) / scale)
    k, free = int(solid.sum()), len(r) + len(g) - 2
    statistic = (along**2 / values[solid]).sum() * (free - k + 1) / (free * k)
    return float(stats.f.sf(statistic, k, free - k + 1))


def _mean_and_spread(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count, total, squares = sums.T
    mean = total / count
    return count, mean, np.sqrt(np.maximum(squares / count - mean**2, 0.0))
