"""Gaussian truth, Gaussian smearing: the toy of which each iteration of an unfolding is known."""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri


class Gaussians(NamedTuple):
    """The toy: mean and width of the truth, smearing, and the efficiency at truth x."""

    mean: float
    width: float
    smearing: float = 0.5
    efficiency: float = 1.0
    """Probability to be reconstructed at x = 0."""
    slope: float = 0.0
    """It changes with the truth as a logistic function: logit = logit(efficiency) + slope x."""


SIMULATION, NATURE = Gaussians(0.5, 1.0), Gaussians(0.0, 0.9)
"""Those of the tutorial and the tests."""


def efficiency(toy: Gaussians, x: np.ndarray) -> np.ndarray:
    """Probability that events of truth x are reconstructed."""
    if toy.slope == 0:
        return np.full(len(x), toy.efficiency)
    start = np.log(toy.efficiency / (1 - toy.efficiency))
    return 1.0 / (1.0 + np.exp(-(start + toy.slope * x)))


def gaussian_events(
    toy: Gaussians, events: int, seed: int, *, even: bool = False
) -> dict[str, np.ndarray]:
    """``gen_x``, ``sim_x`` (n,) and ``sim_pass`` (n,).

    Args:
      even: points of a scrambled Sobol sequence in place of random ones, so that the moments of
        the sample are nearly those of the toy.
    """
    uniform = _even(events, seed) if even else np.random.default_rng(seed).random((events, 3))
    x = toy.mean + toy.width * ndtri(uniform[:, 0])
    seen = x + toy.smearing * ndtri(uniform[:, 1])
    passed = uniform[:, 2] < efficiency(toy, x)
    return {
        "gen_x": x.astype(np.float32), "sim_x": seen.astype(np.float32), "sim_pass": passed,
    }  # fmt: skip


def _even(events: int, seed: int) -> np.ndarray:
    """(events, 3) in the unit cube."""
    from scipy.stats import qmc

    points = qmc.Sobol(3, seed=seed).random_base2(int(np.ceil(np.log2(max(events, 2)))))
    return np.clip(points[:events], 1e-7, 1 - 1e-7)
