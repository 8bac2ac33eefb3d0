"""Whether a run goes on with the events that it was trained with, wherever they are now."""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import hepjax
from hepjax import InputError
from hepjax.engine.checkpoint import complete_steps, read_manifest
from hepjax.engine.workload import Sources
from hepjax.formats.source import streamed

SAMPLED = 16
"""Events of each part of the data that are compared when a run is resumed."""


def identity(sources: Sources) -> dict[str, dict[str, Any]]:
    """What a run is trained and judged on: of each part the number of events and a SHA-256 of some.

    It does not depend on where the files are, their names and their layout. Validation events that
    a streamed source takes from its own (``of_training``) are not looked at: a shard that was lost
    meanwhile would change them.
    """
    parts = {"training": sources.train, "validation": sources.validation, "test": sources.test}
    found = {}
    for name, source in parts.items():
        if source is None or getattr(source, "of_training", False):
            continue
        digest = hashlib.sha256()
        if (stream := streamed(source)) is not None:
            digest.update(stream.fingerprint.encode())
            found[name] = {"events": len(source), "sha256": digest.hexdigest()}
            continue
        rows = np.unique(np.linspace(0, len(source) - 1, min(SAMPLED, len(source))).astype(int))
        for field, values in sorted(source[rows].items()):
            digest.update(f"{field} {values.dtype} {values.shape}\n".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        found[name] = {"events": len(source), "sha256": digest.hexdigest()}
    return found


def require_same_data(
    run: Path, sources: Sources, way_out: str = "give the data of then, or another --run"
) -> dict[str, Any]:
    """Refuse other events than those that a run was trained with.

    Args:
      way_out: end of the error.
    Returns:
      what the manifest of its checkpoints keeps: the identity of the data, and the version.
    Raises:
      InputError: naming the part that differs.
    """
    now = identity(sources)
    known = known_data(run) or {}
    before, version = known.get("data", now), known.get("hepjax")
    for part in sorted(before.keys() | now.keys()):
        old, new = before.get(part, {}), now.get(part, {})
        if old.get("events", 0) != new.get("events", 0):
            found = f"{new.get('events', 0)}"
        elif version == hepjax.__version__ and old.get("sha256") != new.get("sha256"):
            found = "as many others"  # readers of another version may give them otherwise
        else:
            continue
        key = {"training": "files"}.get(part, f"{part}_files")
        raise InputError(
            f"data.{key}: expected the {old.get('events', 0)} {part} events that {run} was trained "
            f"with, found {found}; {way_out}"
        )
    return {"data": now, "hepjax": hepjax.__version__}


def known_data(run: Path) -> dict[str, Any] | None:
    """Data and version of the newest manifest that tells them; earlier versions wrote none."""
    folder = run / "checkpoints"
    for step in complete_steps(folder)[::-1]:
        with suppress(InputError):
            manifest = read_manifest(folder, step)
            if isinstance(manifest.get("data"), dict):
                return manifest
    return None
