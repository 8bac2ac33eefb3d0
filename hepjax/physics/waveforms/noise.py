"""How a waveform fluctuates around its expectation: variance, chi2, likelihood. Pure functions."""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

A = TypeVar("A", jax.Array, np.ndarray)


def variance(expected: A, excess: float, noise: float) -> A:
    """Of each sample, photoelectrons^2.

    Args:
      expected: photoelectrons, 0 or more.
      excess: variance over mean of the light; 1 for Poisson numbers of equal photoelectrons.
      noise: photoelectrons, of the electronics.
    """
    return excess * expected + noise**2


def chi2(waveform: A, expected: A, excess: float, noise: float) -> A:
    """Sum over samples (n, samples) of squared deviations over their variance, (n,)."""
    return ((waveform - expected) ** 2 / variance(expected, excess, noise)).sum(-1)


COARSE, SPIKE, BUMP = 8, 4, 96
"""Samples over which deviations are summed: a few photons, an S1, an S2 of its own."""


def deviations(
    waveform: jax.Array, expected: jax.Array, excess: float, noise: float
) -> dict[str, jax.Array]:
    """Scores (n,) of waveforms (n, samples): how far they lie from their expectations.

    ``chi2`` a sample sees everything and dilutes what is short or smooth. ``coarse`` is the mean
    square of sums of deviations over ``COARSE`` samples. ``spike`` and ``bump`` are the largest
    absolute sums over ``SPIKE`` and ``BUMP`` samples. Deviations are in units of their errors, sums
    in units of the error of a sum of independent ones.
    """
    residual = (waveform - expected) / jnp.sqrt(variance(expected, excess, noise))
    total = jnp.cumsum(jnp.pad(residual, ((0, 0), (1, 0))), axis=1)

    def sums(samples: int) -> jax.Array:
        samples = min(samples, waveform.shape[1])
        return (total[:, samples:] - total[:, :-samples]) / samples**0.5

    return {
        "chi2": (residual**2).mean(1), "coarse": (sums(COARSE) ** 2).mean(1),
        "spike": jnp.abs(sums(SPIKE)).max(1), "bump": jnp.abs(sums(BUMP)).max(1),
    }  # fmt: skip


def negative_log_likelihood(
    waveform: jax.Array, expected: jax.Array, excess: float, noise: float
) -> jax.Array:
    """Of waveforms (n, samples), up to a constant, (n,).

    The normal form of a Poisson likelihood: the variance follows the expectation and its logarithm
    counts, without which too large an expectation would win.
    """
    spread = variance(expected, excess, noise)
    return 0.5 * ((waveform - expected) ** 2 / spread + jnp.log(spread)).sum(-1)
