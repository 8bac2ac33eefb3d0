"""A flat universe of matter and a cosmological constant: expansion, growth, power of the matter.

On the host in float64. Lengths are Mpc/h comoving, wave numbers h/Mpc, and a is the scale factor,
1 today. Momenta are p = a^2 dx/dt / H0, so that dx/da = p / (a^3 E) and dp/da = 1.5 Om g / (a^2 E)
with g = -grad(inverse Laplacian of the overdensity).
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

TEMPERATURE = 2.7255
"""K, of the microwave background (Fixsen 2009)."""
STEPS = 512
"""Of the integrals over the scale factor."""


class Cosmology(NamedTuple):
    """The parameters, by default close to those of Planck 2018."""

    omega_m: float = 0.31
    """Matter today, over the critical density."""
    sigma8: float = 0.81
    """Rms overdensity today in spheres of 8 Mpc/h, by linear growth."""
    omega_b: float = 0.049
    h: float = 0.68
    n_s: float = 0.965


def expansion(cosmology: Cosmology, a: np.ndarray | float) -> np.ndarray:
    """E = H / H0 at scale factors ``a``."""
    return np.sqrt(cosmology.omega_m / np.asarray(a, float) ** 3 + 1 - cosmology.omega_m)


def growth(cosmology: Cosmology, a: float) -> tuple[float, float]:
    """Linear growth D, 1 today, and its rate f = dlnD/dlna; exact for such a universe.

    D is proportional to E times the integral of 1 / (a E)^3 over a (Heath 1977).
    """

    def unnormalised(a: float) -> float:
        return float(expansion(cosmology, a)) * _integral(
            lambda x: 1 / (x * expansion(cosmology, x)) ** 3, 0.0, a
        )

    e, d = float(expansion(cosmology, a)), unnormalised(a)
    falls = -1.5 * cosmology.omega_m / (a**3 * e**2)  # dlnE/dlna
    return d / unnormalised(1.0), falls + 1 / (a**2 * e**2 * d)


def second_order(cosmology: Cosmology, a: float) -> tuple[float, float]:
    """The growth of second-order displacements and its rate, as fitted by Bouchet et al. (1995)."""
    matter = cosmology.omega_m / (a**3 * float(expansion(cosmology, a)) ** 2)
    first = growth(cosmology, a)[0]
    return -3 / 7 * first**2 * matter ** (-1 / 143), 2 * matter ** (6 / 11)


def power(cosmology: Cosmology, k: np.ndarray) -> np.ndarray:
    """Linear power today, (Mpc/h)^3, at wave numbers ``k`` in h/Mpc; 0 at k = 0.

    The transfer function without acoustic oscillations of Eisenstein and Hu (1998), eqs. 26 to 31,
    normalised to ``sigma8``.
    """
    grid = np.geomspace(1e-4, 1e2, 2048)
    radius = 8.0 * grid
    window = 3 * (np.sin(radius) - radius * np.cos(radius)) / radius**3
    integrand = grid**3 * _shape(cosmology, grid) * window**2 / (2 * np.pi**2)
    variance = np.trapezoid(integrand, np.log(grid))
    k = np.asarray(k, float)
    safe = np.where(k > 0, k, 1.0)
    return np.where(k > 0, _shape(cosmology, safe) * cosmology.sigma8**2 / variance, 0.0)


def _shape(cosmology: Cosmology, k: np.ndarray) -> np.ndarray:
    matter, baryons = cosmology.omega_m * cosmology.h**2, cosmology.omega_b * cosmology.h**2
    share = cosmology.omega_b / cosmology.omega_m
    sound = 44.5 * np.log(9.83 / matter) / np.sqrt(1 + 10 * baryons**0.75)  # Mpc
    alpha = 1 - 0.328 * np.log(431 * matter) * share + 0.38 * np.log(22.3 * matter) * share**2
    fall = 1 / (1 + (0.43 * k * cosmology.h * sound) ** 4)
    gamma = cosmology.omega_m * cosmology.h * (alpha + (1 - alpha) * fall)
    q = k * (TEMPERATURE / 2.7) ** 2 / gamma
    low = np.log(2 * np.e + 1.8 * q)
    transfer = low / (low + (14.2 + 731 / (1 + 62.5 * q)) * q**2)
    shape: np.ndarray = k**cosmology.n_s * transfer**2
    return shape


class Schedule(NamedTuple):
    """Numbers of a particle-mesh simulation, float32, so that one program serves all cosmologies.

    Attributes:
      start: (4,) first- and second-order displacement and momentum for a unit of linear growth.
      kicks: (steps, 2) of the momentum before and after each drift.
      drifts: (steps,) of the positions.
    """

    start: np.ndarray
    kicks: np.ndarray
    drifts: np.ndarray


def schedule(cosmology: Cosmology, scales: np.ndarray) -> Schedule:
    """Kick, drift, kick between the scale factors ``scales`` (steps + 1,), the first the start.

    The factors are those of FastPM (Feng et al., arXiv:1603.00476): linear growth is exact for any
    number of steps. In the limit of many they are the integrals of 1.5 Om / (a^2 E) and
    1 / (a^3 E).
    """

    def grown(a: float) -> tuple[float, float]:
        """D, and the momentum a^3 E dD/da of a unit of displacement."""
        d, f = growth(cosmology, a)
        return d, a**2 * float(expansion(cosmology, a)) * f * d

    (d1, v1), (d2, f2) = grown(float(scales[0])), second_order(cosmology, float(scales[0]))
    start = scales[0] ** 2 * float(expansion(cosmology, float(scales[0])))
    kicks, drifts = [], []
    for low, high in itertools.pairwise(map(float, scales)):
        (before, p0), (_, p1), (after, p2) = map(grown, (low, (low + high) / 2, high))
        kicks.append(((p1 - p0) / before, (p2 - p1) / after))
        drifts.append((after - before) / p1)
    return Schedule(
        np.array([d1, d2, v1, start * f2 * d2], np.float32), np.array(kicks, np.float32),
        np.array(drifts, np.float32),
    )  # fmt: skip


def amplitudes(cosmology: Cosmology, cells: int, length: float) -> np.ndarray:
    """What turns the Fourier modes of white noise into those of the overdensity today, float32.

    Args:
      cells: along an edge of the box. length: of the edge, Mpc/h.
    Returns:
      (cells, cells, cells // 2 + 1).
    """
    whole = np.fft.fftfreq(cells) * cells
    half = np.arange(cells // 2 + 1)
    k = np.sqrt(whole[:, None, None] ** 2 + whole[:, None] ** 2 + half**2) * 2 * np.pi / length
    return np.sqrt(power(cosmology, k) * (cells / length) ** 3).astype(np.float32)


def _integral(function: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> float:
    """By the midpoint rule in the square root of a, in which all integrands here are smooth."""
    edges = np.linspace(np.sqrt(low), np.sqrt(high), STEPS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    return float(np.sum(function(middle**2) * 2 * middle) * (edges[1] - edges[0]))
