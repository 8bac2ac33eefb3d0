"""What generated showers are compared with at a look and in a tournament: sums over real showers.

They are taken from the events of a source once, before training, as static facts of its ``Spec``.
"""

import itertools
from typing import Any

import numpy as np

from hepjax.formats.source import Source
from hepjax.workloads.wgan.config import WganConfig

BINS = 30
"""Of the histogram of the total energy at each incident energy."""
WIDTH = 3.0
"""It reaches so many RMS to both sides of the mode."""
LOOKED_AT = 20_000
"""Events that are taken at most."""

POINTS = 20
"""Incident energies around one of ``data.energies`` at which showers are made."""

Facts = tuple[tuple[str, Any], ...]


def facts(cfg: WganConfig, source: Source) -> Facts:
    """The facts of showers, as nested tuples; energies are in units of the incident one.

    ``edges`` (slices, energies, 2): lowest edge and width of the bins of the total energy.
    ``histograms`` (slices, replicas, energies, BINS): counts of the total energy.
    ``energies`` (slices, energies, POINTS): GeV, quantiles of the incident energies around each of
    ``data.energies``, at which generated showers are compared; all alike where data have a few.
    ``layers`` (slices, replicas, energies, layers, 2): mean and spread of the energy of each layer.
    Replica r has events r, r + replicas, and so on: no two have one in common.
    """
    rows = np.unique(np.linspace(0, len(source) - 1, min(len(source), LOOKED_AT)).astype(int))
    events = source[rows]
    share = events["voxels"] / events["energy"][..., None]
    index = nearest(np.asarray(cfg.data.energies), events["energy"])
    part = np.arange(len(rows)) % cfg.replicas
    ends = list(itertools.pairwise(cfg.calorimeter.offsets))
    energies, replicas = range(len(cfg.data.energies)), range(cfg.replicas)
    edges, histograms, layers, points = [], [], [], []
    for s in range(cfg.slices):
        total = share[:, s].sum(-1)
        by_layer = np.stack([share[:, s, a:b].sum(-1) for a, b in ends], axis=-1)
        bins = [_edges(total[index[:, s] == e]) for e in energies]
        cells = [[(index[:, s] == e) & (part == r) for e in energies] for r in replicas]
        edges.append(bins)
        points.append([_points(events["energy"][index[:, s] == e, s], known)
                       for e, known in enumerate(cfg.data.energies)])  # fmt: skip
        histograms.append([[_counts(total[c], *bins[e]) for e, c in enumerate(own)]
                           for own in cells])  # fmt: skip
        layers.append([[_moments(by_layer[c]) for c in own] for own in cells])
    return tuple(
        (name, _tuples(np.asarray(found, np.float64)))
        for name, found in (
            ("edges", edges), ("histograms", histograms), ("layers", layers), ("energies", points)
        )
    )  # fmt: skip


def nearest(energies: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Index of the nearest of ``energies``, by ratio."""
    middles = np.sqrt(energies[1:] * energies[:-1])
    return np.searchsorted(middles, energy)


def _edges(total: np.ndarray) -> tuple[float, float]:
    """Lowest edge and width of the bins: from the mode 3 RMS to both sides."""
    if len(total) < 2 or np.ptp(total) == 0:
        return 0.0, 1.0 / BINS
    counts, edges = np.histogram(total, BINS)
    mode = float(edges[counts.argmax()] + edges[counts.argmax() + 1]) / 2
    rms = float(total.std())
    return mode - WIDTH * rms, 2 * WIDTH * rms / BINS


def _points(energy: np.ndarray, known: float) -> np.ndarray:
    """(POINTS,) quantiles of energies (n,); ``known`` of none."""
    shares = (np.arange(POINTS) + 0.5) / POINTS
    return np.quantile(energy, shares) if len(energy) else np.full(POINTS, known)


def _counts(total: np.ndarray, low: float, width: float) -> np.ndarray:
    """(BINS,) counts; what lies outside is in the first and the last bin."""
    place = np.clip((total - low) / width, 0, BINS - 1).astype(int)
    return np.bincount(place, minlength=BINS)


def _moments(energy: np.ndarray) -> np.ndarray:
    """(layers, 2) mean and spread of energies (n, layers); zeros of no events."""
    if not len(energy):
        return np.zeros((energy.shape[1], 2))
    return np.stack([energy.mean(0), energy.std(0)], axis=-1)


def _tuples(array: np.ndarray) -> Any:
    """Nested tuples, which can be hashed."""
    return tuple(map(_tuples, array)) if array.ndim > 1 else tuple(array.tolist())
