"""One reader for showers, from HDF5 files or packed sets, many at once.

Published event cuts and the crop happen here; what is done to single cells (threshold, scale,
power) belongs to the compiled step of a workload.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hepjax.formats.packed.manifest import is_packed
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.cuts import Cuts
from hepjax.formats.showers.files import CACHE_BYTES, ShowerSource, open_shower_files
from hepjax.formats.showers.layout import Unit
from hepjax.formats.showers.packed import PackedShowers, open_packed_showers
from hepjax.formats.source import Batch
from hepjax.formats.sparse import scatter


def open_showers(
    paths: str | Path | Sequence[str | Path],
    *,
    unit: Unit = "auto",
    calorimeter: Calorimeter | None = None,
    energy_window: tuple[float, float] | None = None,
    min_sum: float = 0.0,
    crop: tuple[int, int] | None = None,
    cache_bytes: int = CACHE_BYTES,
    sparse: bool = False,
) -> ShowerSource | PackedShowers:
    """Showers of one or many files as one source, files in sorted order.

    Args:
      paths: files, or folders that stand for their ``*.h5`` and ``*.hdf5`` files; or packed sets.
      unit: of the cells in the files, see ``file.describe``.
      calorimeter: whose showers these are; by default what the files say, else the public one of
        this shape. Of CaloChallenge files it also gives the threshold.
      energy_window: incident energies kept, GeV, inclusive.
      min_sum: visible energy above which events are kept, GeV; the published variable-angle cut is
        0.2, the fixed-angle set has none. Reads all cells of files that do not store the sum.
      crop: cells kept in x and y, first and one past the last; (13, 38) of 51 is published.
      sparse: give showers of packed sets as they are stored, for ``ops/densify.py`` to make them
        dense in the compiled step. They stay dense where that is fewer bytes, and so do HDF5 files:
        how many cells of an event are hit is not known before all events are decoded.
    Returns:
      batches of ``ecal`` float32 GeV, (n, x, y, z) of boxes and (n, voxels) of cylinders, whose
      voxels below the threshold are 0; ``energy`` (n,) float32 GeV; and for variable angle
      ``theta`` (the true polar angle) and ``mtheta`` (the measured one, computed if it is not
      stored), (n,) float32 rad. ``energy`` and ``theta`` are absent if no file stores them. Sparse
      ones have ``cell`` (n, width) int32, padded with the number of cells, and ``value`` (n, width)
      float32 GeV, padded with 0, in place of ``ecal``; the width is the same for all batches. The
      source has ``calorimeter``, the description after the crop.
    Raises:
      InputError: unreadable or unsuitable files, files that do not go together, no event left.
        Reading raises it too, for cells that are negative or not finite.
    """
    given = [Path(paths)] if isinstance(paths, str | Path) else list(map(Path, paths))
    cuts = Cuts(energy_window, min_sum, crop)
    if any(map(is_packed, given)):
        return open_packed_showers(
            given, unit=unit, calorimeter=calorimeter, cuts=cuts, cache_bytes=cache_bytes,
            sparse=sparse,
        )  # fmt: skip
    return open_shower_files(
        given, unit=unit, calorimeter=calorimeter, cuts=cuts, cache_bytes=cache_bytes
    )


def with_cells(batch: Batch, grid: tuple[int, ...]) -> Batch:
    """A batch of either kind as a dense one, on the host."""
    if "ecal" in batch:
        return batch
    fields = {name: values for name, values in batch.items() if name not in ("cell", "value")}
    cells = scatter(batch["cell"], batch["value"], int(np.prod(grid)))
    return {"ecal": cells.reshape(-1, *grid)} | fields
