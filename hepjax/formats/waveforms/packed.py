"""Packed sets of waveforms: HDF5 shards of one size with a manifest that has their checksums.

A shard is an ordinary file of waveforms (layout.py). It is read in one go and compared with its
checksum before anything in it is believed.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hepjax import InputError
from hepjax.formats.damage import reading
from hepjax.formats.packed.manifest import checksum, says, sealed
from hepjax.formats.source import Batch
from hepjax.formats.waveforms.hdf5 import File, Meaning, read
from hepjax.formats.waveforms.layout import COLUMNS

FORMAT = "hepjax packed waveforms 1"
MAGIC = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Shard:
    """One file of a set."""

    path: Path
    events: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Set:
    """One or many packed sets, as one list of shards."""

    meaning: Meaning
    sample_ns: float | None
    shards: tuple[Shard, ...]

    @property
    def events(self) -> int:
        """Pulses of all shards."""
        return sum(shard.events for shard in self.shards)

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.bytes for shard in self.shards)


def is_packed_waveforms(path: Path) -> bool:
    """Whether a path is the folder of a packed set of waveforms, sound or not."""
    return says(path, FORMAT)


def read_set(folders: list[Path]) -> Set:
    """The manifests of packed sets, in the order given; opens no shard.

    Raises:
      InputError: a folder without a manifest, a damaged one, or sets that do not go together.
    """
    sets = [_read_one(folder) for folder in folders]
    for folder, found in zip(folders, sets, strict=True):
        if found.meaning != sets[0].meaning:
            raise InputError(
                f"{folder}: expected samples, scale and columns of {folders[0]}, found "
                f"{found.meaning}; use them separately"
            )
    shards = tuple(shard for found in sets for shard in found.shards)
    return Set(sets[0].meaning, sets[0].sample_ns, shards)


def _read_one(folder: Path) -> Set:
    with sealed(folder, FORMAT) as content:
        meaning = Meaning(
            int(content["samples"]), content["dtype"], float(content["scale"]),
            tuple(content["columns"]),
        )  # fmt: skip
        shards = tuple(_shard(folder, entry) for entry in content["shards"])
        if not shards or meaning.samples < 2 or not set(meaning.columns) <= set(COLUMNS):
            raise ValueError("no shards, no samples, or unknown columns")
        return Set(meaning, content["sample_ns"], shards)


def _shard(folder: Path, entry: dict[str, Any]) -> Shard:
    shard = Shard(folder / entry["file"], entry["events"], entry["bytes"], entry["sha256"])
    numbers = type(shard.events) is int and type(shard.bytes) is int
    if not numbers or not 0 < shard.events < 2**31 or shard.path.parent != folder:
        raise ValueError(f"shard {str(entry)[:80]}")
    return shard


def require_sound(found: Set) -> None:
    """Compare all shards with their checksums, for sets that are read as files.

    Raises:
      InputError: naming the first that is missing or differs.
    """
    for shard in found.shards:
        if not shard.path.is_file():
            raise InputError(f"{shard.path}: expected a shard, found none; copy it again")
        if checksum(shard.path) != shard.sha256:
            raise _differs(shard)


def _differs(shard: Shard) -> InputError:
    return InputError(
        f"{shard.path}: expected the checksum of the manifest, found another; copy it again"
    )


def read_shard(shard: Shard, meaning: Meaning) -> Batch:
    """All pulses of a shard, in one read of the file.

    Raises:
      InputError: missing, another checksum, or not what the manifest says.
    """
    try:
        content = shard.path.read_bytes()
    except OSError as error:
        raise InputError(f"{shard.path}: expected a shard, found {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != shard.sha256:
        raise _differs(shard)
    about = File(shard.path, shard.events, meaning, None)
    with reading(shard.path, "HDF5", MAGIC), h5py.File(io.BytesIO(content), "r") as file:
        fields = read(file, about, 0, shard.events)
    if len(fields["waveform"]) != shard.events or fields["waveform"].shape[1] != meaning.samples:
        raise InputError(
            f"{shard.path}: expected {shard.events} pulses of {meaning.samples} samples, found "
            f"{fields['waveform'].shape}; pack again"
        )
    return fields


def empty(meaning: Meaning, events: int) -> Batch:
    """The fields of a shard with zeros in them, for pulses that cannot be read."""
    fields: Batch = {"waveform": np.zeros((events, meaning.samples), meaning.dtype)}
    for name in ("event", *meaning.columns):
        fields[name] = np.zeros(events, COLUMNS[name][0])
    return fields


def describe_shard(path: Path, events: int) -> Shard:
    """The entry of a file that was just written."""
    return Shard(path, events, path.stat().st_size, checksum(path))
