"""Toy collisions where Pythia is not installed: hadrons with plausible spectra, and no physics.

No matrix element, parton shower or colour. Soft particles have the multiplicity, rapidity and pT
spectra of minimum bias in Pythia; jets are such hadrons around an axis. Files of toy events say
"toy" in their name and metadata.
"""

from collections.abc import Callable, Iterator

import numpy as np

from hepjax import InputError
from hepjax.simulate.collisions.particles import Particles, concatenate, particles

PION, PI0 = 211, 111
HADRONS = {  # code: charge (either sign is drawn), mass in GeV, share
    PION: (1, 0.1396, 0.500), PI0: (0, 0.1350, 0.305), 321: (1, 0.4937, 0.062),
    130: (0, 0.4976, 0.031), 310: (0, 0.4976, 0.030), 2212: (1, 0.9383, 0.036),
    2112: (0, 0.9396, 0.036),
}  # fmt: skip
"""Species and shares of the hadrons of minimum bias in Pythia 8.317 at 14 TeV."""
_CODE = np.array(list(HADRONS))
_CHARGE, _MASS, _SHARE = np.array(list(HADRONS.values())).T
SOFT_MEAN, SOFT_SHAPE = 139.0, 1.6
"""Mean number of soft hadrons of a minimum-bias event, and shape of its gamma distribution."""
UNDERLYING_MEAN, UNDERLYING_SHAPE = 280.0, 6.0
"""The same for the underlying event of a hard collision."""
RAPIDITY_SCALE = 6.2
"""Soft hadrons are spread as exp(-|y / 6.2|^3)."""
TEMPERATURE, POWER = 0.145, 6.8
"""GeV and exponent of the soft spectrum (1 + (mT - m) / (n T))^-n pT dpT (Tsallis, Hagedorn)."""
KT = 0.35
"""GeV, spread of hadrons across the axis of a jet, in each direction."""
TOP_MASS, W_MASS = 172.5, 80.4

FourMomentum = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def toy_collisions(process: str, seed: int) -> Iterator[Particles]:
    """An endless sequence of toy events: ``minbias``, ``qcd`` or ``ttbar``.

    Raises:
      InputError: another process.
    """
    makers: dict[str, Callable[[np.random.Generator], Particles]] = {
        "minbias": _minimum_bias,
        "qcd": _dijet,
        "ttbar": _top_pair,
    }
    if process not in makers:
        raise InputError(f"process: expected one of {', '.join(makers)}, found {process!r}")
    rng = np.random.default_rng([seed, *process.encode()])
    while True:
        yield makers[process](rng)


def soft_hadrons(count: int, rng: np.random.Generator) -> Particles:
    """Hadrons of a collision without hard scattering, neutral pions decayed."""
    kind = rng.choice(len(_CODE), count, p=_SHARE / _SHARE.sum())
    mass, scale = _MASS[kind], POWER * TEMPERATURE
    # In w = mT - m the spectrum is (w + m)(1 + w/s)^-n: a mixture of two beta-prime distributions.
    linear = rng.random(count) * (mass * (POWER - 2.0) + scale) < scale
    first = 1.0 + linear
    w = scale * rng.gamma(first) / rng.gamma(POWER - first)
    pt, mt = np.sqrt(w * (w + 2.0 * mass)), w + mass
    y = RAPIDITY_SCALE * np.cbrt(rng.gamma(1.0 / 3.0, size=count)) * rng.choice([-1.0, 1.0], count)
    phi = rng.uniform(-np.pi, np.pi, count)
    return _decayed(
        kind, (pt * np.cos(phi), pt * np.sin(phi), mt * np.sinh(y), mt * np.cosh(y)), rng
    )


def jet(axis: FourMomentum, rng: np.random.Generator) -> Particles:
    """Hadrons that share the momentum of one parton, all components of shape (1,)."""
    momentum = np.concatenate(axis[:3])
    length = float(np.linalg.norm(momentum))
    pt = np.hypot(momentum[0], momentum[1])
    count = 2 + rng.poisson(6.0 * np.log(1.0 + pt / 3.0))
    kind = rng.choice(len(_CODE), count, p=_SHARE / _SHARE.sum())
    along = length * rng.dirichlet(np.full(count, 0.7))
    across = rng.normal(0.0, KT, (count, 3))
    direction = momentum / length
    across -= (across @ direction)[:, None] * direction
    px, py, pz = (along[:, None] * direction + across).T
    return _decayed(kind, (px, py, pz, np.sqrt(px**2 + py**2 + pz**2 + _MASS[kind] ** 2)), rng)


def two_body(
    parent: FourMomentum, masses: tuple[float, float], rng: np.random.Generator
) -> tuple[FourMomentum, FourMomentum]:
    """Isotropic decay of each parent (n,) into two particles of these masses."""
    px, py, pz, energy = parent
    mass = np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, sum(masses) ** 2))
    e1 = (mass**2 + masses[0] ** 2 - masses[1] ** 2) / (2.0 * mass)
    p = np.sqrt(np.maximum(e1**2 - masses[0] ** 2, 0.0))
    cos = rng.uniform(-1.0, 1.0, len(px))
    phi = rng.uniform(-np.pi, np.pi, len(px))
    sin = np.sqrt(1.0 - cos**2)
    inner = np.stack([p * sin * np.cos(phi), p * sin * np.sin(phi), p * cos])
    boost = np.stack([px, py, pz]) / mass
    gamma = energy / mass
    dot = (boost * inner).sum(axis=0)
    x1, y1, z1 = inner + boost * (dot / (gamma + 1.0) + e1)
    first = (x1, y1, z1, gamma * e1 + dot)
    return first, (px - x1, py - y1, pz - z1, energy - first[3])


def _minimum_bias(rng: np.random.Generator) -> Particles:
    return soft_hadrons(1 + rng.poisson(rng.gamma(SOFT_SHAPE, SOFT_MEAN / SOFT_SHAPE)), rng)


def _dijet(rng: np.random.Generator) -> Particles:
    """Two jets back to back, pT above 20 GeV and falling as the 4.5th power."""
    pt = np.full(1, 20.0 * (1.0 - rng.random()) ** (-1.0 / 3.5))
    phi = rng.uniform(-np.pi, np.pi)
    axes = []
    for angle in (phi, phi + np.pi):
        pz = pt * np.sinh(rng.normal(0.0, 1.8))
        axes.append((pt * np.cos(angle), pt * np.sin(angle), pz, np.hypot(pt, pz)))
    return _with_underlying([jet(axis, rng) for axis in axes], rng)


def _top_pair(rng: np.random.Generator) -> Particles:
    """Two tops back to back, each to b q q' (two in three) or b lepton neutrino."""
    pt = np.full(1, rng.gamma(2.2, 55.0))
    phi = rng.uniform(-np.pi, np.pi)
    parts = []
    for sign, angle in ((1, phi), (-1, phi + np.pi)):
        mt = np.hypot(pt, TOP_MASS)
        y = rng.normal(0.0, 1.0)
        top = (pt * np.cos(angle), pt * np.sin(angle), mt * np.sinh(y), mt * np.cosh(y))
        w, b = two_body(top, (W_MASS, 4.8), rng)
        first, second = two_body(w, (0.0, 0.0), rng)
        parts.append(jet(b, rng))
        if rng.random() < 2.0 / 3.0:
            parts += [jet(first, rng), jet(second, rng)]
        else:
            code = int(rng.choice([11, 13]))
            parts.append(particles(np.array([-sign * code]), np.array([sign]), first))
            parts.append(particles(np.array([sign * (code + 1)]), np.zeros(1), second))
    return _with_underlying(parts, rng)


def _with_underlying(parts: list[Particles], rng: np.random.Generator) -> Particles:
    mean = rng.gamma(UNDERLYING_SHAPE, UNDERLYING_MEAN / UNDERLYING_SHAPE)
    return concatenate([*parts, soft_hadrons(rng.poisson(mean), rng)])


def _decayed(kind: np.ndarray, momentum: FourMomentum, rng: np.random.Generator) -> Particles:
    """Hadrons with a sign of the charge, neutral pions as two photons each."""
    neutral = _CODE[kind] == PI0
    sign = rng.choice([-1, 1], len(kind))
    charge = (sign * _CHARGE[kind])[~neutral].astype(int)
    code = _CODE[kind][~neutral]
    pairs = two_body(tuple(p[neutral] for p in momentum), (0.0, 0.0), rng)
    n = int(neutral.sum())
    code = np.concatenate([np.where(charge == 0, code, charge * code), np.full(2 * n, 22)])
    stacked = [
        np.concatenate([p[~neutral], a, b]) for p, a, b in zip(momentum, *pairs, strict=True)
    ]
    return particles(code, np.concatenate([charge, np.zeros(2 * n)]), stacked)
