"""The run directory, the unit that users pass around.

``config.yaml`` (everything resolved), ``hepjax.json`` (versions, devices, goodput),
``metrics.jsonl``, ``checkpoints/step_N`` and ``report/``.
"""

import fcntl
import importlib.metadata
import json
import os
import platform
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

import hepjax
from hepjax import InputError
from hepjax.engine.config import RESUMABLE, flatten
from hepjax.engine.records import write_json, write_text

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "h5py")


def read_settings(run: Path) -> dict[str, Any]:
    """The resolved settings of a run.

    Raises:
      InputError: ``run`` is not a run directory.
    """
    path = run / "config.yaml"
    try:
        settings = yaml.safe_load(path.read_text())
    except OSError:
        raise InputError(f"{run}: expected a run directory, found no config.yaml in it") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise InputError(f"{path}: expected the YAML that hepjax wrote, found damage") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("workload"), str):
        raise InputError(f"{path}: expected the configuration of a run, found no workload in it")
    return settings


def open_for_training(run: Path, settings: dict[str, Any]) -> None:
    """Begin the run directory, or check that it belongs to the same run, and save the settings.

    Raises:
      InputError: it holds another workload or configuration, or something that is no run.
    """
    path = run / "config.yaml"
    if path.exists():
        before, now = flatten(read_settings(run)), flatten(settings)
        if before["workload"] != now["workload"]:
            raise InputError(
                f"{run}: expected a run of {now['workload']}, found one of {before['workload']}; "
                "give another --run"
            )
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key) and not key.startswith(RESUMABLE):
                raise InputError(
                    f"{run}: expected {key}={before.get(key)} as when the run began, found "
                    f"{now.get(key)}; give another --run for another configuration"
                )
    elif run.exists() and (not run.is_dir() or any(p.name != "lock" for p in run.iterdir())):
        raise InputError(f"{run}: expected a run directory or none, found other files in it")
    write_text(path, yaml.safe_dump(settings, sort_keys=False))


def require_shared(run: Path) -> None:
    """Refuse to train with a run directory that only some processes of a group see.

    Call it where another process has opened the directory before.

    Raises:
      InputError: it is not there; each process would save its own part to a disk of its own.
    """
    if not (run / "config.yaml").exists():
        raise InputError(
            f"--run: expected a folder that all processes see, found {run} of process 0 to be "
            f"another than that of {socket.gethostname()}; take one on shared storage"
        )


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the run directory alone; the lock goes with the process, however it ends.

    Raises:
      InputError: another process trains in it, or it cannot be written.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        file = (run / "lock").open("w")
    except OSError as error:
        raise InputError(f"{run}: expected a writable folder, found: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{run}: another process is training in this run directory") from None
        yield


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


class Goodput:
    """Time of updates that a checkpoint holds over all time spent, kept in ``hepjax.json``.

    Restoring, compiling and updates that a fault took away count as spent for nothing.
    """

    def __init__(self, run: Path, about: dict[str, Any], began: float) -> None:
        """``began``: start of this session, by ``time.monotonic``."""
        self.path = run / "hepjax.json"
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

    def worked(self, seconds: float, *, saved: bool) -> None:
        """Add seconds spent on updates; they count once a checkpoint holds them. Write the file."""
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
        write_json(self.path, {**self.about, "goodput": goodput})
