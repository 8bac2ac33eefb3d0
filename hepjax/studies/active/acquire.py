"""Acquisitions: how much a simulation at a place would tell about the contour.

Each takes the posterior of value minus threshold, so the contour is where the mean is 0. Greater is
better. A batch is chosen one by one; points that are asked for count as if they had given their
mean.
"""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import entr
from jax.scipy.stats import norm

from hepjax.studies.active.gaussian import Belief, Data, Kernel, covariance, told_its_mean

Acquisition = Literal["entropy", "straddle", "integrated", "disc"]
ACQUISITIONS: tuple[Acquisition, ...] = get_args(Acquisition)
STRADDLE = 1.96
"""Standard deviations, of 95 % (Bryan et al., NeurIPS 2005)."""
BAND = 2.0
"""Half width of the band around the contour, in standard deviations."""
SHORTLIST = 32
"""Candidates of largest entropy for which the integrated criterion is computed."""
NODES = 7
"""Values that a simulation may give, of equal probability, for the integrated criterion."""


class Places(NamedTuple):
    """Where points may be asked for."""

    at: Array
    """(m, d): candidates, and after them the Sobol sequence."""
    open: Array
    """(m,) bool: candidates that were not used."""
    chance: Array
    """(m,) random, 0 to 1."""


def entropy(belief: Belief) -> Array:
    """Entropy of the side of the contour, times the standard deviation: (m,)."""
    s = jnp.sqrt(belief.variance)
    p = norm.cdf(belief.mean / s)
    return (entr(p) + entr(1 - p)) * s


def straddle(belief: Belief) -> Array:
    """1.96 standard deviations minus the distance from the threshold: (m,)."""
    return STRADDLE * jnp.sqrt(belief.variance) - jnp.abs(belief.mean)


def misclassified(belief: Belief) -> Array:
    """Probability (m,) that a place lies on the other side of the contour than its mean."""
    return norm.cdf(-jnp.abs(belief.mean) / jnp.sqrt(belief.variance))


def integrated(belief: Belief, kernel: Kernel, places: Places) -> Array:
    """Expected drop of the misclassified share of the box by a simulation: (m,).

    Of the candidates of largest entropy; minus infinity for the others. The mean is over values
    that the simulation may give (stepwise uncertainty reduction, Bect et al., Stat. Comput. 22
    (2012) 773).
    """
    first = jnp.where(places.open, entropy(belief), -jnp.inf)
    _, short = jax.lax.top_k(first, SHORTLIST)
    z = norm.ppf((jnp.arange(NODES) + 0.5) / NODES)

    def after(chosen: Array) -> Array:
        cross = covariance(kernel, places.at[chosen][None], places.at)[0]
        cross = cross - belief.v[:, chosen] @ belief.v
        gain = cross / jnp.sqrt(belief.variance[chosen] + jnp.exp(2 * kernel.noise))
        s = jnp.sqrt(jnp.maximum(belief.variance - gain**2, 1e-14))
        means = belief.mean + z[:, None] * gain
        return norm.cdf(-jnp.abs(means) / s).mean()

    drop = misclassified(belief).mean() - jax.vmap(after)(short)
    return jnp.full(len(belief.mean), -jnp.inf).at[short].set(drop)


def disc(belief: Belief, places: Places, nearest: Array, spacing: Array) -> Array:
    """Poisson disc sampling in the band around the contour: (m,).

    A random place of the band that is ``spacing`` away from all points; without one, that which is
    farthest from them; without a band, the place nearest to the contour in standard deviations.

    Args:
      nearest: (m,) distance to the nearest point.
    """
    off = jnp.abs(belief.mean) / jnp.sqrt(belief.variance)
    fine = jnp.where(nearest >= spacing, 1 + places.chance, nearest / spacing)
    return jnp.where(off < BAND, fine, -off)


def value(
    name: Acquisition, belief: Belief, kernel: Kernel, places: Places, nearest: Array,
    spacing: Array,
) -> Array:  # fmt: skip
    """The acquisition of this name at all places: (m,)."""
    if name == "entropy":
        return entropy(belief)
    if name == "straddle":
        return straddle(belief)
    if name == "integrated":
        return integrated(belief, kernel, places)
    return disc(belief, places, nearest, spacing)


def distance(data: Data, at: Array) -> Array:
    """From places (m, d) to the nearest point, in shares of the ranges: (m,)."""
    apart = jnp.sqrt(((at[:, None] - data.x[None]) ** 2).sum(-1))
    return jnp.where(data.used[None], apart, jnp.inf).min(1)


def batch(
    name: Acquisition, data: Data, kernel: Kernel, belief: Belief, places: Places,
    asked: Array, filling: Array,
) -> Array:  # fmt: skip
    """Indices (q,) of the places to simulate next.

    Args:
      belief: at all places.
      asked: (q,) bool: chosen by the acquisition; the others are the next of the sequence.
      filling: () index of the next place of the sequence.
    """
    count = data.used.sum()
    spacing = 0.5 * jnp.maximum(count, 1.0) ** (-1 / data.x.shape[1])

    def choose(carried: tuple[Belief, Array, Array, Array], j: Array):  # type: ignore[no-untyped-def]
        belief, open_, nearest, filling = carried
        worth = value(name, belief, kernel, places._replace(open=open_), nearest, spacing)
        best = jnp.argmax(jnp.where(open_, worth, -jnp.inf))
        chosen = jnp.where(asked[j], best, filling)
        belief = told_its_mean(belief, kernel, places.at, chosen, count + j)
        apart = jnp.sqrt(((places.at - places.at[chosen]) ** 2).sum(-1))
        nearest = jnp.minimum(nearest, apart)
        return (belief, open_ & (apart > 1e-9), nearest, filling + ~asked[j]), chosen

    begun = belief, places.open, distance(data, places.at), filling
    _, chosen = jax.lax.scan(choose, begun, jnp.arange(len(asked)))
    return chosen
