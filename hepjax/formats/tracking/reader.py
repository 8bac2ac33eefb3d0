"""Events of hits in files of any layout: TrackML csv, ColliderML Parquet, packed sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from hepjax.formats.files import as_paths, each_once, require_path
from hepjax.formats.tracking import colliderml, packed, trackml
from hepjax.formats.tracking.event import Event

Layout = Literal["TrackML csv", "ColliderML", "packed hits"]


class Place(NamedTuple):
    """Where an event is."""

    path: Path
    row: int
    """In the file, from 0 on."""
    layout: Layout

    def __str__(self) -> str:
        return str(self.path) if self.layout == "TrackML csv" else f"{self.path}, row {self.row}"


def layout_of(path: Path) -> Layout | None:
    """What a file or folder holds; None if no hits."""
    if packed.is_packed_hits(path):
        return "packed hits"
    if trackml.is_event(path):
        return "TrackML csv"
    return "ColliderML" if colliderml.is_hits(path) else None


def list_events(paths: str | Path | Sequence[str | Path]) -> list[Place]:
    """The events of files and folders, in the order of their paths.

    Raises:
      InputError: nothing there, no hits, or damage that shows before events are read.
    """
    found: list[Place] = []
    csv: list[Path] = []
    for path in each_once(as_paths(paths)):
        require_path(path)
        layout = layout_of(path)
        if layout == "packed hits":
            for shard, events in packed.list_shards(path):
                found += [Place(shard, row, layout) for row in range(events)]
        elif layout == "ColliderML":
            for file in colliderml.list_files(path) if path.is_dir() else [path]:
                events = colliderml.require_hits(file)
                found += [Place(file, row, layout) for row in range(events)]
        else:
            csv.append(path)  # which also says what other paths should be
    if csv or not found:
        found = [Place(path, 0, "TrackML csv") for path in trackml.list_events(csv)] + found
    return found


def read_event(place: Place) -> Event:
    """An event, with its truth and its particles as far as they are there.

    Raises:
      InputError: damaged or incomplete, or hits outside of the detector.
    """
    if place.layout == "TrackML csv":
        return trackml.read_event(place.path)
    read = packed.read_event if place.layout == "packed hits" else colliderml.read_event
    return read(place.path, place.row)
