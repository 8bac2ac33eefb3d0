"""Packed sets of hits: Parquet shards with an event in a row, and a manifest with checksums."""

from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.packed.manifest import checksum, says, sealed
from hepjax.formats.tracking.detector import SURFACES
from hepjax.formats.tracking.event import Event, outside
from hepjax.formats.tracking.rows import read_row, require_lists

FORMAT = "hepjax packed hits 1"
HITS = {"x": "numbers", "y": "numbers", "z": "numbers", "surface": "whole", "module": "whole"}
TRUTH = {"particle": "whole", "weight": "numbers"}
PARTICLES = {
    "identifier": "whole", "charge": "whole",
    **{f"{kind}{axis}": "numbers" for kind in "vp" for axis in "xyz"},
}  # fmt: skip


def is_packed_hits(path: Path) -> bool:
    """Whether a path is the folder of a packed set of hits, sound or not."""
    return says(path, FORMAT)


def list_shards(folder: Path) -> list[tuple[Path, int]]:
    """The shards of a set and how many events each has; all are compared with their checksums.

    Raises:
      InputError: no set, a damaged manifest, or a shard that is missing or differs.
    """
    with sealed(folder, FORMAT) as content:
        shards = [(folder / s["file"], s["events"], s["sha256"]) for s in content["shards"]]
        if not shards or any(p.parent != folder or type(n) is not int for p, n, _ in shards):
            raise ValueError("no shards, or others")
    for path, _, stated in shards:
        if not path.is_file():
            raise InputError(f"{path}: expected a shard, found none; copy it again")
        if checksum(path) != stated:
            raise InputError(
                f"{path}: expected the checksum of the manifest, found another; copy it again"
            )
        require_lists(path, HITS | TRUTH | PARTICLES)
    return [(path, events) for path, events, _ in shards]


def read_event(path: Path, row: int) -> Event:
    """An event of a shard.

    Raises:
      InputError: not what hepjax writes.
    """
    hits, truth, known = read_row(path, row, HITS, TRUTH, PARTICLES)
    if hits is None or not len(hits["x"]):
        raise InputError(f"{path}: expected at least one hit in row {row}, found none")
    xyz = np.stack([hits[a] for a in "xyz"], 1)
    surface = hits["surface"]
    if outside(xyz).any() or not ((surface >= 0) & (surface < len(SURFACES))).all():
        raise InputError(
            f"{path}: expected hits inside the detector, on its surfaces 0 to {len(SURFACES) - 1}, "
            f"found others in row {row}"
        )
    if truth is not None and len(truth["particle"]) != len(xyz):
        raise InputError(
            f"{path}: expected the truth of {len(xyz)} hits, found {len(truth['particle'])} in row "
            f"{row}"
        )
    fields: dict[str, Any] = dict(truth or {})
    if known is not None:
        vectors = {k: np.stack([known[f"{k}{a}"] for a in "xyz"], 1) for k in "vp"}
        fields |= {
            "identifier": known["identifier"], "charge": known["charge"].astype(np.int32),
            "vertex": vectors["v"], "momentum": vectors["p"],
        }  # fmt: skip
    return Event(xyz, surface.astype(np.int32), hits["module"].astype(np.int32), **fields)
