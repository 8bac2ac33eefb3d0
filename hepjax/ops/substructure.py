"""Substructure of jets from their particles: grooming, and energy correlation functions.

Jets are padded arrays (jets, n) of pT, eta and phi relative to the axis; pT 0 is padding. Particles
have no mass. NumPy.

Sources: mMDT, Dasgupta et al., JHEP 09 (2013) 029; C and D, Larkoski et al., JHEP 06 (2013) 108 and
JHEP 12 (2014) 009; M and N, Moult et al., JHEP 12 (2016) 153.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

Z_CUT = 0.1
"""Of the modified mass drop tagger: a softer branch with less of the momentum is left out."""
CACHED = 32
"""Jets whose triples are summed together."""
FAR = np.float32(1e9)


def distances(eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """(jets, n, n) distances in eta and phi."""
    d_eta = eta[:, :, None] - eta[:, None, :]
    d_phi = phi[:, :, None] - phi[:, None, :]
    return np.hypot(d_eta, np.remainder(d_phi + np.pi, 2 * np.pi) - np.pi)


def groomed(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, z_cut: float = Z_CUT) -> np.ndarray:
    """Which particles (jets, n) the modified mass drop tagger keeps.

    Particles are joined by distance alone (Cambridge/Aachen, momenta added, axes weighted by pT).
    Then the last joinings are undone while the softer branch has less than ``z_cut`` of both.
    """
    jets, n = pt.shape
    rows = np.arange(jets)
    pt, eta, phi = (a.astype(np.float32).copy() for a in (pt, eta, phi))
    node = np.tile(np.arange(n), (jets, 1))  # what stands in each place
    held = np.zeros((jets, 2 * n - 1, n), bool)
    held[:, np.arange(n), np.arange(n)] = True
    momentum = np.zeros((jets, 2 * n - 1), np.float32)
    momentum[:, :n] = pt
    children = np.full((jets, 2 * n - 1, 2), -1)
    away = distances(eta, phi)
    away[:, np.arange(n), np.arange(n)] = FAR
    absent = pt <= 0
    away[absent[:, :, None] | absent[:, None, :]] = FAR
    root = np.argmax(~absent, axis=1)
    for made in range(n, 2 * n - 1):
        nearest = away.reshape(jets, -1).argmin(axis=1)
        a, b = np.divmod(nearest, n)
        joins = away[rows, a, b] < FAR
        r, a, b = rows[joins], a[joins], b[joins]
        if not len(r):
            break
        children[r, made, 0], children[r, made, 1] = node[r, a], node[r, b]
        held[r, made] = held[r, node[r, a]] | held[r, node[r, b]]
        total = pt[r, a] + pt[r, b]
        for axis in (eta, phi):
            axis[r, a] += (axis[r, b] - axis[r, a]) * pt[r, b] / total
        pt[r, a], pt[r, b] = total, 0.0
        momentum[r, made], node[r, a], root[r] = total, made, made
        away[r, b], away[r, :, b] = FAR, FAR
        new = np.hypot(eta[r] - eta[r, a][:, None], phi[r] - phi[r, a][:, None])
        new[away[r, a] >= FAR] = FAR
        away[r, a], away[r, :, a] = new, new
    for _ in range(n):
        one, two = children[rows, root, 0], children[rows, root, 1]
        soft, hard = momentum[rows, one], momentum[rows, two]
        swap = soft > hard
        one, two = np.where(swap, two, one), np.where(swap, one, two)
        share = np.minimum(soft, hard) / np.maximum(soft + hard, 1e-9)
        drop = (children[rows, root, 0] >= 0) & (share < z_cut)
        if not drop.any():
            break
        root = np.where(drop, two, root)
    return held[rows, root] & ~absent


def mass(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """(jets,) invariant mass in the unit of pT."""
    pt, eta, phi = (a.astype(np.float64) for a in (pt, eta, phi))
    energy = (pt * np.cosh(eta)).sum(1)
    x, y, z = (pt * np.cos(phi)).sum(1), (pt * np.sin(phi)).sum(1), (pt * np.sinh(eta)).sum(1)
    return np.sqrt(np.maximum(energy**2 - x**2 - y**2 - z**2, 0.0))


def correlators(
    z: np.ndarray, away: np.ndarray, betas: Sequence[float]
) -> dict[float, dict[str, np.ndarray]]:
    """(jets,) sums over pairs and triples of shares of momentum times angles to powers ``betas``.

    ``pairs``: z z t; ``triples``: z z z times all three angles; ``smallest`` and ``two``: times the
    smallest angle, and the two smallest.

    Args:
      z: (jets, n) shares of the momentum. away: (jets, n, n) angles.
    """
    n = z.shape[1]
    i, j = np.array(list(combinations(range(n), 2)), int).reshape(-1, 2).T
    pair, angle = z[:, i] * z[:, j], away[:, i, j]
    i, j, k = np.array(list(combinations(range(n), 3)), int).reshape(-1, 3).T
    weight = z[:, i] * z[:, j] * z[:, k]
    one, two, three = away[:, i, j], away[:, i, k], away[:, j, k]
    low, high = np.minimum(one, two), np.maximum(one, two)
    smallest, middle = np.minimum(low, three), np.maximum(low, np.minimum(high, three))
    largest = np.maximum(high, three)
    made = {}
    for beta in betas:
        first, second, third = (_power(a, beta) for a in (smallest, middle, largest))
        in_two = weight * first * second
        made[beta] = {
            "pairs": (pair * _power(angle, beta)).sum(1), "smallest": (weight * first).sum(1),
            "two": in_two.sum(1), "triples": (in_two * third).sum(1),
        }  # fmt: skip
    return made


def _of_groomed(
    share: np.ndarray, eta: np.ndarray, phi: np.ndarray
) -> dict[float, dict[str, np.ndarray]]:
    """``correlators`` of betas 0, 1 and 2, a few jets of like size at a time, which fit a cache."""
    hardest = np.argsort(-share, axis=1)
    share, eta, phi = (np.take_along_axis(a, hardest, axis=1) for a in (share, eta, phi))
    count = (share > 0).sum(1)
    order = np.argsort(count)
    parts = []
    for start in range(0, len(share), CACHED):
        rows = order[start : start + CACHED]
        n = max(int(count[rows].max(initial=0)), 1)
        away = distances(eta[rows, :n], phi[rows, :n])
        parts.append(correlators(share[rows, :n], away, (0, 1, 2)))
    back = np.argsort(order)
    return {
        beta: {name: np.concatenate([part[beta][name] for part in parts])[back] for name in first}
        for beta, first in parts[0].items()
    }


def _power(angle: np.ndarray, beta: float) -> np.ndarray:
    if beta == 0:
        return np.ones_like(angle)
    return angle if beta == 1 else angle * angle if beta == 2 else angle**beta


def observables(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> dict[str, np.ndarray]:
    """The 16 observables (jets,) of the jets of hls4ml, by their names there.

    Sum of z log z and multiplicity are of all particles, the others of the groomed jet.
    """
    total = np.maximum(pt.sum(1), 1e-9)
    z = pt / total[:, None]
    zlogz = np.where(z > 0, z * np.log(np.where(z > 0, z, 1.0)), 0.0).sum(1)
    kept = np.where(groomed(pt, eta, phi), pt, 0.0)
    e = _of_groomed(kept / np.maximum(kept.sum(1), 1e-9)[:, None], eta, phi)

    def over(a: np.ndarray, b: np.ndarray, power: float) -> np.ndarray:
        return np.where(b > 1e-8, a / np.maximum(b, 1e-8) ** power, 0.0)

    made = {"zlogz": zlogz} | {f"c1_b{b}_mmdt": e[b]["pairs"] for b in (0, 1, 2)}
    for name, which, power in (("c2", "triples", 2), ("d2", "triples", 3)):
        made |= {f"{name}_b{b}_mmdt": over(e[b][which], e[b]["pairs"], power) for b in (1, 2)}
    made |= {f"d2_a1_b{b}_mmdt": over(e[1]["triples"], e[b]["pairs"], 3.0 / b) for b in (1, 2)} | {
        f"m2_b{b}_mmdt": over(e[b]["smallest"], e[b]["pairs"], 1) for b in (1, 2)
    }
    made |= {f"n2_b{b}_mmdt": over(e[b]["two"], e[b]["pairs"], 2) for b in (1, 2)}
    return made | {
        "mass_mmdt": mass(kept, eta, phi), "multiplicity": (pt > 0).sum(1).astype(np.float64),
    }  # fmt: skip
