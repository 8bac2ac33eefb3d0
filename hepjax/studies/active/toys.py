"""A search for new particles whose exclusion contour is known: two masses, or two couplings more.

Pairs of a particle of mass ``m1`` decay to one of mass ``m2``. The cross-section falls with
``m1``, the efficiency where the masses are close. A point is excluded where more events would be
seen than the 95 % CLs limit allows. The simulator counts how many of 2,000 events pass, so its
answers are noisy as a simulation is; the truth is a formula.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from scipy import optimize, stats

from hepjax.studies.active import gaussian
from hepjax.studies.active.command import Answer
from hepjax.studies.space import Axis, Space

LUMINOSITY = 140.0
"""1/fb."""
BACKGROUND = 10
"""Expected and observed events."""
CROSS_SECTION, FALL = 2000.0, 140.0
"""fb at no mass, and the mass in GeV in which it falls by e."""
EFFICIENCY, GAP, SOFTNESS = 0.35, 300.0, 80.0
"""Of large mass differences; the difference, and its width, GeV, where it falls."""
EVENTS = 2000
"""Simulated at a point."""
CLIP = 2.0
"""Largest distance of a value from the contour: far from it only the side matters."""
AXES = (
    Axis("m1", 400.0, 2400.0), Axis("ratio", 0.0, 1.0), Axis("coupling", 0.3, 1.0),
    Axis("cos2", 0.25, 1.0),
)  # fmt: skip
"""GeV, m2/m1, and two factors of the rate: a coupling (squared) and a mixing angle."""


class Toy(NamedTuple):
    """A toy of the first ``size`` axes."""

    name: str
    size: int

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Its parameters."""
        return AXES[: self.size]


TOYS = {"toy/2d": Toy("toy/2d", 2), "toy/4d": Toy("toy/4d", 4)}


def events_excluded(background: int = BACKGROUND) -> float:
    """Signal events excluded at 95 % CLs of a counting experiment that sees its background.

    CLs = P(n <= b | s + b) / P(n <= b | b) = 0.05 (Read, J. Phys. G 28 (2002) 2693).
    """
    alone = stats.poisson.cdf(background, background)

    def excess(signal: float) -> float:
        return float(stats.poisson.cdf(background, signal + background) / alone - 0.05)

    return float(optimize.brentq(excess, 0.1, 100.0))


def _rate_and_efficiency(x: Array) -> tuple[Array, Array]:
    """Events before selection, and the efficiency, at shares (..., d) of the ranges."""
    values = [axis.low + x[..., k] * (axis.high - axis.low) for k, axis in
              enumerate(AXES[: x.shape[-1]])]  # fmt: skip
    m1, ratio = values[:2]
    rate = LUMINOSITY * CROSS_SECTION * jnp.exp(-m1 / FALL)
    if len(values) == 4:
        rate = rate * values[2] ** 2 * values[3]
    efficiency = EFFICIENCY * jax.nn.sigmoid((m1 * (1 - ratio) - GAP) / SOFTNESS)
    return rate, efficiency


def _value(rate: Array, efficiency: Array) -> Array:
    ratio = events_excluded() / jnp.maximum(rate * efficiency, 1e-30)
    return jnp.clip(jnp.log10(ratio), -CLIP, CLIP)


def truth(x: Array) -> Array:
    """log10 of excluded over expected events (...,), 0 on the contour; x (..., d) in shares."""
    return _value(*_rate_and_efficiency(x))


def simulate(key: Array, x: Array) -> tuple[Array, Array]:
    """The same from ``EVENTS`` simulated events, with its standard deviation: (...,) each."""
    rate, efficiency = _rate_and_efficiency(x)
    # Drawn one by one: jax.random.binomial takes seconds to compile.
    passed = (jax.random.uniform(key, (*efficiency.shape, EVENTS)) < efficiency[..., None]).sum(-1)
    measured = passed / EVENTS
    y = _value(rate, measured)
    relative = jnp.sqrt((1 - measured) / jnp.maximum(passed, 1.0))
    return y, jnp.where(jnp.abs(y) < CLIP, relative / jnp.log(10.0), 0.0)


def shares(axes: Space, x: Array) -> Array:
    """Places (..., d) in shares of other ranges, in those of the toy and in its order."""
    order = [[axis.key for axis in axes].index(own.key) for own in AXES[: len(axes)]]
    values = [axes[k].low + x[..., k] * (axes[k].high - axes[k].low) for k in order]
    return jnp.stack(
        [(v - a.low) / (a.high - a.low) for v, a in zip(values, AXES, strict=False)], -1
    )


def answer(params: dict[str, Any], seed: int, number: int) -> Answer:
    """The simulation of a point of a study."""
    with gaussian.double():
        x = jnp.array([axis.share(params[axis.key]) for axis in AXES[: len(params)]])
        y, error = simulate(jax.random.fold_in(jax.random.key(seed), number), x)
        return Answer(float(y), float(error))
