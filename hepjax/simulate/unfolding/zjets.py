"""Toy jets beside a Z boson, true and measured, as arrays of the published Z+jets layout.

The shower is that of the toy jets (simulate/jets/toy.py); particles are lost and smeared one by
one. Two settings stand for nature and for its simulation. Shapes are about those of jets, and
nothing learnt on them holds for real ones.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hepjax.simulate.jets.toy import falling, quark_or_gluon, split
from hepjax.simulate.unfolding.shapes import MOST_PARTICLES, RADIUS, Particles, shapes

AT_A_TIME = 2048
"""Jets; each such piece has a random stream of its own."""
PT_MIN = 200.0
"""Of the jets in the phase space and of those that are reconstructed, GeV."""
PT_RANGE = 180.0, 1000.0
"""Of the partons, GeV."""
CHARGED, PHOTON, NEUTRAL = 0.1, 0.0, 0.4
"""Codes of particles over ten, as the layout writes identities: pions, photons, neutral hadrons."""
IDENTITIES = np.array([CHARGED, PHOTON, NEUTRAL], np.float32)
SHARES = 0.6, 0.27, 0.13
SOFTEST = 0.5
"""GeV; softer particles are not measured."""
ANGLE = 0.006, 0.02, 0.04
"""rad; resolution of the direction, by identity."""
RESOLUTION = (0.02, 0.0), (0.03, 0.15), (0.08, 0.6)
"""Constant and stochastic (sqrt GeV) terms of the relative resolution of pt, by identity."""
EFFICIENCY = 0.92, 0.95, 0.9


class Jets(NamedTuple):
    """Settings of a generator."""

    power: float
    """Of the falling spectrum of pt."""
    gluons: float
    """Share of jets of gluons."""
    rates: dict[bool, float]
    """Splittings per factor of ten in angle, of quarks and of gluons."""


NATURE = Jets(4.3, 0.42, {False: 3.1, True: 5.9})
SIMULATION = Jets(4.0, 0.33, {False: 2.8, True: 5.4})


def zjets(settings: Jets, events: int, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """Arrays of the layout in formats/unfolding/npz.py, ``AT_A_TIME`` jets at a time.

    With ``gen_pass`` and ``sim_pass``: jets above ``PT_MIN`` at either level.
    """
    for start in range(0, events, AT_A_TIME):
        n = min(AT_A_TIME, events - start)
        rng = np.random.default_rng([seed, start])
        pt = falling(*PT_RANGE, settings.power, rng.random(n))
        gluon = (rng.random(n) < settings.gluons).astype(np.int32)
        shower = split(quark_or_gluon(gluon, pt, rng), rng, settings.rates)
        axis = rng.uniform(-2.0, 2.0, n), rng.uniform(-np.pi, np.pi, n)
        identity = rng.choice(3, len(shower.pt), p=SHARES)
        true = Particles(shower.jet, shower.pt, shower.eta, shower.phi, IDENTITIES[identity])
        found: dict[str, np.ndarray] = {}
        for level, particles in (("gen", true), ("sim", measured(true, identity, rng))):
            arrays = shapes(particles, *axis)
            found |= {f"{level}_{name}": values for name, values in arrays.items()}
            found[f"{level}_pass"] = arrays["jets"][:, 0] > PT_MIN
        yield found


def measured(true: Particles, identity: np.ndarray, rng: np.random.Generator) -> Particles:
    """The particles that a detector sees: some are lost, momenta and directions smeared."""
    constant, stochastic = np.array(RESOLUTION)[identity].T
    sigma = np.hypot(constant, stochastic / np.sqrt(true.pt))
    pt = true.pt * np.exp(rng.normal(0.0, 1.0, len(sigma)) * sigma - 0.5 * sigma**2)
    angle = np.array(ANGLE)[identity]
    y, phi = (x + rng.normal(0.0, 1.0, len(x)) * angle for x in (true.y, true.phi))
    seen = (rng.random(len(pt)) < np.array(EFFICIENCY)[identity]) & (pt > SOFTEST)
    return Particles(true.jet[seen], pt[seen], y[seen], phi[seen], true.identity[seen])


__all__ = ["MOST_PARTICLES", "NATURE", "RADIUS", "SIMULATION", "Jets", "zjets"]
