"""Absorption of light by neutral hydrogen along the z axis of a box: the Lyman-alpha forest.

The fluctuating Gunn-Peterson approximation: the optical depth of a cell is proportional to
density^2 temperature^-0.7 and moves along the line by the velocity (redshift space). Its factor
comes from the mean flux of the true fields, and holds for the others too. No thermal broadening.
"""

import numpy as np

MEAN_FLUX = 0.70
"""At redshift 3, about as measured (Becker et al. 2013: 0.68)."""
BINS = np.linspace(0.0, 1.0, 21)
"""Edges of the distribution of the flux."""


def optical_depth(gas: np.ndarray, hubble_cell: float) -> np.ndarray:
    """Optical depth (n, n, n) up to a factor, in redshift space along the last axis.

    Args:
      gas: (n, n, n, 5) density, temperature, velocity in km/s.
      hubble_cell: velocity across a cell by expansion, km/s.
    """
    first, second, n = gas.shape[:3]
    depth = gas[..., 0] ** 2 * (gas[..., 1] / 1e4) ** -0.7
    place = np.arange(n) + gas[..., 4] / hubble_cell
    low = np.floor(place).astype(int)
    share = place - low
    lines = np.arange(first * second).reshape(first, second, 1) * n
    made = np.zeros(depth.size)
    for step, part in ((0, 1 - share), (1, share)):
        made += np.bincount(
            (lines + (low + step) % n).reshape(-1), (depth * part).reshape(-1), depth.size
        )
    return made.reshape(depth.shape)


def factor(depths: list[np.ndarray], mean_flux: float = MEAN_FLUX) -> float:
    """What optical depths are multiplied by so that the mean of exp(-depth) is this."""
    low, high = 1e-8, 1e8
    for _ in range(60):
        middle = np.sqrt(low * high)
        flux = np.mean([np.exp(-middle * depth).mean() for depth in depths])
        low, high = (middle, high) if flux > mean_flux else (low, middle)
    return float(np.sqrt(low * high))


def line_power(flux: np.ndarray) -> np.ndarray:
    """Power (n // 2,) of flux / mean - 1 along the last axis, mean over lines, without mode 0."""
    contrast = flux / flux.mean() - 1
    power: np.ndarray = (np.abs(np.fft.rfft(contrast, axis=-1)) ** 2).mean((0, 1))
    return power[1 : flux.shape[-1] // 2 + 1] / flux.shape[-1]


def distribution(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of the cells in each bin."""
    counts, _ = np.histogram(values, edges)
    shares: np.ndarray = counts / values.size
    return shares
