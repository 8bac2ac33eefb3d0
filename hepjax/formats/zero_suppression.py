"""Small pixels of named channels away; signed channels keep both signs, unnamed ones everything."""

from collections.abc import Mapping

import numpy as np

from hepjax.errors import InputError
from hepjax.formats.images import Grid, SparseImages


def zero_suppress(
    images: SparseImages, grid: Grid, thresholds: Mapping[str, float]
) -> SparseImages:
    """Images without the pixels whose absolute value is below the threshold of their channel.

    The published quark/gluon recipe is 1e-3 for pT, ECAL and HCAL; as ``x < 1e-3`` it would wipe
    every negative impact parameter, hence the absolute value and the names.

    Args:
      images: on ``grid``.
      thresholds: channel name to smallest absolute value kept, in the unit of the channel.
    Raises:
      InputError: a name that is no channel, a threshold that is negative or not finite.
    """
    limits = np.zeros(len(grid.channels), np.float32)
    for name, threshold in thresholds.items():
        if name not in grid.names or not 0 <= threshold < np.inf:
            raise InputError(
                f"zero suppression: expected positive thresholds for {', '.join(grid.names)}, "
                f"found {name}={threshold}"
            )
        limits[grid.names.index(name)] = threshold
    channel = np.searchsorted(grid.starts, images.cell, side="right") - 1
    kept = np.abs(images.value) >= limits[channel]
    before = np.concatenate([[0], np.cumsum(kept)])
    return SparseImages(before[images.first], images.cell[kept], images.value[kept])
