"""Showers as images of one channel: how files of them are packed, and how packed ones are read.

``open_showers`` reads them when it is given packed sets; shower files are in formats/showers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.formats.hdf5 import list_files
from hepjax.formats.images import Channel, Grid, SparseImages, sparsify
from hepjax.formats.packed.reader import PackedSource, open_packed
from hepjax.formats.showers.file import Unit
from hepjax.formats.showers.reader import ShowerSource, open_shower_files, require_crop
from hepjax.formats.source import Batch

CHANNEL = Channel("ECAL", "GeV")
UNITS = {"energy": "GeV", "theta": "rad", "mtheta": "rad", "visible": "GeV"}
"""Columns of packed showers; ``visible`` is the stored sum of the cells, if there is one."""


@dataclass(frozen=True)
class ShowerImages:
    """One file of showers for ``pack``."""

    source: ShowerSource
    layout = "clic"

    @property
    def path(self) -> Path:
        return self.source.files[0].path

    @property
    def events(self) -> int:
        return len(self.source)

    @property
    def grid(self) -> Grid:
        return Grid(self.source.grid, (CHANNEL,))

    @property
    def labels(self) -> dict[int, str]:
        return {}

    def stream(
        self, batch: int = 256, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[SparseImages, Batch]]:
        """Showers ``start`` to ``stop``, GeV, with the columns that ``open_showers`` gives."""
        stop = self.events if stop is None else stop
        visible = self.source.files[0].visible
        for low in range(start, stop, batch):
            rows = np.arange(low, min(low + batch, stop))
            columns = self.source[rows]
            images = sparsify(columns.pop("ecal")[..., None], self.grid)
            if visible is not None:
                columns["visible"] = visible[rows]
            yield images, columns


def shower_files(paths: str | Path | Sequence[str | Path]) -> list[ShowerImages]:
    """Files of showers for ``pack``.

    Raises:
      InputError: unreadable files, or files that do not go together.
    """
    open_shower_files(paths)
    return [ShowerImages(open_shower_files(path, cache_bytes=0)) for path in list_files(paths)]


def open_packed_showers(
    paths: Sequence[Path],
    *,
    unit: Unit,
    energy_window: tuple[float, float] | None,
    min_sum: float,
    crop: tuple[int, int] | None,
    cache_bytes: int,
) -> "PackedShowers":
    """Packed showers as ``open_showers`` gives them; see there."""
    packed = open_packed(paths, cache_bytes=cache_bytes)
    where, grid = paths[0], packed.grid
    if len(grid.shape) != 3 or grid.names != (CHANNEL.name,):
        raise InputError(
            f"{where}: expected packed showers, found images of {grid.shape} pixels with channels "
            f"{', '.join(grid.names)}"
        )
    if unit == "0.02 GeV":
        raise InputError(f"{where}: expected unit auto or GeV for packed showers, found {unit!r}")
    require_crop(where, packed.grid.shape, crop)
    keep = np.ones(len(packed), bool)
    if energy_window is not None and "energy" in packed.columns:
        energy = packed.column("energy")
        keep &= (energy >= energy_window[0]) & (energy <= energy_window[1])
    if min_sum > 0:
        keep &= _visible(packed) > min_sum
    if not keep.any():
        raise InputError(
            f"{where}: expected showers after the cuts, found none of {len(packed)} (energy window "
            f"{energy_window} GeV, visible energy above {min_sum} GeV)"
        )
    return PackedShowers(packed, np.flatnonzero(keep), crop)


def _visible(packed: PackedSource) -> np.ndarray:
    """Sum of the cells of each event, GeV."""
    if "visible" in packed.columns:
        return packed.column("visible")
    return np.array([
        values.sum()
        for low in range(0, len(packed), 256)
        for _, values in packed.sparse(np.arange(low, min(low + 256, len(packed))))[0]
    ])  # fmt: skip


class PackedShowers:
    """Events ``rows`` of a packed set, dense; a ``Source`` like ``ShowerSource``."""

    def __init__(
        self, packed: PackedSource, rows: np.ndarray, crop: tuple[int, int] | None
    ) -> None:
        self.packed, self._rows, self._crop = packed, rows, crop
        x, y, z = packed.grid.shape
        self.grid = (x, y, z) if crop is None else (crop[1] - crop[0], crop[1] - crop[0], z)
        self.blocks = np.unique(np.searchsorted(rows, packed.blocks))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        """Events ``indices`` (n,), see ``open_showers``."""
        return self._dense(self._rows[np.asarray(indices)])

    @property
    def energy(self) -> np.ndarray | None:
        """(n,) float32 incident energies, GeV; None if they are not stored."""
        if "energy" not in self.packed.columns:
            return None
        return self.packed.column("energy")[self._rows]

    def stream(self, check: bool = True) -> Iterator[Batch]:
        """All events in order, a block at a time; the cells were checked when they were packed."""
        for low, high in zip(self.blocks[:-1], self.blocks[1:], strict=True):
            yield self[np.arange(low, high)]

    def _dense(self, rows: np.ndarray) -> Batch:
        images, columns = self.packed.sparse(rows)
        cells = np.zeros((len(rows), int(np.prod(self.packed.grid.shape))), np.float32)
        for row, (cell, value) in enumerate(images):
            cells[row, cell] = value
        showers = cells.reshape(-1, *self.packed.grid.shape)
        if self._crop is not None:
            low, high = self._crop
            showers = np.ascontiguousarray(showers[:, low:high, low:high])
        columns.pop("visible", None)
        return {"ecal": showers} | columns
