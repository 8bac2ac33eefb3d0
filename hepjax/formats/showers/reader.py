"""One reader for CLIC-like shower files, many at once: events by index, cells decoded by block.

Published event cuts and the crop happen here; what is done to single cells (threshold, scale,
power) belongs to the compiled step of a workload.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hepjax import InputError
from hepjax.formats.block_cache import BlockCache
from hepjax.formats.hdf5 import list_files
from hepjax.formats.packed.manifest import is_packed
from hepjax.formats.showers.angle import measured_angle
from hepjax.formats.showers.file import ShowerFile, Unit, describe
from hepjax.formats.source import Batch

if TYPE_CHECKING:
    from hepjax.formats.packed.showers import PackedShowers

CACHE_BYTES = 2**30
"""Decoded blocks kept, sparse; 8192 showers of 25x25x25 cells, 20 % of them hit, take 0.15 GiB."""


def open_showers(
    paths: str | Path | Sequence[str | Path],
    *,
    unit: Unit = "auto",
    energy_window: tuple[float, float] | None = None,
    min_sum: float = 0.0,
    crop: tuple[int, int] | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> "ShowerSource | PackedShowers":
    """Showers of one or many files as one source, files in sorted order.

    Args:
      paths: files, or folders that stand for their ``*.h5`` and ``*.hdf5`` files; or packed sets.
      unit: of the cells in the files, see ``file.describe``.
      energy_window: incident energies kept, GeV, inclusive.
      min_sum: visible energy above which events are kept, GeV; the published variable-angle cut is
        0.2, the fixed-angle set has none. Reads all cells of files that do not store the sum.
      crop: cells kept in x and y, first and one past the last; (13, 38) of 51 is published.
    Returns:
      batches of ``ecal`` (n, x, y, z) float32 GeV, ``energy`` (n,) float32 GeV, and for variable
      angle ``theta`` (the true polar angle) and ``mtheta`` (the measured one, computed if it is not
      stored), (n,) float32 rad. ``energy`` and ``theta`` are absent if no file stores them.
    Raises:
      InputError: unreadable or unsuitable files, files that do not go together, no event left.
        Reading raises it too, for cells that are negative or not finite.
    """
    folders = [Path(paths)] if isinstance(paths, str | Path) else list(map(Path, paths))
    cuts: dict[str, Any] = {"energy_window": energy_window, "min_sum": min_sum, "crop": crop}
    if any(map(is_packed, folders)):
        from hepjax.formats.packed.showers import open_packed_showers

        return open_packed_showers(folders, unit=unit, cache_bytes=cache_bytes, **cuts)
    return open_shower_files(paths, unit=unit, cache_bytes=cache_bytes, **cuts)


def open_shower_files(
    paths: str | Path | Sequence[str | Path],
    *,
    unit: Unit = "auto",
    energy_window: tuple[float, float] | None = None,
    min_sum: float = 0.0,
    crop: tuple[int, int] | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> "ShowerSource":
    """``open_showers`` for HDF5 files."""
    files = [describe(path, unit) for path in list_files(paths)]
    for file in files[1:]:
        _require_alike(files[0], file)
    require_crop(files[0].path, files[0].grid, crop)
    kept = [_kept_rows(file, energy_window, min_sum) for file in files]
    if not sum(map(len, kept)):
        raise InputError(
            f"{files[0].path}: expected showers after the cuts, found none of "
            f"{sum(f.events for f in files)} in {len(files)} file(s) (energy window "
            f"{energy_window} GeV, visible energy above {min_sum} GeV)"
        )
    return ShowerSource(files, kept, crop, cache_bytes)


class _Block(NamedTuple):
    """Decoded events: cells ``cell[a:b]`` of event i hold ``value[a:b]``, a, b = first[i:i+2]."""

    first: np.ndarray
    cell: np.ndarray
    value: np.ndarray
    mtheta: np.ndarray | None

    @property
    def nbytes(self) -> int:
        return self.first.nbytes + self.cell.nbytes + self.value.nbytes


class ShowerSource:
    """The events of ``files``; made by ``open_showers``, a ``Source``.

    Threads share one cache of decoded blocks and decode different blocks at the same time. Files
    are open only while a block is read, so the source pickles and survives a fork.
    """

    def __init__(
        self,
        files: Sequence[ShowerFile],
        kept: Sequence[np.ndarray],
        crop: tuple[int, int] | None,
        cache_bytes: int,
    ) -> None:
        self.files, self._crop = tuple(files), crop
        x, y, z = files[0].grid
        self.grid = (x, y, z) if crop is None else (crop[1] - crop[0], crop[1] - crop[0], z)
        self._where: list[tuple[int, int, np.ndarray]] = []  # of a block: file, first row, rows
        for number, (file, rows) in enumerate(zip(files, kept, strict=True)):
            size = file.block_events
            for k in np.unique(rows // size):
                self._where.append((number, int(k) * size, rows[rows // size == k]))
        self.blocks = np.cumsum([0, *(len(rows) for _, _, rows in self._where)], dtype=np.int64)
        self._columns = {
            field: np.concatenate([getattr(f, field)[r] for f, r in zip(files, kept, strict=True)])
            for field in ("energy", "theta", "mtheta")
            if all(getattr(f, field) is not None for f in files)
        }
        self._cache = BlockCache[_Block](cache_bytes)

    def __len__(self) -> int:
        return int(self.blocks[-1])

    def __getitem__(self, indices: np.ndarray) -> Batch:
        """Events ``indices`` (n,), see ``open_showers``."""
        indices = np.asarray(indices)
        if len(indices) and (indices.min() < 0 or indices.max() >= len(self)):
            raise IndexError(f"events 0 to {len(self) - 1} exist, asked for {indices}")
        block_of = np.searchsorted(self.blocks, indices, side="right") - 1
        blocks = {int(k): self._cache.get(int(k), self._decode) for k in np.unique(block_of)}
        cells = np.zeros((len(indices), int(np.prod(self.grid))), np.float32)
        batch: Batch = {"ecal": cells.reshape(-1, *self.grid)}
        batch |= {field: values[indices] for field, values in self._columns.items()}
        if self._measures_angle:
            batch["mtheta"] = np.empty(len(indices), np.float32)
        for row, (k, event) in enumerate(
            zip(block_of, indices - self.blocks[block_of], strict=True)
        ):
            first, cell, value, mtheta = blocks[int(k)].result()
            inside = slice(first[event], first[event + 1])
            cells[row, cell[inside]] = value[inside]
            if mtheta is not None:
                batch["mtheta"][row] = mtheta[event]
        return batch

    @property
    def energy(self) -> np.ndarray | None:
        """(n,) float32 incident energies, GeV; None if no file stores them."""
        return self._columns.get("energy")

    @property
    def _measures_angle(self) -> bool:
        return self.files[0].layout == "angle" and "mtheta" not in self._columns

    def _decode(self, k: int) -> _Block:
        showers, mtheta = self._read(k)
        flat = showers.reshape(-1)
        hit = np.flatnonzero(flat != 0)
        value = flat[hit]
        size = int(np.prod(self.grid))
        starts = np.arange(len(showers) + 1) * size
        first = np.searchsorted(hit, starts)
        hit -= np.repeat(starts[:-1], np.diff(first))
        return _Block(first, hit.astype(np.uint16 if size <= 2**16 else np.uint32), value, mtheta)

    def _read(self, k: int, check: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
        """Dense showers of block ``k`` and their measured angles, if these are not stored."""
        number, start, rows = self._where[k]
        file = self.files[number]
        stop = min(start + file.block_events, file.events)
        showers = file.read_cells(start, stop)
        if len(rows) < len(showers):
            showers = showers[rows - start]
        if check:
            _require_sound(file.path, rows, showers)
        mtheta = measured_angle(showers) if self._measures_angle else None
        if self._crop is not None:
            low, high = self._crop
            showers = np.ascontiguousarray(showers[:, low:high, low:high])
        return showers, mtheta

    def stream(self, check: bool = True) -> Iterator[Batch]:
        """All events in order, a block at a time and past the cache; unchecked cells if asked."""
        for k in range(len(self._where)):
            showers, mtheta = self._read(k, check)
            inside = slice(self.blocks[k], self.blocks[k + 1])
            batch = {"ecal": showers} | {f: v[inside] for f, v in self._columns.items()}
            yield batch if mtheta is None else batch | {"mtheta": mtheta}


def _require_alike(first: ShowerFile, other: ShowerFile) -> None:
    for name, a, b in (
        ("layout", f"{first.layout} angle", f"{other.layout} angle"),
        ("grid", first.grid, other.grid),
        ("incident energies", first.energy is not None, other.energy is not None),
        ("true angles", first.theta is not None, other.theta is not None),
    ):
        if a != b:
            said = {True: "with", False: "without"}
            raise InputError(
                f"{other.path}: expected the {name} of {first.path.name} "
                f"({said.get(a, a) if isinstance(a, bool) else a}), "
                f"found {said.get(b, b) if isinstance(b, bool) else b}; use them separately"
            )


def require_crop(path: Path, grid: tuple[int, ...], crop: tuple[int, int] | None) -> None:
    """Refuse a crop that reaches outside the cells."""
    if crop is not None and not 0 <= crop[0] < crop[1] <= min(grid[:2]):
        raise InputError(
            f"{path}: expected a crop inside the {grid[0]} x {grid[1]} cells, found {crop}"
        )


def _kept_rows(
    file: ShowerFile, energy_window: tuple[float, float] | None, min_sum: float
) -> np.ndarray:
    keep = np.ones(file.events, bool)
    if energy_window is not None and file.energy is not None:
        keep &= (file.energy >= energy_window[0]) & (file.energy <= energy_window[1])
    if min_sum > 0:
        keep &= _visible(file) > min_sum
    return np.flatnonzero(keep)


def _visible(file: ShowerFile) -> np.ndarray:
    """Sum of the cells of each event, GeV."""
    if file.visible is not None:
        return file.visible
    starts = range(0, file.events, file.block_events)
    stops = [min(start + file.block_events, file.events) for start in starts]
    sums = [file.read_cells(a, b).sum((1, 2, 3)) for a, b in zip(starts, stops, strict=True)]
    return np.concatenate(sums)


def _require_sound(path: Path, rows: np.ndarray, showers: np.ndarray) -> None:
    if showers.min() >= 0 and showers.max() < np.inf:
        return
    worst = showers.reshape(len(showers), -1)
    bad = np.flatnonzero(~((worst >= 0) & (worst < np.inf)).all(1))
    cells = worst[bad[0]]
    found = cells[~((cells >= 0) & (cells < np.inf))][0]
    raise InputError(
        f"{path}: expected finite, non-negative cells, found {found} in event {rows[bad[0]]}"
    )
