"""Packs files of waveforms into shards of one size with checksums."""

from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError, __version__
from hepjax.formats.atomic import make_folder, write_json
from hepjax.formats.packed.manifest import FILE, seal
from hepjax.formats.waveforms.hdf5 import open_waveforms
from hepjax.formats.waveforms.layout import COLUMNS, EVENT
from hepjax.formats.waveforms.packed import FORMAT, Set, Shard, describe_shard
from hepjax.formats.waveforms.writer import write_waveforms

SHARD_BYTES = 2**26
"""Of waveforms in a shard at most."""
SHARDS = 16
"""Of a set at least, as long as a shard keeps ``FEWEST`` pulses."""
FEWEST = 1024

Advance = Callable[[int], object]


def pack_waveforms(
    paths: Sequence[Path], out: Path, advance: Advance = lambda n: None, *,
    events_per_shard: int | None = None,
) -> Set:  # fmt: skip
    """Write the pulses of files of one kind as a packed set.

    The number of a pulse (``event``) is that of its file, or else its place among all pulses.

    Args:
      out: folder, made if absent; without files of another packing.
      events_per_shard: by default 64 MiB of waveforms or a 16th of a small set.
    Raises:
      InputError: see ``open_waveforms``; or the folder holds something else.
    """
    source = open_waveforms(list(paths))
    meaning = source.meaning
    if (out / FILE).exists():
        raise InputError(
            f"{out}: expected a folder without a packed set, found {FILE}; choose another folder "
            "or remove it"
        )
    make_folder(out)
    size = meaning.samples * np.dtype(meaning.dtype).itemsize
    most = events_per_shard or max(1, min(
        SHARD_BYTES // size, max(FEWEST, ceil(len(source) / SHARDS))
    ))  # fmt: skip
    shards: list[Shard] = []
    for low in range(0, len(source), most):
        rows = np.arange(low, min(low + most, len(source)))
        path = out / f"shard-{len(shards):06d}.h5"
        write_waveforms(path, source[rows], meaning.scale, source.files[0].sample_ns)
        shards.append(describe_shard(path, len(rows)))
        advance(len(rows))
    columns = tuple(name for name in COLUMNS if name in (EVENT, *meaning.columns))
    kept = type(meaning)(meaning.samples, meaning.dtype, meaning.scale, columns)
    found = Set(kept, source.files[0].sample_ns, tuple(shards))
    write_manifest(out, found, __version__)
    return found


def write_manifest(folder: Path, found: Set, version: str) -> None:
    """Write the manifest, which makes a set of the shards.

    Raises:
      InputError: the disk refuses.
    """
    content: dict[str, Any] = {
        "format": FORMAT, "hepjax": version, "events": found.events,
        "samples": found.meaning.samples, "dtype": found.meaning.dtype,
        "scale": found.meaning.scale, "columns": list(found.meaning.columns),
        "sample_ns": found.sample_ns,
        "shards": [
            {"file": s.path.name, "events": s.events, "bytes": s.bytes, "sha256": s.sha256}
            for s in found.shards
        ],
    }  # fmt: skip
    write_json(folder / FILE, content | {"sha256": seal(content)}, indent=1)
