"""The manifest of a packed set, ``manifest.json``, which is written last.

It holds its own checksum and the checksums of the shards, so a flipped bit is always found.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.files import exists_inside, require_path
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
    """From JSON, where keys are texts and tuples are lists.

    Raises:
      Exception: nearly any, if it is not what hepjax writes.
    """
    grid = settings["grid"]
    shape, channels = tuple(grid["shape"]), tuple(Channel(**c) for c in grid["channels"])
    _require(bool(shape and channels) and all(map(_is_count, shape)), "grid", grid)
    for channel in channels:
        _require(_is_count(channel.coarsening), "coarsening", channel.coarsening)
        for text in (channel.name, channel.unit):
            _require(isinstance(text, str), "channel", text)
    labels = {int(number): name for number, name in settings["labels"].items()}
    columns, units = settings["columns"], settings["units"]
    for texts in (labels, columns, units):
        _require(all(isinstance(text, str) for text in texts.values()), "texts", texts)
    _require(all(np.dtype(kind).kind in "fiub" for kind in columns.values()), "columns", columns)
    return Meaning(Grid(shape, channels), labels, columns, units)


def _parse_shard(entry: dict[str, Any]) -> Shard:
    """The entry of a shard, from JSON; see ``parse_meaning``."""
    shard = Shard(**{**entry, "coarsening": tuple(entry["coarsening"])})
    _require(isinstance(shard.file, str) and Path(shard.file).name == shard.file, "file", shard)
    _require(isinstance(shard.sha256, str), "sha256", shard.sha256)
    _require(_is_count(shard.events), "events", shard.events)
    for number in (shard.cells, shard.largest, shard.bytes, *shard.label_events.values()):
        _require(type(number) is int and number >= 0, "numbers", number)
    _require(all(map(_is_count, shard.coarsening)), "coarsening", shard.coarsening)
    return shard


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value < 2**40


def _require(condition: bool, what: str, found: object) -> None:
    if not condition:
        raise ValueError(f"{what}: {str(found)[:80]}")


def is_packed(path: Path) -> bool:
    """Whether a path is the folder of a packed set, finished or not."""
    return exists_inside(path, FILE) or exists_inside(path, PLAN_FILE)


def says(path: Path, form: str) -> bool:
    """Whether a path is the folder of a packed set of this format, in any version, sound or not."""
    if not exists_inside(path, FILE):
        return False
    try:
        return form.rsplit(" ", 1)[0] in (path / FILE).read_text(errors="replace")[:4096]
    except OSError:
        return False


@contextmanager
def sealed(folder: Path, form: str) -> Iterator[dict[str, Any]]:
    """The content of the manifest of a packed set; an error in the block means damage.

    Args:
      form: the format that it has to state.
    Raises:
      InputError: none there, damaged, or of another format.
    """
    path = folder / FILE
    require_path(folder)
    if not path.exists():
        raise InputError(
            f"{folder}: expected a packed set with {FILE}, found none; interrupted? "
            f"run again: hepjax pack ... --out {folder}"
        )
    try:
        content = json.loads(path.read_bytes())
        stated = content.pop("sha256")
        if content["format"] != form:
            raise InputError(f"{path}: expected {form!r}, found {content['format']!r}")
        if stated != seal(content):
            raise ValueError("its checksum differs")
        yield content
    except (Exception, MemoryError) as error:  # JSON of any form, and any refusal of the disk
        if isinstance(error, InputError) and str(error).startswith(str(path)):
            raise
        raise InputError(
            f"{path}: expected a sound manifest, found a damaged one ({error}); copy it again"
        ) from None


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a packed set.

    Raises:
      InputError: none there, damaged, or of another version.
    """
    with sealed(folder, FORMAT) as content:
        manifest = Manifest(
            meaning=parse_meaning(content["meaning"]),
            largest=content["largest"],
            shards=tuple(_parse_shard(shard) for shard in content["shards"]),
            made_from=content["made_from"],
        )
        largest = manifest.largest
        fits = type(largest) is int and 0 <= largest <= manifest.meaning.grid.size < 2**31
        _require(fits, "largest", largest)
        _require(bool(manifest.shards), "shards", "none")
        return manifest


def seal(content: dict[str, Any]) -> str:
    """SHA-256 of the content of a manifest, but for this number itself."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
