"""Packed showers as a source: dense as the files give them, or sparse for the compiled step."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepjax import InputError
from hepjax.formats.packed.manifest import read_manifest
from hepjax.formats.packed.reader import PackedSource, Take, open_packed
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.calorimeters import read_yaml
from hepjax.formats.showers.cuts import Cuts, cropped, window
from hepjax.formats.showers.geometry import guessed, require_shape
from hepjax.formats.showers.layout import CHANNEL, GEOMETRY, Unit
from hepjax.formats.source import Batch
from hepjax.formats.sparse import dense

if TYPE_CHECKING:
    import jax


def open_packed_showers(
    paths: Sequence[Path],
    *,
    unit: Unit,
    calorimeter: Calorimeter | None,
    cuts: Cuts,
    cache_bytes: int,
    sparse: bool,
) -> "PackedShowers":
    """Packed showers as ``open_showers`` gives them; see there."""
    packed = open_packed(paths, cache_bytes=cache_bytes)
    where, grid = paths[0], packed.grid
    if len(grid.shape) not in (1, 3) or grid.names != (CHANNEL.name,):
        raise InputError(
            f"{where}: expected packed showers, found images of {grid.shape} pixels with channels "
            f"{', '.join(grid.names)}"
        )
    if unit not in ("auto", "GeV"):
        raise InputError(f"{where}: expected unit auto or GeV for packed showers, found {unit!r}")
    cuts.require_crop(where, packed.grid.shape)
    found = _calorimeter(paths, grid.shape, calorimeter)
    energy = packed.column("energy") if "energy" in packed.columns else None
    rows = cuts.kept(len(packed), energy, lambda: _visible(packed))
    if not len(rows):
        raise InputError(f"{where}: {cuts.none_left(len(packed))}")
    # A sparse cell travels as two numbers, a dense one as one.
    smaller = 2 * packed.width < np.prod(cropped(grid.shape, cuts.crop))
    return (SparseShowers if sparse and smaller else PackedShowers)(packed, rows, cuts.crop, found)


def _calorimeter(
    paths: Sequence[Path], shape: tuple[int, ...], given: Calorimeter | None
) -> Calorimeter:
    """Whose showers these are: as given, as the sets say, or as their shape tells."""
    texts = {(read_manifest(path).made_from or {}).get(GEOMETRY) for path in paths}
    if len(texts) > 1:
        raise InputError(
            f"{paths[0]}: expected sets of one calorimeter, found {len(texts)}; use them separately"
        )
    text, where = texts.pop(), str(paths[0])
    found = given or (read_yaml(text, where) if text else guessed(shape))
    if found is None:
        raise InputError(
            f"{where}: expected a description of the calorimeter, found {shape[0]} voxels without "
            "one; pack the files again with --geometry"
        )
    require_shape(found, shape, where)
    return found


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
        self,
        packed: PackedSource,
        rows: np.ndarray,
        crop: tuple[int, int] | None,
        calorimeter: Calorimeter,
    ) -> None:
        self.packed, self._rows, self._crop = packed, rows, crop
        self.calorimeter = window(calorimeter, crop)
        """Whose showers these are, after the crop."""
        self.grid = cropped(packed.grid.shape, crop)
        self.blocks = np.unique(np.searchsorted(rows, packed.blocks))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        """Events ``indices`` (n,), see ``open_showers``."""
        views, columns = self.packed.sparse(self._rows[np.asarray(indices)])
        showers = dense(views, self.packed.grid.size).reshape(-1, *self.packed.grid.shape)
        if self._crop is not None:
            low, high = self._crop
            showers = np.ascontiguousarray(showers[:, low:high, low:high])
        columns.pop("visible", None)
        return {"ecal": showers} | columns

    @property
    def energy(self) -> np.ndarray | None:
        """(n,) float32 incident energies, GeV; None if they are not stored."""
        return self._column("energy")

    @property
    def theta(self) -> np.ndarray | None:
        """(n,) float32 true polar angles, rad; None at normal incidence or if not stored."""
        return self._column("theta")

    def _column(self, name: str) -> np.ndarray | None:
        return self.packed.column(name)[self._rows] if name in self.packed.columns else None

    def stream(self, check: bool = True) -> Iterator[Batch]:
        """All events in order, a block at a time; the cells were checked when they were packed."""
        for low, high in zip(self.blocks[:-1], self.blocks[1:], strict=True):
            yield self[np.arange(low, high)]


class SparseShowers(PackedShowers):
    """The same events sparse, all batches of one width; ``ops/densify.py`` undoes it on the device.

    The width is known when the set is opened, so that there is one compiled step and every process
    of a group pads alike. On 25 x 25 x 25 cells a shower travels as half of its dense bytes.
    """

    def __init__(
        self,
        packed: PackedSource,
        rows: np.ndarray,
        crop: tuple[int, int] | None,
        calorimeter: Calorimeter,
    ) -> None:
        super().__init__(packed, rows, crop, calorimeter)
        self._cell = None if crop is None else _cells(packed.grid.shape, crop)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        """Events ``indices`` (n,): ``cell`` and ``value`` (n, width), and the columns."""
        return self._translated(self.packed[self._rows[np.asarray(indices)]], self._cell)

    def _translated(self, batch: Any, cell: Any) -> Any:
        """A batch of the packed set on the cropped grid."""
        fields = {name: values for name, values in batch.items() if name != "visible"}
        return fields if cell is None else fields | {"cell": cell[fields["cell"]]}

    def resident(self) -> tuple[dict[str, Any], Take]:
        """Arrays of all events, and the pure function from them and events (n,) to a batch."""
        arrays, take_packed = self.packed.resident()
        own = {"row_of_event": self._rows.astype(np.int32)}
        if self._cell is not None:
            own["cell_of_cell"] = self._cell

        def take(arrays: dict[str, Any], indices: "jax.Array") -> dict[str, "jax.Array"]:
            stored = {name: array for name, array in arrays.items() if name not in own}
            batch = take_packed(stored, arrays["row_of_event"][indices])
            return self._translated(batch, arrays.get("cell_of_cell"))

        return arrays | own, take


def _cells(shape: tuple[int, ...], crop: tuple[int, int]) -> np.ndarray:
    """The cell of the cropped grid for each stored cell and, last, for the padding."""
    low, high = crop
    inside = cropped(shape, crop)
    size = int(np.prod(inside))
    cell = np.full(shape, size, np.int32)
    cell[low:high, low:high] = np.arange(size, dtype=np.int32).reshape(inside)
    return np.append(cell, np.int32(size))
