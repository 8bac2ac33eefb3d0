"""Shapes of jets from their particles, many jets at a time: mass, widths, tau2, soft drop.

Angularities are sum z (dR / R)^kappa with z = pt / sum pt: LHA 1/2, width 1, ang2 2. The axis is
that of the sum of momenta, and particles are massless. tau2 takes the last two clusters of
Cambridge/Aachen as axes; soft drop has zcut = 0.1 and beta = 0 (Larkoski et al., arXiv:1402.2657).
"""

from typing import NamedTuple

import numpy as np

RADIUS = 0.4
ZCUT = 0.1
MOST_PARTICLES = 64
"""The hardest of a jet."""
GROUP = 256
"""Jets of about one multiplicity that are clustered together."""


class Particles(NamedTuple):
    """Particles of all jets, (k,) arrays; y and phi relative to the axis of their parton."""

    jet: np.ndarray
    pt: np.ndarray
    """GeV."""
    y: np.ndarray
    phi: np.ndarray
    identity: np.ndarray


def shapes(particles: Particles, y: np.ndarray, phi: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays of one level of the layout in formats/unfolding/npz.py, without the level.

    Args:
      y, phi: (n,) of the partons.
    """
    padded = _padded(particles, len(y))
    pt, dy, dphi = _in_jet(padded)
    total = np.maximum(pt.sum(axis=1, keepdims=True), 1e-9)
    z, distance = pt / total, np.hypot(dy, dphi) / RADIUS
    mass, jet_pt, off_y, off_phi = _sum(pt, dy, dphi)
    tau2, soft_mass, zg = clustered(pt, dy, dphi)
    there = pt > 0
    axis = y + _centre(padded)[0] + off_y, phi + _centre(padded)[1] + off_phi
    listed = np.stack([pt / 100, dy * there, dphi * there, padded[3] * there], axis=-1)
    found = {
        "jets": np.stack([jet_pt, axis[0], np.remainder(axis[1], 2 * np.pi), mass], axis=1),
        "particles": listed, "mults": there.sum(axis=1), "lhas": (z * np.sqrt(distance)).sum(1),
        "widths": (z * distance).sum(1), "ang2s": (z * distance**2).sum(1), "tau2s": tau2,
        "sdms": soft_mass, "zgs": zg,
    }  # fmt: skip
    return {name: values.astype(np.float32) for name, values in found.items()}


def _padded(particles: Particles, jets: int) -> np.ndarray:
    """(4, jets, MOST_PARTICLES) pt, y, phi, identity, the hardest first, 0 where there is none."""
    order = np.lexsort((-particles.pt, particles.jet))
    jet = particles.jet[order]
    place = np.arange(len(jet)) - np.searchsorted(jet, np.arange(jets))[jet]
    kept = place < MOST_PARTICLES
    found = np.zeros((4, jets, MOST_PARTICLES))
    for k, values in enumerate(particles[1:]):
        found[k, jet[kept], place[kept]] = values[order][kept]
    return found


def _centre(padded: np.ndarray) -> np.ndarray:
    """(2, n) mean y and phi weighted by pt."""
    return (padded[0] * padded[1:3]).sum(-1) / np.maximum(padded[0].sum(-1), 1e-9)


def _in_jet(padded: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """pt, and y and phi relative to the jet, of particles within its radius; pt 0 elsewhere."""
    dy, dphi = padded[1:3] - _centre(padded)[..., None]
    pt = np.where(np.hypot(dy, dphi) < RADIUS, padded[0], 0.0)
    return pt, dy, dphi


def _sum(pt: np.ndarray, y: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, ...]:
    """Mass, pt, y and phi of the sum of massless particles (n, p)."""
    px, py = (pt * np.cos(phi)).sum(-1), (pt * np.sin(phi)).sum(-1)
    pz, e = (pt * np.sinh(y)).sum(-1), (pt * np.cosh(y)).sum(-1)
    mass = np.sqrt(np.maximum(e**2 - px**2 - py**2 - pz**2, 0.0))
    there = e > 0
    safe = np.where(there, e, 1.0)
    rapidity = np.where(there, np.arctanh(np.clip(pz / safe, -0.999999, 0.999999)), 0.0)
    return mass, np.hypot(px, py), rapidity, np.arctan2(py, np.where(there, px, 1.0))


def clustered(pt: np.ndarray, y: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, ...]:
    """tau2, mass after soft drop and zg (n,) of jets with particles (n, p)."""
    count = (pt > 0).sum(axis=1)
    # Particles of no jet go behind, and jets of one multiplicity together.
    order = np.argsort(-pt, axis=1, kind="stable")
    pt, y, phi = (np.take_along_axis(a, order, axis=1) for a in (pt, y, phi))
    found = np.zeros((3, len(pt)))
    rows = np.argsort(count, kind="stable")
    for start in range(0, len(rows), GROUP):
        part = rows[start : start + GROUP]
        most = max(int(count[part].max()), 1)
        found[:, part] = _clustered(*(a[part, :most] for a in (pt, y, phi)))
    return tuple(found)


def _clustered(pt: np.ndarray, y: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """The same of jets (n, p); clusters are summed with weights pt in y and phi.

    A cluster keeps what soft drop makes of it: its last merging if that is symmetric enough, else
    what it makes of the harder part.
    """
    n, p = pt.shape
    row = np.arange(n)
    cluster = np.stack([pt, y, phi]).copy()
    four = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(y), pt * np.cosh(y)])
    groomed = np.zeros((2, n, p))  # mass, zg
    axes = np.stack([cluster[1:, :, 0], cluster[1:, :, 0]])
    distance = (y[:, :, None] - y[:, None]) ** 2 + (phi[:, :, None] - phi[:, None]) ** 2
    none = pt <= 0
    distance[none[:, :, None] | none[:, None]] = np.inf
    distance[:, np.arange(p), np.arange(p)] = np.inf
    for _ in range(p - 1):
        flat = distance.reshape(n, -1).argmin(axis=1)
        i, j = np.divmod(flat, p)
        merged = np.isfinite(distance[row, i, j])
        r, a, b = row[merged], i[merged], j[merged]
        if not len(r):
            break
        one, two = cluster[:, r, a], cluster[:, r, b]
        axes[0][:, r], axes[1][:, r] = one[1:], two[1:]
        total = one[0] + two[0]
        z = np.minimum(one[0], two[0]) / total
        four[:, r, a] += four[:, r, b]
        x = four[:, r, a]
        mass = np.sqrt(np.maximum(x[3] ** 2 - x[0] ** 2 - x[1] ** 2 - x[2] ** 2, 0.0))
        harder = np.where(one[0] >= two[0], groomed[:, r, a], groomed[:, r, b])
        groomed[:, r, a] = np.where(z > ZCUT, np.stack([mass, z]), harder)
        joined = (one[0] * one[1:] + two[0] * two[1:]) / total
        cluster[0, r, a], cluster[1:, r, a] = total, joined
        distance[r, b], distance[r, :, b] = np.inf, np.inf
        new = ((cluster[1:, r] - joined[:, :, None]) ** 2).sum(axis=0)
        gone = ~np.isfinite(distance[r, a])  # itself, merged ones, and those that were never there
        new[gone] = np.inf
        distance[r, a], distance[r, :, a] = new, new
    to_axes = [np.hypot(y - a[0][:, None], phi - a[1][:, None]) for a in axes]
    total = np.maximum(pt.sum(axis=1), 1e-9)
    tau2 = (pt * np.minimum(*to_axes)).sum(axis=1) / total / RADIUS
    last = np.argmax(cluster[0], axis=1)  # of one jet all is in one cluster
    return np.stack([tau2, *groomed[:, row, last]])
