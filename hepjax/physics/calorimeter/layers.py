"""Histograms of the high-level features layer by layer, and how far two samples' are apart.

Binned as the evaluation of the CaloChallenge does for its public calorimeters. For others the
ranges of centres and widths come from the reference, as do those of the energies of all.
"""

from typing import NamedTuple

import numpy as np

from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.physics.calorimeter import features, metrics

ENERGY_BINS, BINS, SPARSITY_BINS = 40, 100, 20
BINS_OF_EVENTS = 2.2
"""Bins at most per third root of the events, except for the public calorimeters: more would compare
the noise of their counts."""
PUBLIC = {"atlas-photons": 100.0, "atlas-pions": 100.0, "par04": 30.0, "par04-fine": 30.0}
"""mm; centres lie within plus and minus this, widths within this (published)."""
COARSE = {12: (500.0, 400.0), 13: (500.0, 400.0)}
"""The same for centres and widths in layers of ATLAS that are coarser."""
RESPONSE = (0.5, 1.5)
"""Visible over incident energy (published), times the mean of the reference if that is far off."""


class Axis(NamedTuple):
    """Equal bins of a high-level feature."""

    group: str
    layer: int | None
    low: float
    high: float
    bins: int


Axes = tuple[Axis, ...]


def axes(reference: np.ndarray, events: int, calorimeter: Calorimeter) -> Axes:
    """Bins of the high-level features but the incident energy.

    Args:
      reference: (n, features), the reference sample.
      events: of the smaller sample.
    """
    few = max(6, int(BINS_OF_EVENTS * events ** (1 / 3)))
    found = []
    for k, (group, layer) in enumerate(features.columns(calorimeter)):
        if group == "incident":
            continue
        low, high, bins = _range(group, layer, _value(reference, k, group), calorimeter)
        if calorimeter.name not in PUBLIC:
            bins = min(bins, few)
        found.append(Axis(group, layer, low, high, bins))
    return tuple(found)


def codes(sample: np.ndarray, axes: Axes, calorimeter: Calorimeter) -> np.ndarray:
    """The bin of each feature of each shower, (n, axes) int16; ``BINS`` where it is in none.

    Energies of layers are log10 / MeV, lengths mm; the total is visible over incident energy.
    """
    found = np.empty((len(sample), len(axes)), np.int16)
    columns = [(k, g) for k, (g, _) in enumerate(features.columns(calorimeter)) if g != "incident"]
    for i, (axis, (k, group)) in enumerate(zip(axes, columns, strict=True)):
        place = (_value(sample, k, group) - axis.low) / (axis.high - axis.low)
        inside = (place >= 0) & (place <= 1)  # the last bin holds its upper edge too
        bins = np.minimum(np.where(inside, place, 0) * axis.bins, axis.bins - 1)
        found[:, i] = np.where(inside, bins.astype(np.int16), BINS)
    return found


def counts(codes: np.ndarray) -> np.ndarray:
    """Histograms of ``codes`` (n, axes): (axes, ``BINS``), 0 behind the last bin of an axis."""
    width = BINS + 1
    flat = codes.astype(np.int64) + np.arange(codes.shape[1]) * width
    return np.bincount(flat.ravel(), minlength=codes.shape[1] * width).reshape(-1, width)[:, :-1]


def separations(reference: np.ndarray, generated: np.ndarray, axes: Axes) -> dict[str, float]:
    """Separation power of each group, the mean over its layers, and ``layers``, over all.

    Args:
      reference, generated: histograms (axes, ``BINS``).
    """
    powers = [metrics.separation(r, g) for r, g in zip(reference, generated, strict=True)]
    by_group: dict[str, list[float]] = {}
    for axis, power in zip(axes, powers, strict=True):
        by_group.setdefault(axis.group, []).append(power)
    return {group: float(np.mean(values)) for group, values in by_group.items()} | {
        "layers": float(np.mean(powers))
    }


def _value(sample: np.ndarray, column: int, group: str) -> np.ndarray:
    values = np.asarray(sample[:, column], float)
    if group == "total":
        return 10 ** (values - sample[:, 0])
    length = group.startswith(("centre", "width"))
    return values * features.DECIMETRE if length else values


def _range(
    group: str, layer: int | None, reference: np.ndarray, calorimeter: Calorimeter
) -> tuple[float, float, int]:
    if group == "sparsity":
        return 0.0, 1.0, SPARSITY_BINS
    if group == "total":
        mean = float(reference.mean())
        scale = 1.0 if 0.3 < mean < 2 else mean or 1.0
        return RESPONSE[0] * scale, RESPONSE[1] * scale, BINS
    if group == "layer":
        top = float(reference.max())
        low = np.log10(max(calorimeter.threshold * features.MEV, features.FLOOR))
        return float(low), max(top, low + 1.0), ENERGY_BINS
    reach = PUBLIC.get(calorimeter.name)
    if reach is not None:
        assert layer is not None
        centre, width = COARSE.get(layer, (reach, reach))
        if group.startswith("width"):
            return 0.0, width, BINS
        return (0.0 if group == "centre_r" else -centre), centre, BINS
    low, high = np.quantile(reference, (0.001, 0.999))
    margin = 0.25 * (high - low) or 0.5
    return float(low - margin), float(high + margin), BINS
