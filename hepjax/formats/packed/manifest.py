"""What a packed set says about itself: ``manifest.json``, written when all shards are there.

It carries its own checksum and those of the shards, so that no flipped bit goes unnoticed.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hepjax import InputError, __version__
from hepjax.formats.images import Channel, Grid

FILE = "manifest.json"
PLAN_FILE = "pack.json"
"""What a set that is not finished is being made from."""
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
    """What the numbers of a shard or of a set are."""

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


def write_atomically(path: Path, content: str) -> None:
    """Give a text file its name when it is whole and on disk."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with partial.open("w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        partial.unlink(missing_ok=True)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest.json``; from then on the folder is a packed set."""
    content = {
        "format": FORMAT,
        "hepjax": __version__,
        "events": manifest.events,
        **asdict(manifest),
    }
    content = json.loads(json.dumps(content))  # keys become texts and tuples lists, as when read
    content["sha256"] = _checksum(content)
    write_atomically(folder / FILE, json.dumps(content, indent=1) + "\n")


def is_packed(path: Path) -> bool:
    """Whether a path is the folder of a packed set, finished or not."""
    return (path / FILE).exists() or (path / PLAN_FILE).exists()


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
        if stated != _checksum(content):
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


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
