"""Jets of gluons, light quarks, top quarks, W and Z of about 1 TeV, and their 16 observables.

Prongs of the decays end in particles by the toy shower of the tagger's toy jets; each particle is
smeared. Shapes are about right only: nothing learnt on them holds for real jets.
"""

from collections.abc import Callable

import numpy as np

from hepjax.formats.trigger.tables import Events
from hepjax.formats.trigger.tasks import TASKS
from hepjax.ops.substructure import observables
from hepjax.simulate.jets.toy import TOP_MASS, W_MASS, Shower, along, decay, split

PT = (800.0, 1200.0)
"""GeV, flat."""
RADIUS = 0.8
Z_MASS = 91.19
WIDTHS = {W_MASS: 2.1, Z_MASS: 2.5}
"""GeV, of the Breit-Wigner shapes of W and Z."""
SMEARING = 0.08
"""Relative error of the pT of a particle."""
PT_MIN = 1.0
"""GeV, of a particle that is seen."""
MOST = 36
"""Particles of a jet, hardest first; the sums over triples grow with the third power."""


def jets(count: int, rng: np.random.Generator) -> Events:
    """Jets of the five classes in equal parts and mixed order."""
    label = rng.permutation(np.arange(count) % 5).astype(np.int32)
    pt, eta, phi, multiplicity = _particles(label, rng)
    found = observables(pt, eta, phi) | {"multiplicity": multiplicity}
    inputs = np.stack([found[name] for name in TASKS["jets"].inputs], axis=1)
    return Events(inputs.astype(np.float32), label)


def _particles(label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """pT, eta and phi (jets, MOST), padded with 0, and the number of all particles (jets,)."""
    n = len(label)
    pt = rng.uniform(*PT, n)
    done = split(_prongs(label, pt, rng), rng)
    seen_pt = done.pt * np.exp(rng.normal(0.0, SMEARING, len(done.pt)))
    seen = (seen_pt > PT_MIN) & (np.hypot(done.eta, done.phi) < RADIUS)
    order = np.lexsort((-seen_pt[seen], done.jet[seen]))
    jet = done.jet[seen][order]
    number = np.bincount(jet, minlength=n)
    place = np.arange(len(jet)) - np.repeat(np.cumsum(number) - number, number)
    kept = place < MOST
    made = []
    for values in (seen_pt, done.eta, done.phi):
        array = np.zeros((n, MOST), np.float32)
        array[jet[kept], place[kept]] = values[seen][order][kept]
        made.append(array)
    return (*made, number)


def _prongs(label: np.ndarray, pt: np.ndarray, rng: np.random.Generator) -> Shower:
    """The partons of each jet: one, or the products of a decay."""
    makers: dict[int, Callable[[np.ndarray, np.random.Generator], list[np.ndarray]]] = {
        2: _top, 3: lambda pt, rng: _boson(pt, W_MASS, rng),
        4: lambda pt, rng: _boson(pt, Z_MASS, rng),
    }  # fmt: skip
    single = np.flatnonzero(label < 2)
    zero = np.zeros(len(single))
    parts = [Shower(single, pt[single], zero, zero, zero + RADIUS, label[single] == 0, zero)]
    for kind, make in makers.items():
        rows = np.flatnonzero(label == kind)
        prongs = make(pt[rows], rng)
        opening = np.max([_angles(p)[0] for p in prongs], axis=0)
        for prong in prongs:
            angle, turn = _angles(prong)
            none = np.zeros(len(rows))
            parts.append(Shower(
                rows, np.maximum(prong[0], 1.0), angle * np.cos(turn), angle * np.sin(turn),
                np.minimum(opening, RADIUS), none > 0, none,
            ))  # fmt: skip
    return Shower(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _angles(prong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angle to the axis and azimuth around it of momenta (4, n)."""
    return np.arctan2(np.hypot(prong[1], prong[2]), prong[3]), np.arctan2(prong[2], prong[1])


def _top(pt: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    b, w = decay(along(pt, TOP_MASS), (0.0, W_MASS), rng)
    return [b, *decay(w, (0.0, 0.0), rng)]


def _boson(pt: np.ndarray, mass: float, rng: np.random.Generator) -> list[np.ndarray]:
    shape = mass + 0.5 * WIDTHS[mass] * np.tan(0.45 * np.pi * rng.uniform(-1.0, 1.0, len(pt)))
    return list(decay(along(pt, shape), (0.0, 0.0), rng))
