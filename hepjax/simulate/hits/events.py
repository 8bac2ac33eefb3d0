"""Events of hits: particles through the detector, measured, with noise among them."""

import numpy as np

from hepjax.formats.tracking.detector import PARTS, REACH, SURFACES
from hepjax.formats.tracking.event import NOISE, Event, score_weights
from hepjax.simulate.hits import helix
from hepjax.simulate.hits.particles import particles

STEPS = 24
"""Surfaces that a particle may cross."""
LOST = 0.0175
"""Share of particles that a layer stops or does not see: nuclear reactions and inefficiency."""
ALIVE = 0.5
"""Of those not seen, the share that goes on."""
SECOND, THIRD = 0.24, 0.03
"""Shares of crossings with two and with three hits, where modules overlap."""
NOISE_SHARE = 0.16
"""Of all hits, as in TrackML."""
PION = 0.1396
"""GeV; four of five particles are pions."""


def simulate_event(count: int, seed: int, number: int = 0, noise: float = NOISE_SHARE) -> Event:
    """An event of ``count`` charged particles; event ``number`` of a seed is always the same.

    A share ``noise`` of all hits, below 1, belongs to no particle. Scattering by the formula of
    Highland (PDG review, Passage of particles through matter, 34.16).
    """
    rng = np.random.default_rng((seed, number))
    made = particles(count, rng)
    pt = np.hypot(made["momentum"][:, 0], made["momentum"][:, 1]).astype(np.float64)
    position = made["vertex"].astype(np.float64)
    phi = np.arctan2(made["momentum"][:, 1], made["momentum"][:, 0]).astype(np.float64)
    cot = made["momentum"][:, 2] / pt
    k = helix.curvature(pt, made["charge"])
    left, alive = np.pi / np.abs(k), np.ones(count, bool)  # half a turn
    rows: list[dict[str, np.ndarray]] = []
    for _ in range(STEPS):
        who = np.flatnonzero(alive)
        if not len(who):
            break
        met, s = helix.next_surface(position[who], phi[who], cot[who], k[who], left[who])
        alive[who[met < 0]] = False
        who, met, s = who[met >= 0], met[met >= 0], s[met >= 0]
        x, y = helix.along(position[who, 0], position[who, 1], phi[who], k[who], s)
        position[who] = np.stack([x, y, position[who, 2] + s * cot[who]], axis=1)
        phi[who], left[who] = phi[who] + k[who] * s, left[who] - s
        seen = rng.uniform(size=len(who)) >= LOST
        rows += _crossings(who[seen], met[seen], position, phi, cot, k, rng)
        stopped = ~seen & (rng.uniform(size=len(who)) >= ALIVE)
        alive[who[stopped]] = False
        _scatter(who, met, phi, cot, pt, rng)
    return _event(made, rows, pt, noise, rng)


def _crossings(
    who: np.ndarray, met: np.ndarray, position: np.ndarray, phi: np.ndarray, cot: np.ndarray,
    k: np.ndarray, rng: np.random.Generator,
) -> list[dict[str, np.ndarray]]:  # fmt: skip
    """One to three hits of each crossing, on modules before and behind the layer."""
    share = rng.uniform(size=len(who))
    times = 1 + (share < SECOND + THIRD) + (share < THIRD)
    found = []
    for copy in range(3):
        inside = times > copy
        rows, surface = who[inside], met[inside]
        part = np.array([s.part for s in SURFACES])[surface]
        stagger = np.array([p.stagger for p in PARTS])[part]
        s = rng.normal(0, stagger) if copy == 0 else rng.uniform(-2, 2, len(rows)) * stagger
        disc = np.array([x.disc for x in SURFACES])[surface]
        path = np.where(disc, s / np.where(np.abs(cot[rows]) > 0.1, cot[rows], 1.0), s)
        x, y = helix.along(position[rows, 0], position[rows, 1], phi[rows], k[rows], path)
        z = position[rows, 2] + path * cot[rows]
        found.append(_measured(rows, surface, part, disc, np.stack([x, y, z], axis=1), rng))
    return found


def _measured(
    rows: np.ndarray, surface: np.ndarray, part: np.ndarray, disc: np.ndarray, xyz: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Hits with the errors of their layers."""
    errors = np.array([(p.barrel_error, p.disc_error) for p in PARTS])[part, disc.astype(int)]
    across, other = rng.normal(0, errors).T
    radius = np.hypot(xyz[:, 0], xyz[:, 1])
    angle = np.arctan2(xyz[:, 1], xyz[:, 0]) + across / np.maximum(radius, 1.0)
    radius = radius + np.where(disc, other, 0.0)
    z = xyz[:, 2] + np.where(disc, 0.0, other)
    hits = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)
    return {"row": rows, "surface": surface, "xyz": hits}


def _scatter(
    who: np.ndarray, met: np.ndarray, phi: np.ndarray, cot: np.ndarray, pt: np.ndarray,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Turn directions, in place, by multiple scattering in the layer."""
    momentum = pt[who] * np.sqrt(1 + cot[who] ** 2)
    beta = momentum / np.hypot(momentum, PION)
    disc = np.array([s.disc for s in SURFACES])[met]
    layer = np.array([PARTS[s.part].thickness for s in SURFACES])[met]
    sine = 1 / np.sqrt(1 + cot[who] ** 2)
    straight = np.where(disc, np.abs(cot[who]) * sine, sine)
    thick = layer / np.maximum(straight, 0.1)
    angle = 0.0136 / (beta * momentum) * np.sqrt(thick) * (1 + 0.038 * np.log(thick))
    phi[who] += rng.normal(0, 1, len(who)) * angle / sine
    theta = np.arctan2(1, cot[who]) + rng.normal(0, 1, len(who)) * angle
    theta = np.clip(theta, 1e-3, np.pi - 1e-3)
    cot[who] = 1 / np.tan(theta)


def _event(
    made: dict[str, np.ndarray], rows: list[dict[str, np.ndarray]], pt: np.ndarray,
    share: float, rng: np.random.Generator,
) -> Event:  # fmt: skip
    """Join hits, add noise, shuffle."""
    row, surface, xyz = (
        np.concatenate([r[key] for r in rows]) if rows else np.zeros((0, 3) if key == "xyz" else 0)
        for key in ("row", "surface", "xyz")
    )
    inside = (np.hypot(xyz[:, 0], xyz[:, 1]) < REACH[0]) & (np.abs(xyz[:, 2]) < REACH[1])
    row, surface, xyz = row[inside].astype(int), surface[inside].astype(int), xyz[inside]
    noise = int(len(row) * share / (1 - share))
    copied = rng.integers(0, max(len(row), 1), noise) if len(row) else np.zeros(0, int)
    turned = rng.uniform(-np.pi, np.pi, len(copied))
    radius = np.hypot(xyz[copied, 0], xyz[copied, 1])
    fake = np.stack([radius * np.cos(turned), radius * np.sin(turned), xyz[copied, 2]], axis=1)
    particle = np.concatenate([made["identifier"][row], np.full(len(copied), NOISE, np.int64)])
    momentum = np.concatenate([pt[row], np.zeros(len(copied))])
    surface, xyz = np.concatenate([surface, surface[copied]]), np.concatenate([xyz, fake])
    order = rng.permutation(len(particle))
    particle, surface = particle[order], surface[order].astype(np.int32)
    xyz = xyz[order].astype(np.float32)
    return Event(
        xyz, surface, _modules(xyz, surface), particle, score_weights(particle, momentum[order]),
        made["identifier"], made["vertex"], made["momentum"], made["charge"],
    )  # fmt: skip


def _modules(xyz: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """Number of the module of each hit, from 1 on: by azimuth, and along z or by radius."""
    disc = np.array([s.disc for s in SURFACES])[surface]
    part = np.array([s.part for s in SURFACES])[surface]
    half = np.array([p.module for p in PARTS])[part]
    radius = np.array([s.at if not s.disc else 500.0 for s in SURFACES])[surface]
    sectors = np.maximum(np.floor(np.pi * radius / half[:, 0]), 1)
    sector = np.floor((np.arctan2(xyz[:, 1], xyz[:, 0]) / (2 * np.pi) + 0.5) * sectors)
    ring = np.floor(np.hypot(xyz[:, 0], xyz[:, 1]) / (2 * half[:, 1]))
    column = np.floor((xyz[:, 2] + REACH[1]) / (2 * half[:, 1]))
    return (1 + sector + sectors * np.where(disc, ring, column)).astype(np.int32)
