"""Showers as arrays, and what users ask showers for: shared by the workloads that make them."""

from collections.abc import Callable

import numpy as np

from hepjax import InputError
from hepjax.formats.showers.reader import with_cells
from hepjax.formats.source import Source

AT_ONCE = 256
"""Showers that are read together."""


def first_showers(
    source: Source, shape: tuple[int, ...], total: int, advance: Callable[[int], object]
) -> dict[str, np.ndarray]:
    """The first ``total`` showers: ``ecal`` (n, *shape) GeV, ``energy`` (n,) GeV and, if the source
    has true polar angles, ``theta`` (n,) rad."""
    parts = []
    for start in range(0, total, AT_ONCE):
        parts.append(with_cells(source[np.arange(start, min(start + AT_ONCE, total))], shape))
        advance(len(parts[-1]["energy"]))
    fields = [field for field in ("ecal", "energy", "theta") if field in parts[0]]
    return {field: np.concatenate([p[field] for p in parts]) for field in fields}


def require_energies(energy: np.ndarray) -> None:
    """Refuse incident energies that are no list of positive numbers.

    Raises:
      InputError: they are none.
    """
    if energy.ndim != 1 or len(energy) == 0 or not np.all(np.isfinite(energy) & (energy > 0)):
        raise InputError("energy: expected a list of positive numbers in GeV, found others")
