"""The run directory, the unit that users pass around.

``config.yaml`` (everything resolved), ``hepjax.json`` (versions, devices, goodput),
``metrics.jsonl``, ``checkpoints/step_N`` and ``report/``. A run has begun when it has a checkpoint;
until then any configuration may begin it.
"""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

import hepjax
from hepjax import InputError
from hepjax.engine import locks, older, paths, weights
from hepjax.engine.checkpoint import complete_steps
from hepjax.engine.config import RESUMABLE
from hepjax.engine.provenance import (
    FILE,
    earlier_paths,
    placed,
    provenance,
    read_about,
    written_by,
)
from hepjax.engine.records import write_json, write_text
from hepjax.engine.same_data import known_data
from hepjax.engine.settings import (
    build,
    flatten,
    path_keys,
    to_settings,
    with_paths,
)
from hepjax.formats import strict_yaml
from hepjax.formats.files import nearest

EARLIER_NAMES = 4
"""Names that are kept of data that were moved again and again."""
HEADER = "# hepjax "
"""First words of ``config.yaml``; the version follows."""


class InUseError(InputError):
    """Another process trains in the run directory."""


def read_settings(run: Path) -> dict[str, Any]:
    """The resolved settings of a run of this or an earlier version, under their present names; of
    ``pretrained/NAME``, those of the model that comes with the package.

    Raises:
      InputError: ``run`` is not a run directory, or cannot be read.
    """
    path = (weights.packaged(run) or run) / "config.yaml"
    try:
        settings = strict_yaml.read(path.read_bytes(), str(path))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        there = run.exists()
        found = _kind(run) or ("no config.yaml in it" if there else "none of this name")
        near = "" if there else nearest(run)
        raise InputError(f"{run}: expected a run directory, found {found}{near}") from None
    except OSError as error:
        raise InputError(
            f"{path}: expected the readable configuration of a run, found: {error.strerror}"
        ) from None
    except InputError:
        raise InputError(
            f"{path}: expected the YAML that hepjax wrote, found damage; copy the run again"
        ) from None
    if not isinstance(settings, dict) or not isinstance(settings.get("workload"), str):
        raise InputError(f"{path}: expected the configuration of a run, found no workload in it")
    return older.translated(settings)


def configuration(run: Path, config: type, settings: dict[str, Any]) -> Any:
    """The checked configuration of a run, its paths where the files are now.

    Args:
      config: class of the configuration of the workload.
      settings: see ``read_settings``.
    Raises:
      InputError: settings that this version does not know; it names the version that wrote them.
    """
    own = {key: value for key, value in settings.items() if key != "workload"}
    about = read_about(run)
    moved_from = about.get("directory")
    moved_from = moved_from if isinstance(moved_from, str) else None
    try:
        cfg: Any = build(config, own, stored=True)
    except InputError as error:
        raise InputError(f"{run / 'config.yaml'}: {error}{written_by(run)}") from None
    earlier = earlier_paths(run)
    return with_paths(
        cfg, lambda path, key: [paths.located(path, run, moved_from, earlier.get(path, []))]
    )


def has_begun(run: Path) -> bool:
    """Whether something was trained in it: there is a checkpoint."""
    return bool(complete_steps(run / "checkpoints"))


def stored_settings(workload: str, cfg: Any) -> dict[str, Any]:
    """The settings as a run directory keeps them, their paths absolute."""
    whole = with_paths(cfg, lambda path, key: [os.path.abspath(path)])
    return {"workload": workload} | to_settings(whole)


def open_for_training(run: Path, settings: dict[str, Any], cfg: Any = None) -> None:
    """Begin the run directory, or check that it belongs to the same run.

    The settings of a run that has not begun are saved.

    Args:
      cfg: the configuration behind ``settings``. With it the defaults of settings that an earlier
        version did not have are known, and which settings are paths; data under another name then
        wait for ``require_same_data``, and settings that may change for ``save_settings``.
    Raises:
      InputError: it holds another workload or configuration, or something that is no run.
    """
    path = run / "config.yaml"
    begun = has_begun(run) and path.exists()
    if begun:
        _require_same_run(run, settings, cfg)
    else:
        others = not run.is_dir() or any(not _is_left(p) for p in run.iterdir())
        if run.exists() and not _is_resolved(path) and others:
            raise InputError(f"{run}: expected a run directory or none, found other files in it")
    if not begun or cfg is None:
        save_settings(run, settings)


def save_settings(run: Path, settings: dict[str, Any]) -> None:
    """Write ``config.yaml``, and at first ``hepjax.json``.

    Raises:
      InputError: the disk refused it.
    """
    text = f"{HEADER}{hepjax.__version__}\n{yaml.safe_dump(settings, sort_keys=False)}"
    path, about = run / "config.yaml", read_about(run)
    if not path.exists() or path.read_bytes() != text.encode():
        places = {**earlier_paths(run), **_renamed(run, settings)} if has_begun(run) else {}
        if places or not about:
            write_json(run / FILE, (about or provenance()) | placed(run, places))
        write_text(path, text)


def _renamed(run: Path, settings: dict[str, Any]) -> dict[str, list[str]]:
    """Earlier names of the data whose names in ``config.yaml`` these settings replace."""
    with suppress(InputError):
        before, now, known = flatten(read_settings(run)), flatten(settings), earlier_paths(run)
        return {
            new: [old, *known.get(old, ())][:EARLIER_NAMES]
            for key, value in now.items()
            if key.startswith("data.") and isinstance(value, list)
            and isinstance(before.get(key), list) and len(before[key]) == len(value)
            for old, new in zip(before[key], value, strict=True)
            if old != new and isinstance(old, str) and isinstance(new, str)
        }  # fmt: skip
    return {}


def _is_left(path: Path) -> bool:
    """Whether a killed start may have left this file in a directory without ``config.yaml``."""
    return path.name == "lock" or (path.name.startswith(".") and path.suffix == ".tmp")


def _is_resolved(path: Path) -> bool:
    """Whether a run wrote this ``config.yaml``, not a user: it holds every group."""
    try:
        settings = read_settings(path.parent)
    except InputError:
        if path.exists():
            raise
        return False
    return {"train", "mesh", "input", "checkpoint"} <= settings.keys()


def _require_same_run(run: Path, settings: dict[str, Any], cfg: Any) -> None:
    """Refuse settings other than those the run began with."""
    stored = read_settings(run)
    if stored["workload"] != settings["workload"]:
        raise InputError(
            f"{run}: expected a run of {settings['workload']}, found one of "
            f"{stored['workload']}; give another --run"
        )
    keys: list[str] = []
    if cfg is not None:
        before_cfg = configuration(run, type(cfg), stored)
        stored = {"workload": stored["workload"]} | to_settings(before_cfg)
        keys = sorted({*path_keys(before_cfg), *path_keys(cfg)})
    before, now = flatten(stored), flatten(settings)
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if old == new or key.startswith(RESUMABLE):
            continue
        if key in keys and (_same_paths(old, new) or (key.startswith("data.") and known_data(run))):
            continue
        raise InputError(
            f"{run}: expected {key}={old} as when the run began, found "
            f"{new}; give another --run for another configuration"
        )


def _same_paths(old: Any, new: Any) -> bool:
    one, other = ([x] if isinstance(x, str) else x or [] for x in (old, new))
    return len(one) == len(other) and all(map(paths.same, one, other))


@contextmanager
def gone_if_refused(run: Path) -> Iterator[None]:
    """Take a new run directory away again when bad input ends its training before a checkpoint."""
    new = not run.exists()
    try:
        yield
    except InputError:
        if new and not has_begun(run):
            with suppress(OSError):  # something else is in it, or it was never made
                for name in ("config.yaml", FILE, "lock"):
                    (run / name).unlink(missing_ok=True)
                run.rmdir()
        raise


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

    A file system without locks is told of once.

    Raises:
      InputError: another process trains in it, or it cannot be written.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        file = (run / "lock").open("w")
    except (OSError, ValueError) as error:
        found = _kind(run) or (isinstance(error, OSError) and error.strerror) or str(error)
        raise InputError(f"{run}: expected a writable folder, found: {found}") from None
    with file:
        folder = run / "checkpoints"  # refused at the first save, an epoch would be lost
        if os.path.lexists(folder) and not (
            folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
        ):
            found = _kind(folder) or "no permission to write"
            raise InputError(f"{folder}: expected a writable folder, found: {found}")
        try:
            lacking = locks.lock(file)
        except BlockingIOError:
            raise InUseError(
                f"{run}: expected a run directory in which nobody trains, found that another "
                "process is training in it; wait for its end, or give another --run"
            ) from None
        except OSError as error:
            raise InputError(
                f"{run}: expected a folder that can be locked, found: {error.strerror}"
            ) from None
        if lacking:
            print(
                f"hepjax: warning: {run}: its file system has no locks ({lacking}); training goes "
                "on without one, so start no second training in this run directory",
                file=sys.stderr,
            )
        yield


def _kind(run: Path) -> str:
    """What stands in the place of a run directory; empty for a folder, or nothing."""
    with suppress(OSError, ValueError):
        if run.is_symlink() and not run.exists():
            return f"a link to {os.readlink(run)}, which is not there"
        if run.exists() and not run.is_dir():
            return "a file"
        if not run.exists():
            return next(
                (f"{p} to be a file" for p in run.parents if p.exists() and not p.is_dir()), ""
            )
    return ""
