"""Fixed-point networks as integers: what an FPGA computes, step by step, with overflow counted.

A number on a ``Grid`` is an integer times 2^-fraction. Products and sums are exact: the type of an
accumulator is as wide as the largest sum that weights and inputs allow. NumPy, 64-bit integers.
"""

import math
from dataclasses import dataclass

import numpy as np

from hepjax import InputError

EXACT = 24
"""Bits of an integer that float32 holds without rounding: JAX, ONNX and the FPGA then agree."""


@dataclass(frozen=True)
class Grid:
    """Numbers k 2^-fraction; k of ``bits`` bits, the sign among them. Half to even, saturating."""

    fraction: int
    bits: int
    signed: bool

    @property
    def scale(self) -> float:
        """Distance of two numbers."""
        return 2.0**-self.fraction

    @property
    def ends(self) -> tuple[int, int]:
        """Smallest and largest k."""
        if self.signed:
            return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1
        return 0, 2**self.bits - 1

    @property
    def text(self) -> str:
        """As C++ of high-level synthesis names it: ``ap_fixed<7,3>``, ``ap_ufixed<4,-1>``."""
        return f"ap_{'' if self.signed else 'u'}fixed<{self.bits},{self.bits - self.fraction}>"

    def of(self, x: np.ndarray) -> tuple[np.ndarray, int]:
        """Integers k of real numbers, and how many of these lie beyond the ends."""
        k = np.rint(np.asarray(x, np.float64) * 2.0**self.fraction)
        low, high = self.ends
        return np.clip(k, low, high).astype(np.int64), int(np.count_nonzero((k < low) | (k > high)))


@dataclass(frozen=True)
class Dense:
    """Integer weights (n, m) and biases (m,) with their grids; ``after`` follows a ReLU."""

    weight: np.ndarray
    weight_grid: Grid
    bias: np.ndarray
    bias_grid: Grid
    after: Grid | None
    """Grid of the outputs; None for the last layer, whose sums are the answer."""


@dataclass(frozen=True)
class Network:
    """Dense layers in a row on the grid of their inputs."""

    inputs: Grid
    layers: tuple[Dense, ...]

    @property
    def size(self) -> int:
        """Number of inputs."""
        return int(self.layers[0].weight.shape[0])

    def grids(self) -> list[Grid]:
        """Grid of the inputs of each layer."""
        return [self.inputs, *(layer.after for layer in self.layers[:-1] if layer.after)]


def fraction_of(scale: float, where: str) -> int:
    """The fraction bits of a scale.

    Raises:
      InputError: it is not a power of two.
    """
    mantissa, exponent = math.frexp(scale) if math.isfinite(scale) else (0.0, 0)
    if mantissa != 0.5:
        raise InputError(
            f"{where}: expected a scale that is a power of two, found {scale:g}; quantise again "
            "with one, as other scales need multipliers and are not exact"
        )
    return 1 - exponent


def bits(k: np.ndarray | int) -> np.ndarray:
    """Bits of the magnitude of integers, 0 of 0."""
    return np.frexp(np.abs(np.asarray(k, np.float64)))[1]


def accumulators(network: Network) -> list[Grid]:
    """The grid of the sums of each layer, wide enough for every input and every partial sum."""
    found = []
    for grid, layer in zip(network.grids(), network.layers, strict=True):
        fraction = max(grid.fraction + layer.weight_grid.fraction, layer.bias_grid.fraction)
        shift = fraction - grid.fraction - layer.weight_grid.fraction
        largest = max(-grid.ends[0], grid.ends[1])
        sums = np.abs(layer.weight).sum(axis=0, dtype=np.int64) * largest << shift
        sums = sums + (np.abs(layer.bias) << (fraction - layer.bias_grid.fraction))
        found.append(Grid(fraction, int(bits(sums.max())) + 1, True))
    return found


def require_exact(network: Network, where: str) -> None:
    """Refuse sums that float32 would round.

    Raises:
      InputError: an accumulator of more than ``EXACT`` bits beside its sign.
    """
    for number, grid in enumerate(accumulators(network)):
        if grid.bits - 1 > EXACT:
            raise InputError(
                f"{where}: expected accumulators of at most {EXACT} bits and a sign, found "
                f"{grid.text} in layer {number}, whose sums float32 rounds; train with a larger "
                "curve.costs, or fewer bits or inputs"
            )


def execute(network: Network, x: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Answers (events, m) float64 of inputs (events, n), and the values beyond the ends by grid."""
    k, beyond = network.inputs.of(x)
    overflow = [beyond]
    for grid, layer, total in zip(
        network.grids(), network.layers, accumulators(network), strict=True
    ):
        shift = total.fraction - grid.fraction - layer.weight_grid.fraction
        sums = (k @ layer.weight.astype(np.int64)) << shift
        sums = sums + (layer.bias.astype(np.int64) << (total.fraction - layer.bias_grid.fraction))
        value = sums * total.scale
        if layer.after is None:
            return value, overflow
        k, beyond = layer.after.of(np.maximum(value, 0.0))
        overflow.append(beyond)
    raise AssertionError("a network ends with a layer without a grid")


def on_grid(values: np.ndarray) -> tuple[np.ndarray, Grid]:
    """Integers of numbers that are on some grid, and the narrowest signed one that has them all.

    Raises:
      InputError: numbers that need more than 24 fraction bits.
    """
    values = np.asarray(values, np.float64)
    k = values * 2.0**EXACT
    if not np.array_equal(k, np.rint(k)) or np.abs(k).max(initial=0.0) >= 2.0**62:
        raise InputError(
            f"weights: expected numbers of at most {EXACT} fraction bits, found finer or larger"
        )
    steps = k.astype(np.int64)
    together = int(np.bitwise_or.reduce(np.abs(steps).reshape(-1), initial=0))
    spare = (together & -together).bit_length() - 1 if together else EXACT
    steps = steps >> spare
    return steps, Grid(EXACT - spare, int(bits(np.abs(steps).max(initial=0))) + 1, True)
