"""Inference from density ratios: a mixture of processes, its likelihood, toys and their coverage.

With r_j = p_j / p_ref of each process, the density of events at a signal strength mu is

    p(x | mu) / p_ref(x) = sum_j f_j(mu) nu_j r_j(x) / nu(mu),   nu(mu) = sum_j f_j(mu) nu_j,

f_j(mu) = a + b sqrt(mu) + c mu: (0, 0, 1) for a signal, (1, 0, 0) for a background, (0, 1, 0) for
their interference, whose density may be negative and then is the difference of two parts. The
extended likelihood has the yields in closed form. Source: ATLAS, arXiv:2412.01600.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

LEAST = 1e-6
"""Of p(x | mu) nu(mu) / p_ref(x); below it the ratios of an interference do not fit together."""


class Mixture(NamedTuple):
    """Parts of the densities; parts of negative weights have negative yields."""

    coefficients: jax.Array
    """(j, 3) of 1, sqrt(mu) and mu."""
    yields: jax.Array
    """(j,) expected events at coefficient 1."""


def rates(mixture: Mixture, mu: jax.Array) -> jax.Array:
    """(..., j) expected events of each part at signal strengths (...)."""
    powers = jnp.stack([jnp.ones_like(mu), jnp.sqrt(mu), mu], axis=-1)
    return (powers @ mixture.coefficients.T) * mixture.yields


def density(mixture: Mixture, log_ratio: jax.Array, mu: jax.Array) -> jax.Array:
    """(n, g) nu(mu) p(x | mu) / p_ref(x) of events at signal strengths (g,).

    Args:
      log_ratio: (n, j) ln r_j.
    """
    return jnp.maximum(jnp.exp(log_ratio) @ rates(mixture, mu).T, LEAST)


def twice_nll(
    mixture: Mixture, log_ratio: jax.Array, weight: jax.Array, mu: jax.Array
) -> jax.Array:
    """(g,) -2 ln L of events at signal strengths mu (g,), up to a constant.

    Args:
      log_ratio: (n, j). weight: (n,) 0 for padding, or the weights of an Asimov sample.
    """
    found = density(mixture, log_ratio, mu)
    # Relative to the first strength, so that sums of many events keep their digits.
    terms = jnp.log(found / found[:, :1])
    return 2.0 * rates(mixture, mu).sum(axis=-1) - 2.0 * (weight @ terms)


def minimum(mu: jax.Array, curve: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Place and value of the minimum of a curve on an even grid, by a parabola through three
    points; at an end of the grid the end."""
    k = jnp.clip(jnp.argmin(curve), 1, len(mu) - 2)
    low, middle, high = curve[k - 1], curve[k], curve[k + 1]
    bend = jnp.maximum(low - 2 * middle + high, 1e-12)
    shift = jnp.clip(0.5 * (low - high) / bend, -1.0, 1.0)
    return mu[k] + shift * (mu[1] - mu[0]), middle - 0.25 * (low - high) * shift


def at(mu: jax.Array, curve: jax.Array, place: jax.Array | float) -> jax.Array:
    """The curve at a place of its grid, interpolated by a parabola through three points."""
    step = mu[1] - mu[0]
    k = jnp.clip(jnp.round((place - mu[0]) / step).astype(jnp.int32), 1, len(mu) - 2)
    t = (place - mu[k]) / step
    low, middle, high = curve[k - 1], curve[k], curve[k + 1]
    return middle + 0.5 * t * (high - low) + 0.5 * t**2 * (low - 2 * middle + high)


def asimov(
    mixture: Mixture, log_ratio: jax.Array, weight: jax.Array, truth: float, mu: jax.Array
) -> jax.Array:
    """(g,) expected -2 ln L(mu) / L(truth) from reference events with weights (n,).

    The Asimov sample is these events, with weights p(x | truth) / p_ref(x).
    """
    share = weight / weight.sum()
    expected = share * density(mixture, log_ratio, jnp.array([truth]))[:, 0]
    curve = twice_nll(mixture, log_ratio, expected, mu)
    return curve - at(mu, curve, truth)


class Toys(NamedTuple):
    """What each toy found, (toys,)."""

    estimate: jax.Array
    statistic: jax.Array
    """-2 ln L(truth) / L(estimate)."""


def toys(
    mixture: Mixture, log_ratio: jax.Array, upto: jax.Array, total: jax.Array | float,
    truth: jax.Array | float, mu: jax.Array, key: jax.Array, count: int, most: int,
) -> Toys:  # fmt: skip
    """Pseudo-experiments: Poisson numbers of events drawn from a pool, each fitted on a grid.

    Args:
      log_ratio: (pool, j) by which the events are judged.
      upto: (pool,) distribution function over the pool at ``truth``, see ``cumulative``.
      total: expected events.
      mu: (g,) even grid that holds ``truth``.
      most: events of a toy at most, see ``room``.
    """

    def toy(key: jax.Array) -> Toys:
        k_number, k_rows = jax.random.split(key)
        number = jax.random.poisson(k_number, total)
        rows = jnp.searchsorted(upto, jax.random.uniform(k_rows, (most,)))
        weight = (jnp.arange(most) < number).astype(jnp.float32)
        chosen = log_ratio[jnp.minimum(rows, len(upto) - 1)]
        curve = twice_nll(mixture, chosen, weight, mu)
        found, least = minimum(mu, curve)
        return Toys(found, jnp.maximum(at(mu, curve, truth) - least, 0.0))

    return jax.lax.map(toy, jax.random.split(key, count), batch_size=16)


def cumulative(expected: np.ndarray) -> tuple[np.ndarray, float]:
    """(pool,) distribution function of events of which so many (pool,) are expected, not negative,
    summed in double precision, and the sum of all."""
    upto = np.cumsum(np.asarray(expected, np.float64))
    return (upto / upto[-1]).astype(np.float32), float(upto[-1])


def room(total: float) -> int:
    """Events that no toy of a Poisson mean ``total`` exceeds in practice (6 sigma)."""
    return int(np.ceil((total + 6 * np.sqrt(total) + 10) / 64) * 64)


def coverage(statistic: np.ndarray, thresholds: tuple[float, ...] = (1.0, 4.0)) -> np.ndarray:
    """(thresholds, 2) share of toys with a statistic below each, and its error; 68.3 and 95.4 % for
    1 and 4 where the distribution is chi2."""
    share = (np.asarray(statistic)[None] <= np.array(thresholds)[:, None]).mean(axis=1)
    error = np.sqrt(np.maximum(share * (1 - share), 1e-12) / len(statistic))
    return np.stack([share, error], axis=1)


def critical_values(statistics: np.ndarray, level: float) -> np.ndarray:
    """(k,) quantiles of toys (k, toys) at k signal strengths: thresholds of a Neyman construction
    ordered by the likelihood ratio, valid where the distribution is not chi2."""
    return np.quantile(statistics, level, axis=1)


def neyman_interval(
    mu: np.ndarray, curve: np.ndarray, strengths: np.ndarray, critical: np.ndarray
) -> tuple[float, float]:
    """Lowest and highest signal strength whose -2 ln L ratio is below the critical value there.

    Args:
      mu, curve: (g,) -2 ln L of the data on a grid. strengths, critical: (k,) of
        ``critical_values``, interpolated between.
    """
    found, least = minimum(jnp.asarray(mu), jnp.asarray(curve))
    allowed = curve - float(least) <= np.interp(mu, strengths, critical)
    inside = mu[allowed] if allowed.any() else np.array([float(found)])
    return float(inside.min()), float(inside.max())


def interpolated(up: jax.Array, down: jax.Array, alpha: jax.Array) -> jax.Array:
    """ln g(alpha) of a systematic variation from ln ratios at +1 and -1 sigma (...).

    A parabola through both and 0 inside, its tangents outside, so that it is smooth (HistFactory,
    quadratic interpolation with linear extrapolation, here of logarithms).
    """
    slope, bend = 0.5 * (up - down), 0.5 * (up + down)
    inside = slope * alpha + bend * alpha**2
    outside = jnp.where(
        alpha > 0, up + (slope + 2 * bend) * (alpha - 1), down + (slope - 2 * bend) * (alpha + 1)
    )
    return jnp.where(jnp.abs(alpha) <= 1, inside, outside)


def of_mean_one(log_ratio: jax.Array, weight: jax.Array) -> jax.Array:
    """Log ratios (n, j) of reference events with weights (n,), each less the logarithm of its mean
    ratio, which is 1 but for the statistics of these events and of the training."""
    share = jnp.log(jnp.maximum(weight / weight.sum(), 1e-30))[:, None]
    return log_ratio - jax.nn.logsumexp(log_ratio + share, axis=0)


class Variations(NamedTuple):
    """Systematic variations, k of them."""

    part: jax.Array
    """(k, j) 1 where variation k changes part j."""
    yield_up: jax.Array
    """(k,) ln ratio of the yields at +1 sigma to the nominal ones."""
    yield_down: jax.Array


class Events(NamedTuple):
    """What a likelihood with systematic variations needs of events."""

    log_ratio: jax.Array
    """(n, j)."""
    weight: jax.Array
    """(n,)."""
    up: jax.Array
    """(n, k) ln ratio of densities at +1 sigma to the nominal one."""
    down: jax.Array


def profiled(
    mixture: Mixture, data: Events, reference: Events, mu: jax.Array, variations: Variations,
    steps: int = 12,
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    """(g,) -2 ln L minimised over nuisance parameters with unit Gaussian constraints, and these
    (g, k); Newton's method with halved steps where the Hessian is not positive.

    Interpolated densities are no densities: their integral is not 1 between and beyond the
    variations, nor are learnt ratios exact. 1 % of 2,000 events would be worth 4 sigma. So each
    part is divided by its integral, the mean over the reference events of the varied ratio.
    """
    first = jnp.log(density(mixture, data.log_ratio, mu[:1]))[:, 0]
    share = jnp.log(jnp.maximum(reference.weight / reference.weight.sum(), 1e-30))[:, None]
    of_part = reference.log_ratio + share
    whole = jax.nn.logsumexp(of_part, axis=0)

    def shape(events: Events, alpha: jax.Array) -> jax.Array:
        return interpolated(events.up, events.down, alpha) @ variations.part

    def value(alpha: jax.Array, strength: jax.Array) -> jax.Array:
        integral = jax.nn.logsumexp(of_part + shape(reference, alpha), axis=0) - whole
        scale = interpolated(variations.yield_up, variations.yield_down, alpha)
        changed = mixture._replace(yields=mixture.yields * jnp.exp(scale @ variations.part))
        varied = data.log_ratio + shape(data, alpha) - integral
        found = density(changed, varied, strength[None])[:, 0]
        total = rates(changed, strength).sum()
        return 2.0 * total - 2.0 * (data.weight @ (jnp.log(found) - first)) + (alpha**2).sum()

    def solve(strength: jax.Array) -> tuple[jax.Array, jax.Array]:
        function = partial(value, strength=strength)

        def step(alpha: jax.Array, _: None) -> tuple[jax.Array, None]:
            gradient, hessian = jax.grad(function)(alpha), jax.hessian(function)(alpha)
            size = jnp.eye(len(alpha)) * jnp.maximum(2.0 - jnp.linalg.eigvalsh(hessian)[0], 0.0)
            move = jnp.clip(jnp.linalg.solve(hessian + size, gradient), -1.0, 1.0)
            tried = alpha - move * jnp.array([1.0, 0.5, 0.25, 0.0])[:, None]
            return tried[jnp.argmin(jax.vmap(function)(tried))], None

        alpha, _ = jax.lax.scan(step, jnp.zeros(variations.part.shape[0]), None, length=steps)
        return function(alpha), alpha

    return jax.lax.map(solve, mu)


def calibration(
    log_ratio: np.ndarray, one: np.ndarray, zero: np.ndarray, bins: int = 10
) -> np.ndarray:
    """(bins, 3) predicted share of class 1, found share and its error, in bins of equal weight.

    Args:
      log_ratio: (n,) of events of both classes. one, zero: (n,) their weights in each class, which
        are scaled to equal sums.
    """
    one, zero = one / one.sum(), zero / zero.sum()
    score = 1.0 / (1.0 + np.exp(-log_ratio))
    order = np.argsort(score)
    both = np.cumsum((one + zero)[order])
    place = np.minimum((both / both[-1] * bins).astype(int), bins - 1)

    def sums(x: np.ndarray) -> np.ndarray:
        return np.bincount(place, x[order], bins)

    total = np.maximum(sums(one + zero), 1e-30)
    share = sums(one) / total
    variance = (1 - share) ** 2 * sums(one**2) + share**2 * sums(zero**2)
    return np.stack([sums((one + zero) * score) / total, share, np.sqrt(variance) / total], axis=1)


def expectation(log_ratio: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """E_ref[r] over reference events, which is 1 for a right ratio, and its statistical error."""
    ratio, share = np.exp(log_ratio), weight / weight.sum()
    mean = float((share * ratio).sum())
    return mean, float(np.sqrt((share**2 * (ratio - mean) ** 2).sum()))
