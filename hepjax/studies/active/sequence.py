"""Scrambled Sobol sequences: points that fill a box evenly, however many there are."""

import numpy as np
from scipy.stats import qmc


def sobol(count: int, size: int, seed: tuple[int, ...]) -> np.ndarray:
    """The first points (count, size) of a scrambled sequence, in the unit box."""
    power = max(int(np.ceil(np.log2(max(count, 1)))), 0)
    drawn = qmc.Sobol(size, rng=np.random.default_rng(seed)).random_base2(power)
    return np.asarray(drawn[:count])
