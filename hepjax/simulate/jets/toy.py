"""Toy jets, fast to make, in place of Pythia and the detector: for tests, demonstrations and I/O.

A simplified parton shower ends in particles; towers are smeared as in the detector. Multiplicities
are about right, shapes only roughly: nothing learnt on toy jets holds for real ones.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hepjax.formats.images import SparseImages
from hepjax.simulate.collisions.detector import CMS
from hepjax.simulate.collisions.propagation import CURVATURE
from hepjax.simulate.collisions.towers import SIGNIFICANCE, Calorimeter
from hepjax.simulate.collisions.tracks import (
    efficiency,
    impact_resolution,
    log_normal,
    pt_resolution,
)
from hepjax.simulate.jets.deposits import in_middle, spread
from hepjax.simulate.jets.images import (
    BPIX_RADIUS_MM,
    CELL_ETA,
    WINDOW,
    Deposits,
    jet_images,
    tracks_in_window,
)
from hepjax.simulate.jets.jets import find_task

JETS_AT_A_TIME = 256
"""Each such piece has a random stream of its own."""
TOP_MASS, W_MASS = 172.5, 80.4  # GeV
SOFT_PARTICLES = 12.0
"""Mean number of particles of the underlying event in a window."""
CROWDED = 400.0
"""The same for images with about 1,200 cells, the number of published I/O benchmarks."""
KT_MIN = 0.22
"""Cut-off of the parton shower: least relative transverse momentum of a splitting, GeV."""
SPLITS_PER_DECADE = {False: 2.8, True: 5.4}
"""Mean number of splittings per factor of ten in angle, of a quark and of a gluon."""
B_FLIGHT = 1.0
"""Mean impact parameter of particles from a b quark, mm."""
PION = 211
_HALF = CELL_ETA * WINDOW / 2


class Shower(NamedTuple):
    """Partons or particles, (k,) arrays; eta and phi relative to the axis of their jet."""

    jet: np.ndarray
    pt: np.ndarray  # GeV
    eta: np.ndarray
    phi: np.ndarray
    angle: np.ndarray  # largest angle of its next splitting (angular ordering)
    gluon: np.ndarray  # bool
    flight: np.ndarray  # mean impact parameter of its decay products, mm


def simulate_toy_jets(
    task: str, jets: int, seed: int, *, resolution: int = 1, soft: float = SOFT_PARTICLES
) -> Iterator[tuple[SparseImages, dict[str, np.ndarray]]]:
    """Toy jets of both labels in mixed order, ``JETS_AT_A_TIME`` at a time.

    Args:
      soft: mean number of particles that belong to no jet; ``CROWDED`` for I/O benchmarks.
    Yields:
      images and columns as ``jets.simulate_jets`` does.
    Raises:
      InputError: another task or resolution.
    """
    cuts = find_task(task)
    for start in range(0, jets, JETS_AT_A_TIME):
        n = min(JETS_AT_A_TIME, jets - start)
        rng = np.random.default_rng([seed, start])
        label = rng.permutation(np.arange(n) % 2).astype(np.int32)
        eta = rng.uniform(-cuts.eta_max, cuts.eta_max, n)
        phi = rng.uniform(-np.pi, np.pi, n)
        pt = falling(*cuts.pt, 3.0, rng.random(n))
        prongs = _top_prongs if task == "top" else quark_or_gluon
        particles = split(prongs(label, pt, rng), rng)
        around = np.hypot(particles.eta, particles.phi) < cuts.radius
        mass = _mass(particles, around, n)
        particles = _with_soft(particles, n, soft, rng)
        deposits = _measure(particles, eta, phi, rng)
        columns: dict[str, np.ndarray] = {
            "label": label,
            "pt": pt.astype(np.float32),
            "mass": mass.astype(np.float32),
            "eta": eta.astype(np.float32),
            "phi": phi.astype(np.float32),
            "event": np.arange(start, start + n, dtype=np.int64),
            "n_tracks": tracks_in_window(eta, phi, deposits["pT"]),
        }
        yield jet_images(resolution, eta, phi, deposits), columns


def falling(low: float, high: float, power: float, u: np.ndarray) -> np.ndarray:
    """pT distributed as pT^-(power + 1) between two values."""
    return low * (1.0 - u * (1.0 - (low / high) ** power)) ** (-1.0 / power)


def quark_or_gluon(label: np.ndarray, pt: np.ndarray, rng: np.random.Generator) -> Shower:
    """One prong each, a gluon where the label is 1."""
    n, zero = len(label), np.zeros(len(label))
    return Shower(np.arange(n), pt, zero, zero, zero + 0.5, label == 1, zero)


def _top_prongs(label: np.ndarray, pt: np.ndarray, rng: np.random.Generator) -> Shower:
    """b, q and q' of a top inside the jet where the label is 1, else a quark or gluon."""
    single = np.flatnonzero(label == 0)
    zero = np.zeros(len(single))
    gluon = rng.random(len(single)) < 0.5
    parts = [Shower(single, pt[single], zero, zero, zero + 0.8, gluon, zero)]
    left = np.flatnonzero(label == 1)
    while len(left):
        b, w = decay(along(pt[left], TOP_MASS), (0.0, W_MASS), rng)
        prongs = [b, *decay(w, (0.0, 0.0), rng)]
        # Seen from the axis z of the jet, small angles are differences in eta and phi.
        angles = [np.arctan2(np.hypot(p[1], p[2]), p[3]) for p in prongs]
        inside = np.max(angles, axis=0) < 0.8
        for p, angle, flight in zip(prongs, angles, (B_FLIGHT, 0.0, 0.0), strict=True):
            p, angle = p[:, inside], angle[inside]
            turn = np.arctan2(p[2], p[1])
            none = np.zeros(inside.sum())
            parts.append(
                Shower(
                    left[inside], np.maximum(p[0], 1.0), angle * np.cos(turn), angle * np.sin(turn),
                    none + 0.4, none > 0, none + flight,
                )
            )  # fmt: skip
        left = left[~inside]
    return Shower(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def along(pt: np.ndarray, mass: float | np.ndarray) -> np.ndarray:
    """(4, n) energy, x, y, z of particles that fly along z."""
    return np.stack([np.hypot(pt, mass), 0.0 * pt, 0.0 * pt, pt])


def decay(
    parent: np.ndarray, masses: tuple[float, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two daughters (4, n) of particles (4, n), back to back and isotropic in their frame."""
    n = parent.shape[1]
    mass = np.sqrt(parent[0] ** 2 - (parent[1:] ** 2).sum(axis=0))
    energy = (mass**2 + masses[0] ** 2 - masses[1] ** 2) / (2.0 * mass)
    cosine, turn = rng.uniform(-1.0, 1.0, n), rng.uniform(-np.pi, np.pi, n)
    sine = np.sqrt(1.0 - cosine**2)
    direction = np.stack([sine * np.cos(turn), sine * np.sin(turn), cosine])
    first = np.concatenate([energy[None], np.sqrt(energy**2 - masses[0] ** 2) * direction])
    gamma, beta = parent[0] / mass, parent[1:] / parent[0]
    along = (beta * first[1:]).sum(axis=0)
    boosted = first.copy()
    boosted[0] = gamma * (first[0] + along)
    boosted[1:] += beta * (gamma**2 / (gamma + 1.0) * along + gamma * first[0])
    return boosted, parent - boosted


def split(
    partons: Shower, rng: np.random.Generator, rates: dict[bool, float] = SPLITS_PER_DECADE
) -> Shower:
    """Angular-ordered shower: split partons in two at falling angles, down to the cut-off.

    Args:
      rates: splittings per factor of ten in angle, of a quark (False) and of a gluon (True).
    """
    done = []
    while len(partons.jet):
        rate = np.where(partons.gluon, rates[True], rates[False])
        angle = partons.angle * 10.0 ** -(rng.exponential(1.0, len(rate)) / rate)
        # Momentum fraction z of the softer parton: density 1/z from the KT_MIN cut-off to 1/2.
        least = KT_MIN / (partons.pt * angle)
        ends = least >= 0.5
        done.append(Shower(*(values[ends] for values in partons)))
        more, angle, least = (
            Shower(*(values[~ends] for values in partons)), angle[~ends], least[~ends],
        )  # fmt: skip
        z = least * (0.5 / least) ** rng.random(len(least))
        turn = rng.uniform(-np.pi, np.pi, len(z))
        d_eta, d_phi = angle * np.cos(turn), angle * np.sin(turn)
        soft = more._replace(
            pt=z * more.pt, eta=more.eta + (1 - z) * d_eta, phi=more.phi + (1 - z) * d_phi,
            angle=angle, gluon=np.ones_like(more.gluon),
        )  # fmt: skip
        hard = more._replace(
            pt=(1 - z) * more.pt, eta=more.eta - z * d_eta, phi=more.phi - z * d_phi, angle=angle
        )
        partons = Shower(*(np.concatenate(pair) for pair in zip(soft, hard, strict=True)))
    return Shower(*(np.concatenate(values) for values in zip(*done, strict=True)))


def _with_soft(particles: Shower, jets: int, mean: float, rng: np.random.Generator) -> Shower:
    """Add particles of the underlying event, uniform in the window."""
    count = rng.poisson(mean, jets)
    n = int(count.sum())
    zero = np.zeros(n)
    soft = Shower(
        np.repeat(np.arange(jets), count), 0.3 + rng.exponential(0.7, n),
        rng.uniform(-_HALF, _HALF, n), rng.uniform(-_HALF, _HALF, n), zero, zero > 0, zero,
    )  # fmt: skip
    return Shower(*(np.concatenate(pair) for pair in zip(particles, soft, strict=True)))


def _mass(particles: Shower, inside: np.ndarray, jets: int) -> np.ndarray:
    """(jets,) invariant mass of massless particles, GeV."""
    jet, pt, eta, phi = (values[inside] for values in particles[:4])
    terms = pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    energy, x, y, z = (np.bincount(jet, term, minlength=jets) for term in terms)
    return np.sqrt(np.maximum(energy**2 - x**2 - y**2 - z**2, 0.0))


def _measure(
    particles: Shower, axis_eta: np.ndarray, axis_phi: np.ndarray, rng: np.random.Generator
) -> dict[str, Deposits]:
    """Deposits by channel: tracks and hits of charged pions, towers of all particles."""
    jet, pt = particles.jet, particles.pt
    eta, phi = axis_eta[jet] + particles.eta, axis_phi[jet] + particles.phi
    kind = rng.random(len(jet))
    charged, photon = kind < 0.58, kind >= 0.69
    charge = np.where(rng.random(len(jet)) < 0.5, -1, 1) * charged

    found = charged & (rng.random(len(jet)) < efficiency(np.full(len(jet), PION), pt, eta))
    t_jet, t_pt, t_eta, t_phi = (values[found] for values in (jet, pt, eta, phi))
    pdg = np.full(len(t_jet), PION)
    sigma_d0, sigma_dz = impact_resolution(t_pt, t_eta)
    d0, dz = (
        rng.laplace(0.0, np.maximum(particles.flight[found] / np.sqrt(t_pt), 1e-9))
        + rng.normal(0.0, sigma)
        for sigma in (sigma_d0, sigma_dz)
    )
    measured = log_normal(t_pt, pt_resolution(pdg, t_pt, t_eta) * t_pt, rng)
    deposits = {
        name: Deposits(t_jet, t_eta, t_phi, value)
        for name, value in (("pT", measured), ("d0", d0), ("dz", dz))
    }
    for name, radius in BPIX_RADIUS_MM.items():
        hit_phi = t_phi + _bent(t_pt, charge[found], radius)
        deposits[name] = Deposits(t_jet, t_eta, hit_phi, np.ones(len(t_jet)))

    energy = pt * np.cosh(eta)
    face_phi = phi + _bent(pt, charge, CMS.radius_mm)
    there = np.stack([eta, face_phi])
    in_ecal = _towers(CMS.ecal, jet[photon], energy[photon], there[:, photon], rng)
    in_hcal = _towers(CMS.hcal, jet[~photon], energy[~photon], there[:, ~photon], rng)
    deposits["ECAL"] = in_middle(CMS.ecal, *in_ecal)
    deposits["HCAL"] = spread(CMS.hcal, *in_hcal)
    return deposits


def _bent(pt: np.ndarray, charge: np.ndarray, radius_mm: float) -> np.ndarray:
    """Turn of the azimuth of a particle up to a radius, at most a quarter turn."""
    sine = -charge * CURVATURE * CMS.field_tesla * radius_mm / (2.0 * pt)
    return np.arcsin(np.clip(sine, -1.0, 1.0))


def _towers(
    calorimeter: Calorimeter,
    jet: np.ndarray,
    energy: np.ndarray,
    eta_phi: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Jet, cell and transverse energy of towers above threshold, smeared as in the detector."""
    cells = int(calorimeter.grid.starts[-1])
    cell = calorimeter.grid.cell(eta_phi[0], np.remainder(eta_phi[1] + np.pi, 2 * np.pi) - np.pi)
    inside = cell >= 0
    key, position = np.unique((jet * cells + cell)[inside], return_inverse=True)
    jet, cell = np.divmod(key, cells)
    low, high, _, _ = calorimeter.grid.edges(cell)
    middle = 0.5 * (low + high)
    deposited = np.bincount(position, energy[inside], minlength=len(key))
    measured = log_normal(deposited, calorimeter.sigma(deposited, np.abs(middle)), rng)
    least = SIGNIFICANCE * calorimeter.sigma(measured, np.abs(middle))
    seen = (measured >= calorimeter.energy_min) & (measured >= least)
    return jet[seen], cell[seen], (measured / np.cosh(middle))[seen]
