"""S2 pulses and their anomalies, compiled: electrons by diffusion, light in the gas, photosensors.

Electrons of each sample are a Poisson number around a Gaussian, their light in each sample a
Poisson number around what they emit while they cross the gas, its charge normal around that. Pulse
``k`` of a seed is always the same.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.formats.waveforms.layout import DETECTOR, FULL_SCALE, KINDS, Detector
from hepjax.ops.poisson import poisson
from hepjax.ops.pulses import arrivals, delayed, light, two_over_one

MARGIN = 128
"""Samples beside the window, for the pulse to be centred."""
AT_ONCE = 1024
SEPARATION = 1.5, 3.2
"""Widths between two scatters."""
SHARE = 0.25, 0.75
"""Of the charge, in the second one."""
TRAIN_SHARE, TRAIN_US = 0.35, 2.5
S1_SHARE, S1_US, S1_EARLIER_US = 0.08, 0.03, (0.5, 2.5)
CLIP = 0.55
JUMP = 0.5, 2.0
"""Of the baseline, in units of the noise."""


Array = jax.Array | np.ndarray


class Pulses(NamedTuple):
    """Simulated pulses: counts (n, samples) int16, and what they were made with, (n,) each."""

    waveform: Array
    kind: Array
    drift_time: Array
    """us."""
    electrons: Array
    """Mean number, without those of a train."""
    separation: Array
    """Samples between two scatters; of other kinds what it would have been."""
    fraction: Array
    """Of the charge in the second one, likewise."""
    ratio: Array
    """Logarithm of the likelihood ratio of two scatters to one, for the electrons themselves."""
    shift: Array
    """Samples by which the window was moved."""


def one_pulse(
    key: jax.Array, kind: jax.Array, detector: Detector = DETECTOR
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """A pulse of a kind (number in ``KINDS``): photoelectrons (samples + 2 ``MARGIN``,), not yet
    centred, and what it was made with, the fields of ``Pulses``."""
    k = iter(jax.random.split(key, 13))
    d, us, grid = detector, detector.sample_us, detector.samples + 2 * MARGIN

    def flat(low: float, high: float) -> jax.Array:
        return jax.random.uniform(next(k), minval=low, maxval=high)

    def of(name: str) -> jax.Array:
        return kind == KINDS.index(name)

    electrons = jnp.exp(flat(*map(float, np.log(d.electrons))))
    drift = flat(*d.drift_us)
    width = jnp.sqrt(2 * d.diffusion * drift * 1e-6) / d.velocity / us
    transit = jnp.where(of("gas"), round(d.gas_transit_us / us), round(d.transit_us / us))
    separation = flat(*SEPARATION) * jnp.hypot(width, d.transit_us / us / 12**0.5)
    fraction, extra = flat(*SHARE), flat(0.0, 1.0)
    diffused, width = width, jnp.where(of("gas"), 0.0, width)
    second = jnp.where(of("multi"), fraction, 0.0)
    # Diffusion blurs where in a sample a pulse lies; without it that is a matter of chance.
    centre = grid / 2 - transit / 2 + jnp.where(of("gas"), flat(-0.5, 0.5), 0.0)
    first = centre - second * separation
    shares = (1 - second) * arrivals(first, width, grid)
    shares += second * arrivals(first + separation, width, grid)
    train = delayed(centre, width, TRAIN_US / us, grid)
    shares += jnp.where(of("train"), TRAIN_SHARE, 0.0) * train
    number = poisson(next(k), electrons * shares)
    ratio = two_over_one(number, centre, diffused, separation, fraction)
    spread = d.gain_spread * jnp.sqrt(number) * jax.random.normal(next(k), number.shape)
    rate = d.photons * light(jnp.maximum(number + spread, 0.0), transit)
    earlier = (S1_EARLIER_US[0] + extra * (S1_EARLIER_US[1] - S1_EARLIER_US[0])) / us
    s1 = arrivals(grid / 2 - earlier, jnp.float32(S1_US / us), grid)
    rate += jnp.where(of("s1merge"), S1_SHARE, 0.0) * d.photons * electrons * s1
    found = poisson(next(k), rate)
    charge = found + d.spe * jnp.sqrt(found) * jax.random.normal(next(k), found.shape)
    charge = jnp.where(of("sat"), jnp.minimum(charge, CLIP * charge.max()), charge)
    size = jnp.where(extra < 0.5, -1.0, 1.0) * flat(*JUMP) * d.noise
    jump = size * (jnp.arange(grid) >= flat(0.0, 1.0) * grid)
    charge += jnp.where(of("baseline"), jump, 0.0)
    charge += d.noise * jax.random.normal(next(k), charge.shape)
    return charge, {
        "kind": kind, "drift_time": drift, "electrons": electrons, "separation": separation,
        "fraction": fraction, "ratio": ratio,
    }  # fmt: skip


def centred(charge: jax.Array, samples: int) -> tuple[jax.Array, jax.Array]:
    """The ``samples`` around the median of the charge, and by how many the window was moved."""
    total = jnp.cumsum(charge)
    middle = jnp.argmax(total >= total[-1] / 2)
    shift = jnp.clip(middle - len(charge) // 2, -MARGIN, MARGIN)
    start = len(charge) // 2 - samples // 2 + shift
    return jax.lax.dynamic_slice(charge, (start,), (samples,)), shift


@functools.partial(jax.jit, static_argnames="detector")
def pulses(
    seed: jax.Array, number: jax.Array, kind: jax.Array, detector: Detector = DETECTOR
) -> Pulses:
    """Pulses ``number`` (n,) of a seed; for programs that go on with them on the device."""

    def one(number: jax.Array, kind: jax.Array) -> Pulses:
        key = jax.random.fold_in(jax.random.key(seed), number)
        charge, truth = one_pulse(key, kind, detector)
        window, shift = centred(charge, detector.samples)
        counts = jnp.clip(jnp.round(window / detector.count), -FULL_SCALE - 1, FULL_SCALE)
        return Pulses(counts.astype(jnp.int16), **truth, shift=shift)

    return jax.vmap(one)(number, kind)


def simulate_pulses(
    kinds: np.ndarray, seed: int, first: int = 0, detector: Detector = DETECTOR
) -> Iterator[Pulses]:
    """Pulses of these kinds (n,), ``AT_ONCE`` at a time, numbered from ``first`` on."""
    for start in range(0, len(kinds), AT_ONCE):
        part = np.asarray(kinds[start : start + AT_ONCE], np.int32)
        rows = np.arange(AT_ONCE if len(kinds) > AT_ONCE else len(part))
        number = (first + start + rows).astype(np.int32)
        padded = part[np.minimum(rows, len(part) - 1)]  # one shape, one compilation
        made = jax.device_get(pulses(np.int32(seed), number, padded, detector))
        yield Pulses(*(values[: len(part)] for values in made))
