"""An exact Gaussian process in buffers of fixed size, so that a whole loop is one compilation.

Rows that hold no point are masked: they are the identity in the covariance and zero in the data.
All of it runs in float64, inside ``double()``: in float32 the Cholesky factor of points that gather
on a contour is not finite. Formulas: Rasmussen and Williams, Gaussian Processes for Machine
Learning (2006), chapters 2 and 5; the covariance is Matern 5/2 with a length for each axis.
"""

import contextlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

STEPS = 60
"""Of Adam, from each start."""
RATE = 0.2
"""At the beginning, in logarithms; falls to nothing with a cosine."""
JITTER = 1e-8
"""Of the variance, on the diagonal."""
LENGTHS = (0.15, 0.5, 1.5)
"""Starts of the fit, in shares of the range: the likelihood has several maxima."""
LENGTH_PRIOR = jnp.log(0.5), 1.0
"""Mean and standard deviation of the logarithm of a length."""
NOISE_PRIOR = jnp.log(0.02), 1.5
"""The same of the noise beyond what the simulator tells, in units of the spread of the values."""


def double() -> contextlib.AbstractContextManager[Any]:
    """Float64 inside the block, in this thread alone; the rest of the process keeps float32."""
    context: contextlib.AbstractContextManager[Any] = jax.enable_x64(True)
    return context


class Data(NamedTuple):
    """What was simulated."""

    x: Array
    """(rows, d) points, as shares of the ranges, 0 to 1."""
    y: Array
    """(rows,) values minus the threshold."""
    error: Array
    """(rows,) standard deviations as the simulator tells them; 0 where it does not."""
    used: Array
    """(rows,) bool: rows that hold a point."""


class Kernel(NamedTuple):
    """Hyper-parameters, all logarithms but the constant."""

    length: Array
    """(d,)."""
    scale: Array
    """() standard deviation of the function."""
    noise: Array
    """() standard deviation of the noise beyond ``Data.error``."""
    constant: Array
    """() mean of the function far from all points."""


class Factor(NamedTuple):
    """The covariance of the values, solved."""

    lower: Array
    """(rows, rows) Cholesky factor."""
    inverse: Array
    """(rows, rows) of the Cholesky factor."""
    weights: Array
    """(rows,) of the covariances in the posterior mean."""


class Belief(NamedTuple):
    """The posterior at m places."""

    mean: Array
    """(m,)."""
    variance: Array
    """(m,) of the function, without noise."""
    v: Array
    """(rows, m) covariances with the data, divided by the Cholesky factor."""


def empty(rows: int, size: int) -> Data:
    """A buffer without points; float64 inside ``double``."""
    return Data(jnp.zeros((rows, size)), jnp.zeros(rows), jnp.zeros(rows), jnp.zeros(rows, bool))


def covariance(kernel: Kernel, a: Array, b: Array) -> Array:
    """Matern 5/2 between points (n, d) and (m, d): (n, m)."""
    scaled = (a[:, None] - b[None]) * jnp.exp(-kernel.length)
    square = (scaled**2).sum(-1)
    # The gradient of a root is infinite at 0, where a point meets itself.
    distance = jnp.sqrt(5.0) * jnp.sqrt(jnp.maximum(square, 1e-20))
    shape = (1 + distance + distance**2 / 3) * jnp.exp(-distance)
    return jnp.exp(2 * kernel.scale) * shape


def of_values(data: Data, kernel: Kernel) -> Array:
    """Covariance (rows, rows) of the values, noise included; unused rows are the identity."""
    both = data.used[:, None] & data.used[None]
    known = jnp.where(both, covariance(kernel, data.x, data.x), 0.0)
    extra = jnp.exp(2 * kernel.noise) + data.error**2 + JITTER * jnp.exp(2 * kernel.scale)
    return known + jnp.diag(jnp.where(data.used, extra, 1.0))


def inverse_of_lower(lower: Array) -> Array:
    """The inverse (n, n) of a lower triangular matrix, from blocks on the diagonal.

    By products alone: the triangular solver of BLAS starts threads for each small matrix, and takes
    a hundred times as long on cores that are busy.
    """
    n = len(lower)
    size = 1 << max(n - 1, 0).bit_length()
    whole = jnp.eye(size, dtype=lower.dtype).at[:n, :n].set(lower)
    blocks = 1 / jnp.diag(whole)[:, None, None]
    while (b := blocks.shape[1]) < size:
        first, second = blocks[::2], blocks[1::2]
        pairs = whole.reshape(size // (2 * b), 2 * b, size // (2 * b), 2 * b)
        below = jnp.einsum("kikj->kij", pairs)[:, b:, :b]
        corner = -second @ below @ first
        upper = jnp.concatenate([first, jnp.zeros_like(first)], 2)
        blocks = jnp.concatenate([upper, jnp.concatenate([corner, second], 2)], 1)
    return blocks[0, :n, :n]


def factor(data: Data, kernel: Kernel) -> Factor:
    """The Cholesky factor of the covariance of the values."""
    lower = jnp.linalg.cholesky(of_values(data, kernel))
    inverse = inverse_of_lower(lower)
    residual = jnp.where(data.used, data.y - kernel.constant, 0.0)
    return Factor(lower, inverse, inverse.T @ (inverse @ residual))


def log_likelihood(data: Data, kernel: Kernel) -> Array:
    """Logarithm of the marginal likelihood of the values."""
    lower, _, weights = factor(data, kernel)
    residual = jnp.where(data.used, data.y - kernel.constant, 0.0)
    count = data.used.sum()
    return (
        -0.5 * residual @ weights - jnp.log(jnp.diag(lower)).sum()
        - 0.5 * count * jnp.log(2 * jnp.pi)
    )  # fmt: skip


def slope(data: Data, kernel: Kernel) -> Kernel:
    """The gradient of the logarithm of the likelihood (Rasmussen and Williams, equation 5.9).

    By the inverse of the covariance; a third of the work of differentiating its factor.
    """
    _, inverse, weights = factor(data, kernel)
    by_covariance = (weights[:, None] * weights - inverse.T @ inverse) / 2

    def linear(kernel: Kernel) -> Array:
        mean = kernel.constant * jnp.where(data.used, weights, 0.0).sum()
        return (by_covariance * of_values(data, kernel)).sum() + mean

    found: Kernel = jax.grad(linear)(kernel)
    return found


def _spread(data: Data) -> tuple[Array, Array]:
    """Mean and standard deviation of the values."""
    count = jnp.maximum(data.used.sum(), 1)
    mean = jnp.where(data.used, data.y, 0.0).sum() / count
    square = jnp.where(data.used, (data.y - mean) ** 2, 0.0).sum() / count
    return mean, jnp.sqrt(square) + 1e-9


def _penalty(kernel: Kernel, mean: Array, spread: Array) -> Array:
    """Minus the logarithm of weak priors, which hold what a dozen points cannot tell."""
    terms = (
        (kernel.length - LENGTH_PRIOR[0]) / LENGTH_PRIOR[1],
        kernel.scale - jnp.log(spread),
        (kernel.noise - jnp.log(spread) - NOISE_PRIOR[0]) / NOISE_PRIOR[1],
        (kernel.constant - mean) / (2 * spread),
    )
    return jnp.asarray(sum((term**2).sum() / 2 for term in terms))


def fit(data: Data) -> Kernel:
    """The kernel of largest posterior, by Adam from several lengths; the best of them.

    Not finite where no start gave a finite likelihood: see ``is_sound``.
    """
    mean, spread = _spread(data)
    size = data.x.shape[1]

    def start(length: Array) -> Kernel:
        return Kernel(
            jnp.full(size, jnp.log(length)), jnp.log(spread), jnp.log(spread) + NOISE_PRIOR[0],
            mean,
        )  # fmt: skip

    def penalty(kernel: Kernel) -> Array:
        return _penalty(kernel, mean, spread)

    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, STEPS))

    def descend(kernel: Kernel) -> tuple[Kernel, Array]:
        def step(carried: Any, _: None) -> tuple[Any, None]:
            kernel, state = carried
            up, down = slope(data, kernel), jax.grad(penalty)(kernel)
            loss_slope = jax.tree.map(lambda a, b: b - a, up, down)
            update, state = optimizer.update(loss_slope, state)
            return (optax.apply_updates(kernel, update), state), None

        begun = kernel, optimizer.init(kernel)
        (kernel, _), _ = jax.lax.scan(step, begun, length=STEPS)
        return kernel, penalty(kernel) - log_likelihood(data, kernel)

    kernels, losses = jax.vmap(descend)(jax.vmap(start)(jnp.asarray(LENGTHS)))
    best = jnp.argmin(jnp.where(jnp.isfinite(losses), losses, jnp.inf))
    return Kernel(*(part[best] for part in kernels))


def posterior(data: Data, kernel: Kernel, at: Array) -> Belief:
    """What the data say of the function at places (m, d)."""
    _, inverse, weights = factor(data, kernel)
    cross = jnp.where(data.used[:, None], covariance(kernel, data.x, at), 0.0)
    v = inverse @ cross
    variance = jnp.exp(2 * kernel.scale) - (v**2).sum(0)
    return Belief(kernel.constant + weights @ cross, jnp.maximum(variance, 1e-14), v)


def mean_at(data: Data, kernel: Kernel, at: Array) -> Array:
    """The posterior mean (m,) alone, which is cheap."""
    weights = factor(data, kernel).weights
    return kernel.constant + jnp.where(data.used, weights, 0.0) @ covariance(kernel, data.x, at)


def told_its_mean(belief: Belief, kernel: Kernel, at: Array, chosen: Array, row: Array) -> Belief:
    """The belief once place ``chosen`` is asked for, as if it gave its mean (kriging believer).

    Means stay as they are; variances around it shrink, so the next point lies elsewhere.

    Args:
      row: an unused row of the data, which holds the place from here on.
    """
    cross = covariance(kernel, at[chosen][None], at)[0] - belief.v[:, chosen] @ belief.v
    noise = jnp.exp(2 * kernel.noise) + JITTER * jnp.exp(2 * kernel.scale)
    gain = cross / jnp.sqrt(belief.variance[chosen] + noise)
    variance = jnp.maximum(belief.variance - gain**2, 1e-14)
    return Belief(belief.mean, variance, belief.v.at[row].set(gain))


def is_sound(kernel: Kernel) -> bool:
    """Whether all hyper-parameters are finite."""
    return all(bool(jnp.isfinite(part).all()) for part in kernel)


def left_out(data: Data, kernel: Kernel) -> tuple[Array, Array]:
    """Value minus prediction (rows,) of each point from all others, and the predicted spread.

    Rasmussen and Williams, equations 5.10 to 5.12; noise is part of the spread.
    """
    _, inverse, weights = factor(data, kernel)
    precision = (inverse**2).sum(0)
    return weights / precision, 1 / jnp.sqrt(precision)
