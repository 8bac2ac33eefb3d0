"""The tasks of trigger networks: inputs and classes of each, and the densities of the toys."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from hepjax import InputError

PIXELS = (13, 21)
"""Pixels of a cluster along y (bending plane) and x."""
PITCH = (12.5, 50.0)
"""um, along y and x."""
PT_CUT = 0.2
"""GeV, between hard and soft tracks of smart pixels."""
OBJECTS = ("met", *(f"egamma{k}" for k in range(4)), *(f"muon{k}" for k in range(4)),
           *(f"jet{k}" for k in range(10)))  # fmt: skip
"""Objects of the anomaly task, each with pt, eta and phi."""


@dataclass(frozen=True)
class Task:
    """Columns of the inputs, and the classes."""

    inputs: tuple[str, ...]
    classes: tuple[str, ...]
    units: tuple[str, ...] = ()
    """Of each input; none: 1."""
    anomaly: bool = False
    """The first class is the background, and alone trains."""

    def unit(self, name: str) -> str:
        """The unit of an input."""
        return dict(zip(self.inputs, self.units, strict=False)).get(name, "1")


_OBSERVABLES = (
    "zlogz", "c1_b0_mmdt", "c1_b1_mmdt", "c1_b2_mmdt", "c2_b1_mmdt", "c2_b2_mmdt", "d2_b1_mmdt",
    "d2_b2_mmdt", "d2_a1_b1_mmdt", "d2_a1_b2_mmdt", "m2_b1_mmdt", "m2_b2_mmdt", "n2_b1_mmdt",
    "n2_b2_mmdt", "mass_mmdt", "multiplicity",
)  # fmt: skip
"""As the OpenML data set hls4ml_lhc_jets_hlf names them."""
_TOY = tuple(f"x{k}" for k in range(16)), tuple(f"c{k}" for k in range(5))
TASKS = {
    "toy": Task(*_TOY),
    "linear": Task(*_TOY),
    "jets": Task(_OBSERVABLES, ("g", "q", "t", "w", "z"), ("1",) * 14 + ("GeV", "1")),
    "anomaly": Task(
        tuple(f"{o}_{v}" for o in OBJECTS for v in ("pt", "eta", "phi")),
        ("sm", "a4l", "lqbtau", "h0tautau", "hpmtaunu"), ("GeV", "1", "rad") * len(OBJECTS), True,
    ),
    "pixels": Task(
        (*(f"profile{k}" for k in range(PIXELS[0])), "y_local"),
        ("hard", "soft_plus", "soft_minus"),
        ("electrons",) * PIXELS[0] + ("mm",),
    ),
}  # fmt: skip


def task(name: str) -> Task:
    """The task of that name.

    Raises:
      InputError: there is none.
    """
    if name not in TASKS:
        raise InputError(f"task: expected one of {', '.join(TASKS)}, found {name!r}")
    return TASKS[name]


@dataclass(frozen=True)
class Mixture:
    """Normal distributions of equal weight, one a class: x = mean + spread @ (normal numbers)."""

    mean: np.ndarray
    """(classes, k)."""
    spread: np.ndarray
    """(classes, k, k)."""

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """(n, classes) of points (n, k), without the constant that all classes share."""
        found = []
        for mean, spread in zip(self.mean, self.spread, strict=True):
            normal = np.linalg.solve(spread, (x.astype(np.float64) - mean).T)
            found.append(-0.5 * (normal**2).sum(0) - np.linalg.slogdet(spread)[1])
        return np.stack(found, axis=1)

    def posterior(self, x: np.ndarray) -> np.ndarray:
        """(n, classes) probability of each class: no classifier does better than its largest."""
        log = self.log_density(x)
        p = np.exp(log - log.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)


SPACING = {"toy": 0.35, "linear": 0.445}
"""Standard deviation of the coordinates of class means, in units of the spread of a class."""


@cache
def mixture(name: str) -> Mixture:
    """The densities of a toy: ``linear`` has one spread for all classes, so that the best boundary
    is linear; in ``toy`` each class has its own and the boundaries are quadrics."""
    size, classes = len(TASKS[name].inputs), len(TASKS[name].classes)
    rng = np.random.default_rng(20260 + sorted(SPACING).index(name))
    mean = rng.normal(0.0, SPACING[name], (classes, size))
    spread = np.tile(np.eye(size), (classes, 1, 1))
    if name == "toy":
        for k in range(classes):
            turn = np.linalg.qr(rng.normal(size=(size, size)))[0]
            spread[k] = turn * np.exp(rng.normal(0.0, 0.3, size))
    return Mixture(mean, spread)
