"""ColliderML (Release 1): Parquet files of events in the Open Data Detector.

Files ``.../<sample>_tracker_hits/*.parquet``, or with ``tracker_hits`` in their own names, and the
particles in files of the same path with ``particles`` in its place; an event is found by
``event_id``, because the two may be cut into files differently.

The Open Data Detector has the layers of the TrackML detector at other places along the beam. A hit
goes to the nearest layer of its volume: numbers of layers differ between versions of the detector,
volumes do not.
"""

import functools
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from hepjax import InputError
from hepjax.formats.damage import reading
from hepjax.formats.files import inside
from hepjax.formats.tracking.detector import PARTS, SURFACES
from hepjax.formats.tracking.event import NOISE, Event, score_weights
from hepjax.formats.tracking.rows import MAGIC, columns_of, count_rows, read_row, require_lists

HITS = {
    "x": "numbers", "y": "numbers", "z": "numbers", "volume_id": "whole", "surface_id": "whole",
}  # fmt: skip
TRUTH = {"particle_id": "whole"}
PARTICLES = {
    "particle_id": "whole", "vx": "numbers", "vy": "numbers", "vz": "numbers", "px": "numbers",
    "py": "numbers", "pz": "numbers", "charge": "numbers",
}  # fmt: skip
VOLUMES = ((16, 17, 18), (23, 24, 25), (28, 29, 30))
"""Of each part of the detector: discs at negative z, cylinders, discs at positive z."""
DISCS = (
    (620.0, 720.0, 840.0, 980.0, 1120.0, 1320.0, 1520.0),
    (1300.0, 1550.0, 1850.0, 2200.0, 2550.0, 2950.0),
    (1300.0, 1600.0, 1900.0, 2250.0, 2600.0, 3000.0),
)
"""abs(z) of the discs in mm (OpenDataDetector, xml); the cylinders are those of TrackML."""
FAR = 50.0
"""mm; a hit is no further from its layer. Modules are up to 26 mm in front of or behind a disc."""


def is_hits(path: Path) -> bool:
    """Whether a file has the columns of ColliderML's tracker hits, or a folder such a file."""
    if path.is_dir():
        return bool(list_files(path))
    if path.suffix != ".parquet" or not path.is_file():  # a pipe would be waited for
        return False
    try:
        return {"event_id", "volume_id", "surface_id"} <= set(columns_of(path))
    except InputError:  # whoever reads it says why it cannot be read
        return "tracker_hits" in f"{path.parent.name}/{path.name}"


def list_files(folder: Path) -> list[Path]:
    """Files of tracker hits in a folder, sorted: of the folder itself or by their names."""
    every = [p for p in inside(folder) if p.suffix == ".parquet"]
    return (
        every if "tracker_hits" in folder.name else [p for p in every if "tracker_hits" in p.name]
    )


def require_hits(path: Path) -> int:
    """How many events a file has, which has to have the columns of hits.

    Raises:
      InputError: damaged, other columns, or identifiers that are no whole numbers.
    """
    require_lists(path, HITS | (TRUTH if "particle_id" in columns_of(path) else {}))
    _event_ids(path)
    return count_rows(path)


def read_event(path: Path, row: int) -> Event:
    """An event, with its truth and particles as far as they are there.

    Weights are those of ``score_weights``, as ColliderML has none. If particles of the event are
    called 0, all identifiers are raised by one, as 0 stands for noise.

    Raises:
      InputError: damaged data, volumes of another detector, hits far from any layer.
    """
    truth = TRUTH if "particle_id" in columns_of(path) else {}
    (found,) = read_row(path, row, HITS | truth)
    if found is None or not len(found["x"]):
        raise InputError(f"{path}: expected at least one hit in row {row}, found none")
    xyz = np.stack([found[k] for k in "xyz"], axis=1)
    surface = surfaces(path, row, xyz, found["volume_id"])
    module = found["surface_id"].astype(np.int32)
    if not truth:
        return Event(xyz, surface, module)
    particle, known = found["particle_id"], _particles(path, row)
    if known is None:
        return Event(xyz, surface, module, particle)
    identifier = known["particle_id"]
    if (identifier == NOISE).any():
        particle, identifier = particle + 1, identifier + 1
    event = Event(
        xyz, surface, module, particle, None, identifier,
        np.stack([known[k] for k in ("vx", "vy", "vz")], 1),
        np.stack([known[k] for k in ("px", "py", "pz")], 1), known["charge"].astype(np.int32),
    )  # fmt: skip
    weight = score_weights(particle, event.of_hits(event.pt))
    return Event(**{**vars(event), "weight": weight})


def surfaces(path: Path, row: int, xyz: np.ndarray, volume: np.ndarray) -> np.ndarray:
    """Number (n,) of the surface of each hit (n, 3).

    Raises:
      InputError: unknown volumes, or hits further than ``FAR`` from each layer of theirs.
    """
    found = np.full(len(xyz), -1, np.int32)
    away = np.full(len(xyz), np.inf)
    radius = np.hypot(xyz[:, 0], xyz[:, 1])
    for part, (volumes, discs) in enumerate(zip(VOLUMES, DISCS, strict=True)):
        for name, side in zip(volumes, (-1, 0, 1), strict=True):
            here = np.flatnonzero(volume == name)
            at = np.array(discs) * side if side else np.array(PARTS[part].radii)
            numbers = _numbers(part, side)
            distance = np.abs((xyz[here, 2] if side else radius[here])[:, None] - np.sort(at))
            away[here], found[here] = distance.min(1), numbers[distance.argmin(1)]
    if (found < 0).any():
        raise InputError(
            f"{path}: expected volumes of the Open Data Detector (16 to 18, 23 to 25, 28 to 30), "
            f"found {volume[found < 0][0]} in row {row}"
        )
    if not (away < FAR).all():
        worst = int(np.flatnonzero(~(away < FAR))[0])
        place = ", ".join(f"{v:g}" for v in xyz[worst])
        raise InputError(
            f"{path}: expected hits within {FAR:g} mm of a layer of their volume, found "
            f"({place}) mm in volume {volume[worst]}, row {row}"
        )
    return found


def _numbers(part: int, side: int) -> np.ndarray:
    """Surfaces of a part: its cylinders outwards (side 0), or the discs of a side by rising z."""
    name = PARTS[part].barrel if side == 0 else PARTS[part].sides[(side + 1) // 2]
    return np.array([k for k, s in enumerate(SURFACES) if s.volume == name], np.int32)


def _particles(path: Path, row: int) -> dict[str, np.ndarray] | None:
    """Those of the event in a row of a file of hits; None without a file of particles."""
    name, folder = path.name, path.parent
    if "tracker_hits" in name:
        beside = [path.with_name(name.replace("tracker_hits", "particles"))]
    else:
        other = folder.with_name(folder.name.replace("tracker_hits", "particles"))
        there = "tracker_hits" in folder.name and other.is_dir()
        beside = [p for p in inside(other) if p.suffix == ".parquet"] if there else []
    event = _event_ids(path)[row]
    for file in beside:
        if file.is_file() and event in (ids := _event_ids(file)):
            require_lists(file, PARTICLES)
            return read_row(file, ids.index(event), PARTICLES)[0]
    return None


def _event_ids(path: Path) -> tuple[int, ...]:
    stamp = path.stat()
    return _ids(path, (stamp.st_size, stamp.st_mtime_ns))


@functools.lru_cache(maxsize=256)
def _ids(path: Path, stamp: tuple[int, int]) -> tuple[int, ...]:
    with reading(path, "Parquet", MAGIC):
        return tuple(pq.read_table(path, columns=["event_id"])["event_id"].to_pylist())
