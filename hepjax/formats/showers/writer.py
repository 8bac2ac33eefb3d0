"""Writes showers as HDF5 in the published layouts; reading them is in files.py.

Files appear whole or not at all and hold no host name, and no clock but the one of a full
simulation (``TRUTH``): the same showers give the same bytes, whatever the batches.
"""

import itertools
import os
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from hepjax import InputError, __version__
from hepjax.formats.atomic import make_folder, replacing, unwritable
from hepjax.formats.showers.angle import measured_angle
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.geometry import require_shape, written
from hepjax.formats.showers.layout import (
    CELL_UNIT,
    CELLS,
    GEOMETRY,
    INCIDENT,
    PDG,
    TRUTH,
    VOXELS,
    Layout,
    cells_of,
    dataset_units,
)
from hepjax.formats.source import Batch
from hepjax.formats.units import ENERGY

CHUNK_EVENTS = 16
CHUNK_BYTES = 2**18
"""Cylinders of few voxels have more events in a chunk, to make about as many bytes of it."""
CHUNKS_AHEAD = 16
"""Chunks compressed side by side, while the next showers are made."""
GZIP_LEVEL = 4  # The shuffle filter would make sparse showers larger and slower to read.


class ShowerWriter:
    """One file, written batch by batch inside a ``with`` block.

    Args:
      path: the file; its folder must exist. A file of that name is replaced at the end.
      layout: ``fixed`` writes ``ECAL`` in GeV and ``target`` = (particle code, energy);
        ``angle`` writes ``ECAL`` in GeV x 50, ``energy``, ``theta``, ``mtheta`` and ``sum``
        (in the unit of ``ECAL``); ``calochallenge`` writes ``showers`` and ``incident_energies``
        in MeV.
      total_events: the number of showers to come; ending with another number is a bug.
      particle: a key of ``PDG``.
      calorimeter: whose showers they are; its description is written into the file unless their
        shape names it.
      notes: further attributes of the file, such as the engine that made them.
    Raises:
      InputError: the file cannot be written (no folder, no permission, disk full). Nothing is left
        behind then, nor after any other exception inside the block.
    """

    def __init__(
        self,
        path: str | Path,
        layout: Layout,
        total_events: int | None = None,
        particle: str = "Ele",
        calorimeter: Calorimeter | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        if particle not in PDG:
            raise InputError(f"particle: expected one of {', '.join(PDG)}, found {particle!r}")
        self.path, self.layout, self.total_events = Path(path), layout, total_events
        self.particle, self.calorimeter, self.notes = particle, calorimeter, dict(notes or {})
        self._cells = cells_of(layout)
        self._chunk = CHUNK_EVENTS
        self._waiting: list[np.ndarray] = []  # showers that do not fill a chunk yet
        self._columns: dict[str, list[np.ndarray]] = {}  # everything else, written at the end
        self._received = 0
        self._chunks: deque[Future[bytes]] = deque()  # being compressed

    def __enter__(self) -> "ShowerWriter":
        with ExitStack() as opened:
            partial = opened.enter_context(replacing(self.path))
            self._pool = ThreadPoolExecutor(min(os.cpu_count() or 1, CHUNKS_AHEAD))
            opened.callback(self._pool.shutdown, cancel_futures=True)
            self._disk = opened.enter_context(_Disk(partial, "w+"))
            # Metadata of version 1.10 carry checksums, so that damage shows when reading.
            self._file = h5py.File(self._disk, "w", libver=("v110", "v110"))
            opened.callback(self._file.close)
            self._opened = opened.pop_all()
        if geometry := written(self.calorimeter):
            self.notes = {GEOMETRY: geometry} | self.notes
        for key, text in (
            ("creator", f"hepjax {__version__}"), ("layout", self.layout),
            ("particle", self.particle), *self.notes.items(),
        ):  # fmt: skip
            self._file.attrs[key] = np.bytes_(text.encode())
        return self

    def write(self, batch: Batch) -> None:
        """Append showers.

        Args:
          batch: ``ecal`` (n, x, y, z), or (n, voxels) of a cylinder, GeV, and ``energy`` (n,) GeV;
            layout ``angle`` also needs ``theta`` (n,), polar angle, rad. Those of ``TRUTH`` are
            written as they are; other fields are ignored.
        Raises:
          InputError: values that are negative or not finite, or showers of another shape.
        """
        fields = ("ecal", "energy", "theta") if self.layout == "angle" else ("ecal", "energy")
        rows = {field: np.asarray(batch[field], np.float32) for field in fields}
        for field, values in rows.items():
            if not (np.isfinite(values).all() and (values >= 0).all()):
                raise InputError(
                    f"{self.path}: expected finite, non-negative {field} in the events from "
                    f"{self._received} on, found others; nothing was left behind"
                )
        if self.calorimeter is not None:
            require_shape(self.calorimeter, rows["ecal"].shape[1:], str(self.path))
        stored = self._stored(rows)
        stored |= {key: np.asarray(batch[key], np.float32) for key in TRUTH if key in batch}
        self._received += len(rows["ecal"])
        self._waiting.append(stored.pop(self._cells))
        if self._received == len(rows["ecal"]):
            self._chunk = _chunk_events(self._waiting[0])
        for key, values in stored.items():
            self._columns.setdefault(key, []).append(values)
        if sum(map(len, self._waiting)) >= self._chunk:
            self._compress(whole_chunks=True)
        self._store(keep=CHUNKS_AHEAD)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._opened:  # closes everything, and gives the file its name if all is well
            if error is not None:
                raise error
            self._finish()
            self._file.close()
            self._disk.sync()
            self._check_disk()

    def _stored(self, rows: Batch) -> Batch:
        """The datasets of the layout, from fields in GeV and rad."""
        if self.layout == "fixed":
            code = np.full_like(rows["energy"], PDG[self.particle])
            return {CELLS: rows["ecal"], "target": np.stack([code, rows["energy"]], axis=1)}
        cells = rows["ecal"] * np.float32(ENERGY[CELL_UNIT[self.layout]])
        if self.layout == "calochallenge":
            mev = rows["energy"] * np.float32(ENERGY["MeV"])
            return {VOXELS: cells, INCIDENT: mev[:, None]}
        return {
            CELLS: cells,
            "energy": rows["energy"],
            "theta": rows["theta"],
            "mtheta": measured_angle(cells),
            "sum": cells.sum((1, 2, 3)),
        }

    def _compress(self, whole_chunks: bool) -> None:
        """Hand the showers that wait to the threads that compress; those of whole chunks only."""
        cells = np.concatenate(self._waiting)
        n = len(cells) - (len(cells) % self._chunk if whole_chunks else 0)
        self._waiting = [cells[n:]]
        for start in range(0, n, self._chunk):
            chunk = cells[start : min(start + self._chunk, n)]
            self._chunks.append(self._pool.submit(_compressed, chunk, self._chunk))
        if self._cells not in self._file:
            shape = cells.shape[1:]
            dataset = self._file.create_dataset(
                self._cells, (0, *shape), "<f4", maxshape=(None, *shape),
                chunks=(self._chunk, *shape), compression="gzip", compression_opts=GZIP_LEVEL,
                track_times=False,
            )  # fmt: skip
            dataset.attrs["unit"] = np.bytes_(CELL_UNIT[self.layout])

    def _store(self, keep: int) -> None:
        """Write compressed chunks in order until ``keep`` are left."""
        while len(self._chunks) > keep:
            dataset = self._file[self._cells]
            start = len(dataset)
            dataset.resize(start + self._chunk, axis=0)
            corner = (start,) + (0,) * (dataset.ndim - 1)
            dataset.id.write_direct_chunk(corner, self._chunks.popleft().result())
            self._check_disk()

    def _finish(self) -> None:
        if self._received == 0:
            raise InputError(f"{self.path}: expected at least one shower to write, found none")
        if self.total_events not in (None, self._received):
            raise RuntimeError(
                f"{self.path}: {self.total_events} showers announced, {self._received} written"
            )
        self._compress(whole_chunks=False)
        self._store(keep=0)
        self._file[self._cells].resize(self._received, axis=0)
        units = dataset_units(self.layout)
        for key, parts in self._columns.items():
            dataset = self._file.create_dataset(key, data=np.concatenate(parts), track_times=False)
            dataset.attrs["unit"] = np.bytes_(units[key])

    def _check_disk(self) -> None:
        if self._disk.error:
            raise unwritable(self.path, self._disk.error)


def _chunk_events(showers: np.ndarray) -> int:
    return CHUNK_EVENTS if showers.ndim > 2 else max(CHUNK_EVENTS, CHUNK_BYTES // showers[0].nbytes)


def _compressed(chunk: np.ndarray, events: int) -> bytes:
    """What HDF5's gzip filter makes of a chunk; the last one is filled up with zeros."""
    padding = [(0, events - len(chunk)), *[(0, 0)] * (chunk.ndim - 1)]
    return zlib.compress(np.pad(chunk, padding).astype("<f4", copy=False).data, GZIP_LEVEL)


class _Disk(FileIO):
    """A file that records its first write error and does not raise: HDF5 crashes on a full disk."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        written = 0
        with self._keeping_errors():
            while self.error is None and written < len(view):
                written += super().write(view[written:]) or 0
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        with self._keeping_errors():
            super().truncate(size)
        return size or 0

    def sync(self) -> None:
        """Some file systems report a full disk only now."""
        with self._keeping_errors():
            os.fsync(self.fileno())

    @contextmanager
    def _keeping_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error


def write_showers(
    out_dir: str | Path,
    batches: Iterable[Batch],
    *,
    layout: Layout,
    events_per_file: int,
    particle: str = "Ele",
    calorimeter: Calorimeter | None = None,
    notes: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write showers into numbered files named as published, all of them or none.

    Args:
      out_dir: folder, made if absent; it may not hold HDF5 files yet.
      batches: as for ``ShowerWriter.write``, of any sizes.
      events_per_file: showers in each file; the last one may hold fewer.
      calorimeter, notes: as for ``ShowerWriter``.
    Returns:
      the files, in the order of the showers, which is also their sorted order.
    Raises:
      InputError: the folder cannot be used, the disk is full, or there are no showers.
    """
    if events_per_file < 1:
        raise InputError(f"events per file: expected at least 1, found {events_per_file}")
    out_dir = make_folder(out_dir)
    if present := next(iter(sorted(out_dir.glob("*.h5"))), None):
        raise InputError(
            f"{out_dir}: expected a folder without HDF5 files, found {present.name}; "
            "choose another folder or remove them"
        )
    stem = f"{particle}Escan_RandomAngle_1" if layout == "angle" else f"{particle}Escan_1"
    if layout == "calochallenge":
        stem = f"{'showers' if calorimeter is None else calorimeter.name}_{particle}_1"
    written: list[Path] = []
    try:
        for number, pieces in itertools.groupby(_by_file(batches, events_per_file), lambda p: p[0]):
            path = out_dir / f"{stem}_{number:03d}.h5"
            with ShowerWriter(
                path, layout, particle=particle, calorimeter=calorimeter, notes=notes
            ) as writer:
                for _, piece in pieces:
                    writer.write(piece)
            written.append(path)
        if not written:
            raise InputError(f"{out_dir}: expected at least one shower to write, found none")
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written


def _by_file(batches: Iterable[Batch], events_per_file: int) -> Iterator[tuple[int, Batch]]:
    """The batches cut where a new file begins, each with the number of its file from 1 on."""
    done = 0
    for batch in batches:
        n, start = len(batch["energy"]), 0
        while start < n:
            stop = min(n, start + events_per_file - done % events_per_file)
            yield done // events_per_file + 1, {k: v[start:stop] for k, v in batch.items()}
            done += stop - start
            start = stop
