"""HDF5 files of showers as a source: events by index, cells decoded by block."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.formats.hdf5 import list_files, open_hdf5
from hepjax.formats.root.card import is_card
from hepjax.formats.root.tree import is_root
from hepjax.formats.showers.angle import measured_angle
from hepjax.formats.showers.calochallenge import describe as describe_cylinder
from hepjax.formats.showers.calochallenge import is_calochallenge
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.cuts import NO_CUTS, Cuts, cropped, window
from hepjax.formats.showers.file import ShowerFile
from hepjax.formats.showers.file import describe as describe_box
from hepjax.formats.showers.layout import CELLS, GEOMETRY_HINT, Unit
from hepjax.formats.source import Batch
from hepjax.formats.sparse import Block, SparseBlocks, SparseImages, by_event, dense

CACHE_BYTES = 2**30
"""Decoded blocks kept, sparse; 8192 showers of 25x25x25 cells, 20 % of them hit, take 0.15 GiB."""


def open_shower_files(
    paths: str | Path | Sequence[str | Path],
    *,
    unit: Unit = "auto",
    calorimeter: Calorimeter | None = None,
    cuts: Cuts = NO_CUTS,
    cache_bytes: int = CACHE_BYTES,
) -> "ShowerSource":
    """``open_showers`` (reader.py) for HDF5 files."""
    files = [describe(path, unit, calorimeter) for path in list_files(paths)]
    for other in files[1:]:
        _require_alike(files[0], other)
    if files[0].calorimeter is None:
        raise InputError(
            f"{files[0].path}: expected voxels of a public data set or a description of the "
            f"calorimeter, found {files[0].grid[0]} voxels without one; {GEOMETRY_HINT}"
        )
    cuts.require_crop(files[0].path, files[0].grid)
    kept = [cuts.kept(f.events, f.energy, partial(_visible, f)) for f in files]
    if not sum(map(len, kept)):
        events = f"{sum(f.events for f in files)} in {len(files)} file(s)"
        raise InputError(f"{files[0].path}: {cuts.none_left(events)}")
    return ShowerSource(files, kept, cuts.crop, cache_bytes)


def describe(path: Path, unit: Unit = "auto", calorimeter: Calorimeter | None = None) -> ShowerFile:
    """Everything of a file but the cells, whichever layout it has; see ``file.describe``."""
    if is_card(path) or is_root(path):
        from hepjax.formats.root.showers import describe_root_showers

        return describe_root_showers(path, unit, calorimeter)
    with open_hdf5(path) as opened:
        cylinder = is_calochallenge(opened) and CELLS not in opened
    return (describe_cylinder if cylinder else describe_box)(path, unit, calorimeter)


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
        self.grid = cropped(files[0].grid, crop)
        assert files[0].calorimeter is not None
        self.calorimeter = window(files[0].calorimeter, crop)
        """Whose showers these are, after the crop."""
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
        self._record = np.dtype([("mtheta", np.float32)] if self._measures_angle else [])
        self._events = SparseBlocks(self.blocks, self._decode, self._record, cache_bytes)

    def __len__(self) -> int:
        return int(self.blocks[-1])

    def __getitem__(self, indices: np.ndarray) -> Batch:
        """Events ``indices`` (n,), see ``open_showers``."""
        views, measured = self._events[indices]
        cells = dense(views, int(np.prod(self.grid))).reshape(-1, *self.grid)
        stored = {field: values[indices] for field, values in self._columns.items()}
        return {"ecal": cells} | stored | measured

    @property
    def energy(self) -> np.ndarray | None:
        """(n,) float32 incident energies, GeV; None if no file stores them."""
        return self._columns.get("energy")

    @property
    def theta(self) -> np.ndarray | None:
        """(n,) float32 true polar angles, rad; None at normal incidence or if not stored."""
        return self._columns.get("theta")

    @property
    def _measures_angle(self) -> bool:
        return self.files[0].layout == "angle" and "mtheta" not in self._columns

    def _decode(self, k: int) -> Block:
        showers, mtheta = self._read(k)
        size = int(np.prod(self.grid))
        flat = showers.reshape(-1)
        hit = np.flatnonzero(flat != 0)
        first, cell = by_event(hit, len(showers), size)
        short = np.uint16 if size <= 2**16 else np.uint32
        records = np.empty(len(showers), self._record)
        if mtheta is not None:
            records["mtheta"] = mtheta
        return Block(SparseImages(first, cell.astype(short), flat[hit]), records)

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
    if other.calorimeter != first.calorimeter:
        raise InputError(
            f"{other.path}: expected the calorimeter of {first.path} "
            f"({_name(first)}), found {_name(other)} as described in the file; use them separately"
        )


def _name(file: ShowerFile) -> str:
    return "of unknown name" if file.calorimeter is None else file.calorimeter.name


def _visible(file: ShowerFile) -> np.ndarray:
    """Sum of the cells of each event, GeV."""
    if file.visible is not None:
        return file.visible
    starts = range(0, file.events, file.block_events)
    stops = [min(start + file.block_events, file.events) for start in starts]
    sums = [
        file.read_cells(a, b).reshape(b - a, -1).sum(1) for a, b in zip(starts, stops, strict=True)
    ]
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
