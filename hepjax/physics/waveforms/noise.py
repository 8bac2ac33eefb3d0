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


def negative_log_likelihood(
    waveform: jax.Array, expected: jax.Array, excess: float, noise: float
) -> jax.Array:
    """Of waveforms (n, samples), up to a constant, (n,).

    The normal form of a Poisson likelihood: the variance follows the expectation and its logarithm
    counts, without which too large an expectation would win.
    """
    spread = variance(expected, excess, noise)
    return 0.5 * ((waveform - expected) ** 2 / spread + jnp.log(spread)).sum(-1)
