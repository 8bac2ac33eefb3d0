"""Whole collisions as the anomaly trigger sees them: 19 objects with pT, eta and phi.

Parametrised: W, Z, QCD and top events in the published mixture, and four signals. A particle from
a decay is thrown in its frame and boosted; neutrinos and the error of the recoil make the missing
momentum. Spectra are rough; rates, thresholds and the order of objects are what matters here.
"""

from typing import NamedTuple

import numpy as np

from hepjax.formats.trigger.tables import Events

MIXTURE = {"w": 0.592, "qcd": 0.338, "z": 0.067, "tt": 0.003}
"""Of the standard model, with a lepton or jets above threshold."""
SIGNALS = ("a4l", "lqbtau", "h0tautau", "hpmtaunu")
MASSES = {"w": 80.4, "z": 91.2, "a4l": 50.0, "lqbtau": 80.0, "h0tautau": 60.0, "hpmtaunu": 60.0}
"""GeV."""
THRESHOLDS = {"egamma": 3.0, "muon": 3.0, "jet": 15.0}
"""GeV."""
LEPTON = 23.0
"""GeV, the least pT of the first electron or muon: published events have one."""
ROOM = {"egamma": 4, "muon": 4, "jet": 10}
FIRST = {"egamma": 3, "muon": 15, "jet": 27}
"""Columns with the pT of the first object."""
ETA = {"egamma": 3.0, "muon": 2.1, "jet": 4.0}
RESOLUTION = {"egamma": 0.05, "muon": 0.1, "jet": 0.2}
"""Relative, of pT."""
TAU_VISIBLE = 0.55
"""Mean share of the momentum of a tau that is seen."""


class Parts(NamedTuple):
    """Objects of many events before thresholds, (k,) arrays."""

    event: np.ndarray
    kind: np.ndarray
    """0 e/gamma, 1 muon, 2 jet, 3 unseen."""
    px: np.ndarray
    py: np.ndarray
    pz: np.ndarray


def collisions(signal: bool, count: int, rng: np.random.Generator) -> Events:
    """Events of the standard model, or of the signals in equal parts, with a lepton above
    ``LEPTON``."""
    names = list(SIGNALS if signal else MIXTURE)
    if signal:
        which = np.arange(count) % len(names)
    else:
        which = rng.choice(len(names), count, p=list(MIXTURE.values()))
    inputs = np.zeros((count, 57), np.float32)
    for number, name in enumerate(names):
        rows = np.flatnonzero(which == number)
        inputs[rows] = _selected(name, len(rows), rng)
    label = which + 1 if signal else np.zeros(count, int)
    return Events(inputs, label.astype(np.int32))


def mixed(parts: list[Events], rng: np.random.Generator) -> Events:
    """Events of several samples in random order."""
    labels = [part.label for part in parts if part.label is not None]
    order = rng.permutation(sum(map(len, labels)))
    inputs = np.concatenate([part.inputs for part in parts])
    return Events(inputs[order], np.concatenate(labels)[order])


def _selected(name: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Inputs (count, 57) of one process: drawn until so many have their lepton."""
    kept, missing = [np.zeros((0, 57), np.float32)], count
    while missing > 0:
        drawn = 2 * missing + 100
        parts = [_soft(drawn, rng), *_hard(name, np.arange(drawn), rng)]
        joined = Parts(*(np.concatenate(values) for values in zip(*parts, strict=True)))
        inputs = _seen(joined, drawn, rng)
        leptons = inputs[:, [FIRST["egamma"], FIRST["muon"]]].max(axis=1)
        inputs = inputs[leptons > LEPTON][:missing]
        kept.append(inputs)
        missing -= len(inputs)
    return np.concatenate(kept)


def _hard(name: str, events: np.ndarray, rng: np.random.Generator) -> list[Parts]:
    n = len(events)
    if name == "qcd":
        pt = 20.0 * rng.pareto(3.5, n) + 20.0
        one, other = _back_to_back(events, pt, rng)
        return [*_with_lepton(one, rng), other]
    if name == "tt":
        return [
            p for _ in range(2)
            for p in (*_decay(events, 80.4, 60.0, _around(n, rng), ("lepton", "unseen"), rng),
                      _jet(events, 25.0 + rng.exponential(45.0, n), _around(n, rng), rng))
        ]  # fmt: skip
    phi = _around(n, rng)
    recoil = 30.0 * rng.pareto(3.5, n)  # a mean of 12 GeV, and the tail of jets
    mass = MASSES[name] * (1 + 0.013 * rng.standard_cauchy(n).clip(-5, 5))
    ends = {
        "w": ("lepton", "unseen"), "z": ("lepton", "same"), "a4l": ("a", "a"),
        "lqbtau": ("jet", "tau"), "h0tautau": ("tau", "tau"), "hpmtaunu": ("tau", "unseen"),
    }[name]  # fmt: skip
    if name == "lqbtau":  # in pairs
        sides = (phi, phi + np.pi)
        return [p for side in sides for p in _decay(events, mass, recoil + 10.0, side, ends, rng)]
    return [*_decay(events, mass, recoil, phi, ends, rng), _jet(events, recoil, phi + np.pi, rng)]


def _soft(count: int, rng: np.random.Generator) -> Parts:
    """Jets of pile-up and initial-state radiation."""
    event = np.repeat(np.arange(count), rng.poisson(1.6, count))
    n = len(event)
    return _jet(event, 10.0 + rng.exponential(9.0, n), _around(n, rng), rng)


def _around(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-np.pi, np.pi, count)


def _jet(events: np.ndarray, pt: np.ndarray, phi: np.ndarray, rng: np.random.Generator) -> Parts:
    n = len(events)
    eta = rng.normal(0.0, 2.0, n)
    return Parts(events, np.full(n, 2), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta))


def _back_to_back(events: np.ndarray, pt: np.ndarray, rng: np.random.Generator) -> list[Parts]:
    first = _jet(events, pt, _around(len(pt), rng), rng)
    boost = rng.normal(0.0, 1.0, len(pt))
    second = Parts(
        events, first.kind, -first.px, -first.py, pt * np.sinh(boost - np.arcsinh(first.pz / pt))
    )
    return [first, second]


def _with_lepton(jet: Parts, rng: np.random.Generator) -> list[Parts]:
    """A lepton of either kind in each jet, as from heavy quarks or misidentified, and the rest."""
    n = len(jet.event)
    share = rng.beta(2.0, 2.0, n)
    kind = rng.integers(0, 2, n)
    p = np.stack(jet[2:])
    return [Parts(jet.event, kind, *(p * share)), Parts(jet.event, jet.kind, *(p * (1 - share)))]


def _decay(
    events: np.ndarray, mass: float | np.ndarray, pt: float | np.ndarray, phi: np.ndarray,
    ends: tuple[str, str], rng: np.random.Generator,
) -> list[Parts]:  # fmt: skip
    """Two bodies without mass from a particle of this transverse momentum and azimuth, and what
    they become."""
    n = len(events)
    rapidity = rng.normal(0.0, 1.4, n)
    mass, pt = np.broadcast_to(mass, n), np.broadcast_to(pt, n)
    across = np.hypot(mass, pt)
    parent = np.stack([
        across * np.cosh(rapidity), pt * np.cos(phi), pt * np.sin(phi), across * np.sinh(rapidity)
    ])  # fmt: skip
    cosine, turn = rng.uniform(-1, 1, n), rng.uniform(-np.pi, np.pi, n)
    sine = np.sqrt(1 - cosine**2)
    p = 0.5 * mass * np.stack([sine * np.cos(turn), sine * np.sin(turn), cosine])
    gamma, beta = parent[0] / mass, parent[1:] / parent[0]
    along = (beta * p).sum(0)
    boosted = p + beta * (gamma**2 / (gamma + 1) * along + gamma * 0.5 * mass)
    lepton = rng.integers(0, 2, n)
    made = []
    for end, three in zip(ends, (boosted, parent[1:] - boosted), strict=True):
        made += _becomes(end, events, three, lepton, rng)
    return made


def _becomes(
    end: str, events: np.ndarray, p: np.ndarray, lepton: np.ndarray, rng: np.random.Generator
) -> list[Parts]:
    n = len(events)
    if end in ("lepton", "same"):
        return [Parts(events, lepton, *p)]
    if end in ("jet", "unseen"):
        return [Parts(events, np.full(n, 2 if end == "jet" else 3), *p)]
    if end == "a":  # two leptons of one kind, close to each other
        share = rng.uniform(0.1, 0.9, n)
        kind = rng.integers(0, 2, n)
        return [Parts(events, kind, *(p * share)), Parts(events, kind, *(p * (1 - share)))]
    seen = rng.beta(2.0, 2.0 * (1 / TAU_VISIBLE - 1), n)
    kind = rng.choice([0, 1, 2], n, p=[0.18, 0.17, 0.65])
    return [Parts(events, kind, *(p * seen)), Parts(events, np.full(n, 3), *(p * (1 - seen)))]


def _seen(parts: Parts, count: int, rng: np.random.Generator) -> np.ndarray:
    """Inputs (count, 57): missing momentum, then the objects above threshold by falling pT."""
    pt = np.hypot(parts.px, parts.py)
    eta = np.arcsinh(parts.pz / np.maximum(pt, 1e-6))
    phi = np.arctan2(parts.py, parts.px)
    missing = np.zeros((count, 2))
    unseen = parts.kind == 3
    for axis, values in enumerate((parts.px, parts.py)):
        missing[:, axis] = np.bincount(parts.event[unseen], values[unseen], count)
    blocks = []
    for number, (kind, room) in enumerate(ROOM.items()):
        rows = np.flatnonzero(parts.kind == number)
        error = rng.normal(0.0, RESOLUTION[kind], len(rows)) * (4.0 / (4.0 + pt[rows])) ** 0.25
        measured = pt[rows] * np.exp(error)
        there = (measured > THRESHOLDS[kind]) & (np.abs(eta[rows]) < ETA[kind])
        rows, measured = rows[there], measured[there]
        order = np.lexsort((-measured, parts.event[rows]))
        rows, measured = rows[order], measured[order]
        number_of = np.bincount(parts.event[rows], minlength=count)
        place = np.arange(len(rows)) - np.repeat(np.cumsum(number_of) - number_of, number_of)
        kept = place < room
        block = np.zeros((count, room, 3))
        block[parts.event[rows[kept]], place[kept]] = np.stack(
            [measured[kept], eta[rows[kept]], phi[rows[kept]]], axis=1
        )
        blocks.append(block)
    activity = sum(block[..., 0].sum(axis=1) for block in blocks)
    missing += rng.normal(size=(count, 2)) * (5.0 + 0.5 * np.sqrt(activity))[:, None]
    met = np.stack(
        [np.hypot(*missing.T), np.zeros(count), np.arctan2(missing[:, 1], missing[:, 0])], axis=1
    )
    inputs = np.concatenate([met[:, None], *blocks], axis=1).reshape(count, -1)
    return inputs.astype(np.float32)
