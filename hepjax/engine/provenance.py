"""``hepjax.json`` of a run: what made it, where it and its data were, and its goodput."""

import importlib.metadata
import json
import os
import platform
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import hepjax
from hepjax.engine.records import write_json

FILE = "hepjax.json"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "h5py")


def provenance() -> dict[str, Any]:
    """Versions, devices and revision, as ``hepjax.json`` and the report name them."""
    import jax

    from hepjax.ops import active_conv3d

    return {
        "hepjax": hepjax.__version__,
        "revision": _revision(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "platform": jax.default_backend(),
        "devices": [d.device_kind for d in jax.devices()],
        "processes": jax.process_count(),
        "cpus": os.cpu_count(),
        "conv3d": active_conv3d(),
    }


def _revision() -> str | None:
    """The git revision of a source checkout; None when installed from a wheel."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def read_about(run: Path) -> dict[str, Any]:
    """``hepjax.json``; empty when it is not there or damaged."""
    with suppress(OSError, ValueError):
        found = json.loads((run / FILE).read_text())
        return found if isinstance(found, dict) else {}
    return {}


def about(run: Path) -> dict[str, Any]:
    """What ``hepjax.json`` says beside the goodput."""
    return provenance() | placed(run, earlier_paths(run))


def placed(run: Path, earlier: dict[str, list[str]]) -> dict[str, Any]:
    """Where run and data are and were: what moves with the run, or back, is found again."""
    return {"directory": os.path.abspath(run), "earlier_paths": earlier}


def earlier_paths(run: Path) -> dict[str, list[str]]:
    """Names that the files of a setting had before, by their last name."""
    found = read_about(run).get("earlier_paths")
    lists = found.items() if isinstance(found, dict) else ()
    return {new: [str(x) for x in old] for new, old in lists if isinstance(old, list)}


def written_by(run: Path) -> str:
    """The end of an error about what another version of hepjax has written; empty if unknown."""
    about = read_about(run)
    version, revision = about.get("hepjax"), about.get("revision")
    if not isinstance(version, str):
        return ""
    wrote = f"hepjax {version}" + (f" ({revision})" if isinstance(revision, str) else "")
    mine = f"hepjax {hepjax.__version__}"
    mine += f" ({found})" if wrote != mine and (found := _revision()) else ""
    return "" if wrote == mine else f"; {wrote} wrote this run, this is {mine}: use that version"


class Goodput:
    """Time of updates that a checkpoint holds over all time spent, kept in ``hepjax.json``.

    Restoring, compiling and updates that a fault took away count as spent for nothing.
    """

    def __init__(self, run: Path, about: dict[str, Any], began: float) -> None:
        """``began``: start of this session, by ``time.monotonic``."""
        self.path = run / FILE
        self.about = about
        self.seconds, self.productive, self.sessions = 0.0, 0.0, 1
        # Damaged or of another version: begin to count again.
        with suppress(OSError, ValueError, KeyError, TypeError):
            before = json.loads(self.path.read_text())["goodput"]
            self.seconds, self.productive, self.sessions = (
                float(before["seconds"]), float(before["productive_seconds"]),
                int(before["sessions"]) + 1,
            )  # fmt: skip
        self.began = began
        self.unsaved = 0.0

    def worked(
        self, seconds: float, *, saved: bool, resources: dict[str, Any] | None = None
    ) -> None:
        """Add seconds spent on updates; they count once a checkpoint holds them. Write the file.

        Args:
          resources: what ``meter.Meter.read`` says of this session.
        """
        self.unsaved += seconds
        if saved:
            self.productive, self.unsaved = self.productive + self.unsaved, 0.0
        total = self.seconds + time.monotonic() - self.began
        goodput = {
            "seconds": round(total, 3),
            "productive_seconds": round(self.productive, 3),
            "fraction": round(self.productive / total, 4),
            "sessions": self.sessions,
        }
        more = {} if resources is None else {"resources": resources}
        write_json(self.path, {**self.about, "goodput": goodput} | more)
