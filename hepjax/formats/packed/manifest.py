"""The manifest of a packed set, ``manifest.json``, which is written last.

It holds its own checksum and the checksums of the shards, so a flipped bit is always found.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepjax import InputError
from hepjax.formats.files import exists_inside
from hepjax.formats.images import Channel, Grid

FILE = "manifest.json"
PLAN_FILE = "pack.json"
"""The inputs of a set that is still being packed."""
FORMAT = "hepjax packed images 1"


@dataclass(frozen=True)
class Shard:
    """One Parquet file of a set."""

    file: str
    events: int
    cells: int
    largest: int
    """Cells of the event that has most, on the grid of the shard."""
    coarsening: tuple[int, ...]
    """Of each channel in this shard."""
    label_events: dict[str, int]
    """Events of each label, by its number."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Meaning:
    """Grid, labels and columns of a shard or of a set."""

    grid: Grid
    """Of a set: the finest that any shard needs; the reader expands coarser shards to it."""
    labels: dict[int, str]
    """Class id to class name of the column ``label``; empty without one."""
    columns: dict[str, str]
    """Columns beside the image and their numpy types."""
    units: dict[str, str]
    """Of these columns, as far as they are known."""


@dataclass(frozen=True)
class Manifest:
    """A whole set."""

    meaning: Meaning
    largest: int
    """Cells of the event that has most, on ``grid``."""
    shards: tuple[Shard, ...]
    made_from: dict[str, Any] | None
    """Input files and settings, for sets made by ``hepjax pack``."""

    @property
    def events(self) -> int:
        """Events of all shards."""
        return sum(shard.events for shard in self.shards)


def parse_meaning(settings: dict[str, Any]) -> Meaning:
    """From JSON, where keys are texts and tuples are lists."""
    grid = settings["grid"]
    return Meaning(
        grid=Grid(tuple(grid["shape"]), tuple(Channel(**c) for c in grid["channels"])),
        labels={int(number): name for number, name in settings["labels"].items()},
        columns=settings["columns"],
        units=settings["units"],
    )


def is_packed(path: Path) -> bool:
    """Whether a path is the folder of a packed set, finished or not."""
    return exists_inside(path, FILE) or exists_inside(path, PLAN_FILE)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a packed set.

    Raises:
      InputError: none there, damaged, or of another version.
    """
    path = folder / FILE
    if not path.exists():
        raise InputError(
            f"{folder}: expected a packed set with {FILE}, found none; interrupted? "
            f"run again: hepjax pack ... --out {folder}"
        )
    try:
        content = json.loads(path.read_bytes())
        stated = content.pop("sha256")
        if content["format"] != FORMAT:
            raise InputError(f"{path}: expected {FORMAT!r}, found {content['format']!r}")
        if stated != seal(content):
            raise ValueError("its checksum differs")
        return Manifest(
            meaning=parse_meaning(content["meaning"]),
            largest=content["largest"],
            shards=tuple(
                Shard(**{**shard, "coarsening": tuple(shard["coarsening"])})
                for shard in content["shards"]
            ),
            made_from=content["made_from"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: expected a sound manifest, found a damaged one ({error}); copy it again"
        ) from None


def seal(content: dict[str, Any]) -> str:
    """SHA-256 of the content of a manifest, but for this number itself."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
