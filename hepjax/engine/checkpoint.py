"""Checkpoints: Orbax writes and reads the arrays, this file makes them trustworthy.

A checkpoint is the folder ``step_N`` with a ``manifest.json`` that holds the SHA-256 of each file
and of itself, written last: without it a save never finished. Orbax itself restores a flipped bit
in silence.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from hepjax import InputError
from hepjax.engine.group.processes import lost_another, meet, together
from hepjax.engine.parts import named
from hepjax.engine.records import plain, write_json

MANIFEST = "manifest.json"
REFUSALS = ("no space left", "read-only file system", "permission denied", "file too large",
            "quota exceeded")  # fmt: skip
"""What a disk says, in messages of Orbax and tensorstore that are long."""


class Checkpoints:
    """The checkpoints of one run: saves in the background, restores what verifies.

    Use as a context manager: leaving it waits for the last save.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self._orbax = ocp.StandardCheckpointer()
        self._thread = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None

    def __enter__(self) -> "Checkpoints":
        logging.getLogger("absl").addFilter(_told_by_us)
        if jax.process_index() == 0:  # what a killed save has left
            for rest in self.folder.glob("step_*.orbax-checkpoint-tmp*"):
                shutil.rmtree(rest, ignore_errors=True)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if lost_another(error):
            return  # a save under way waits for the process that is gone
        try:
            self.wait()
        finally:
            self._thread.shutdown()
            with contextlib.suppress(OSError, ValueError):  # a failed save, which wait() has told
                self._orbax.close()

    def save(self, step: int, state: Any, about: dict[str, Any]) -> None:
        """Start saving ``state``; ``about`` (epoch, score) goes into the manifest.

        Raises:
          InputError: the disk refused this save or the one before it.
        """
        self.wait()
        path = self.folder / f"step_{step}"
        try:
            if path.exists() and jax.process_index() == 0:
                shutil.rmtree(path)  # of a run that died before it wrote the manifest
            meet(f"before saving step {step}")
            self.folder.mkdir(parents=True, exist_ok=True)
            self._orbax.save(path.resolve(), state)
        except (OSError, ValueError) as error:
            raise self._refused(step, error) from error
        self._pending = self._thread.submit(self._finish, step, about)

    def wait(self) -> None:
        """Wait for the save under way.

        Raises:
          InputError: it failed; the earlier checkpoints are untouched.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _finish(self, step: int, about: dict[str, Any]) -> None:
        path = self.folder / f"step_{step}"
        try:
            self._orbax.wait_until_finished()
            if jax.process_index() == 0:
                manifest = plain({"step": step, **about, "sha256": _digests(path)})
                write_json(path / MANIFEST, manifest | {"checksum": _checksum(manifest)})
        except Exception as error:
            # Orbax and tensorstore report a full disk as several kinds of exception.
            raise self._refused(step, error) from error
        if jax.process_index() == 0:
            self._prune()

    def _refused(self, step: int, error: Exception) -> InputError:
        """What to raise; nothing half-written is left, whether the save failed at once or later."""
        path = self.folder / f"step_{step}"
        if jax.process_index() == 0:
            for unfinished in (path, *self.folder.glob(f"{path.name}.orbax-checkpoint-tmp*")):
                shutil.rmtree(unfinished, ignore_errors=True)
        kept = [s for s in complete_steps(self.folder) if s != step]
        last = f"the last good checkpoint is step {kept[-1]}" if kept else "there is none before it"
        reason = next((r for r in REFUSALS if r.lower() in str(error).lower()), None)
        reason = reason or " ".join(str(error).split())[:200]
        return InputError(f"{path}: expected to write a checkpoint, found: {reason}; {last}")

    def _prune(self) -> None:
        """Keep the last ``keep`` epoch checkpoints and the newest two of any kind."""
        steps = complete_steps(self.folder)
        epochs = [s for s in steps if _score(self.folder, s) is not None]
        for step in set(steps) - set(steps[-2:]) - set(epochs[-self.keep :]):
            # Without its manifest a half-removed checkpoint counts as never finished.
            with contextlib.suppress(OSError):  # one that cannot be removed does no harm
                (self.folder / f"step_{step}" / MANIFEST).unlink()
                shutil.rmtree(self.folder / f"step_{step}")


def complete_steps(folder: Path) -> list[int]:
    """The steps that were saved to the end, ascending; their files are not verified here.

    Raises:
      InputError: the folder is there and cannot be read.
    """
    try:
        os.listdir(folder)  # glob finds nothing in what it may not read
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"{folder}: expected a readable folder, found: {error.strerror}") from None
    found = (re.fullmatch(r"step_(\d+)", p.parent.name) for p in folder.glob(f"step_*/{MANIFEST}"))
    return sorted(int(m[1]) for m in found if m)


def _unfinished(folder: Path) -> list[Path]:
    """Checkpoints without a manifest."""
    found = (p for p in folder.glob("step_*") if re.fullmatch(r"step_\d+", p.name))
    return sorted(p for p in found if not (p / MANIFEST).exists())


def read_manifest(folder: Path, step: int) -> dict[str, Any]:
    """The manifest of a checkpoint.

    Raises:
      InputError: it cannot be read.
    """
    path = folder / f"step_{step}" / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except (OSError, ValueError):
        raise InputError(
            f"{path}: expected the manifest of a checkpoint, found a damaged file"
        ) from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("sha256"), dict):
        raise InputError(f"{path}: expected the manifest of a checkpoint, found other JSON")
    checksum = manifest.pop("checksum", None)  # absent in those of before 2026-11-21
    if checksum not in (None, _checksum(manifest)):
        raise InputError(f"{path}: expected the manifest that was written, found it damaged")
    return manifest


def _checksum(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _score(folder: Path, step: int) -> Any:
    """The score of a checkpoint; None without one, or when restoring would say what is wrong."""
    try:
        return read_manifest(folder, step).get("score")
    except InputError:
        return None


def best_first(folder: Path, member: int | None = None) -> list[int]:
    """The checkpoints, the epoch of lowest score first; those without a score last, newest first.

    The score is kept for the last epochs only, so this is the published choice of the best epoch.

    Args:
      member: of a population, whose score counts; by default the mean over the members.
    """

    def score(step: int) -> float | None:
        found = _score(folder, step)
        if not isinstance(found, list):
            return found
        known = [x for x in (found if member is None else [found[member]]) if x is not None]
        return sum(known) / len(known) if known else None

    scores = {step: score(step) for step in complete_steps(folder)}
    return sorted(scores, key=lambda s: (scores[s] is None, scores[s] or 0.0, -s))


def verify(folder: Path, step: int) -> dict[str, Any]:
    """The manifest of a checkpoint whose files are all as they were written.

    Raises:
      InputError: a file is missing, new, or differs by as little as one bit.
    """
    manifest = read_manifest(folder, step)
    path = folder / f"step_{step}"
    try:
        found = _digests(path)
    except OSError as error:
        raise InputError(f"{path}: expected to read it, found: {error.strerror}") from None
    for name in sorted(found.keys() | manifest["sha256"].keys()):
        if found.get(name) != manifest["sha256"].get(name):
            state = "missing" if name not in found else "damaged"
            raise InputError(f"{path / name}: expected the file of the manifest, found it {state}")
    return manifest


def _digests(path: Path) -> dict[str, str]:
    # A killed process may have left the manifest half-written, as ``.manifest.json.<pid>.tmp``.
    files = sorted(
        p for p in path.rglob("*") if p.is_file() and p.name != MANIFEST and p.suffix != ".tmp"
    )
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _told_by_us(record: logging.LogRecord) -> bool:
    """Drop the tracebacks that Orbax logs of a failed save: ``wait`` raises the reason."""
    return record.levelno < logging.ERROR or "orbax" not in record.pathname


def restore(folder: Path, step: int, abstract: Any) -> Any:
    """The verified state of ``step`` on the shardings of ``abstract`` (any mesh).

    Raises:
      InputError: it does not verify or does not fit ``abstract``.
    """
    with together():
        if jax.process_index() == 0:  # the files are on a disk that all processes share
            verify(folder, step)
    path = (folder / f"step_{step}").resolve()
    try:
        with ocp.StandardCheckpointer() as orbax:
            present = _present(abstract)
            if present is None or not _lacks(orbax, path, abstract):
                return orbax.restore(path, abstract)
            return dataclasses.replace(abstract, **orbax.restore(path, present))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / f'step_{step}'}: expected the state of this configuration, found another: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error


def restore_arrays(folder: Path, step: int, sharding: Any) -> dict[str, jax.Array]:
    """All arrays of a verified checkpoint by name, whatever state they make.

    Raises:
      InputError: it does not verify, or cannot be read.
    """
    with together():
        if jax.process_index() == 0:
            verify(folder, step)
    path = (folder / f"step_{step}").resolve()
    try:
        with ocp.StandardCheckpointer() as orbax:
            stored = orbax.metadata(path).item_metadata
            tree = jax.tree.map(
                lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), dict(stored)
            )
            return named(orbax.restore(path, tree))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / f'step_{step}'}: expected a checkpoint, found: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error


def _present(abstract: Any) -> dict[str, Any] | None:
    """The fields of a dataclass that are not None, if it has others."""
    if not dataclasses.is_dataclass(abstract):
        return None
    fields = {f.name: getattr(abstract, f.name) for f in dataclasses.fields(abstract)}
    present = {name: value for name, value in fields.items() if value is not None}
    return present if len(present) < len(fields) else None


def _lacks(orbax: ocp.StandardCheckpointer, path: Path, abstract: Any) -> bool:
    """Whether a checkpoint is of a version that did not have the fields that are None here."""
    stored = orbax.metadata(path).item_metadata
    names = {f.name for f in dataclasses.fields(abstract)}
    return stored is not None and not names <= set(stored.keys())


def restore_first(
    folder: Path,
    steps: list[int],
    abstract: Any,
    read: Callable[[Path, int, Any], Any] = restore,
) -> tuple[int, Any] | None:
    """The first of ``steps`` that verifies, and its state; standard error names damaged ones.

    Args:
      abstract: what ``read`` needs to know of the state.
      read: how a checkpoint is read.
    Returns:
      None when there are no steps.
    Raises:
      InputError: there are, and none can be used.
    """
    last_error = None
    for unfinished in _unfinished(folder) if jax.process_index() == 0 else ():
        print(
            f"hepjax: warning: {unfinished}: expected a {MANIFEST}, found none: its save did not "
            "finish, or it is lost; this checkpoint is not used", file=sys.stderr,
        )  # fmt: skip
    for step in steps:
        try:
            return step, read(folder, step, abstract)
        except InputError as error:
            last_error = error
            if jax.process_index() == 0:
                print(f"hepjax: warning: {error}; falling back to the next best", file=sys.stderr)
    if last_error is not None:
        raise InputError(
            f"{folder}: expected a usable checkpoint, found none ({last_error}); copy them again, "
            "or remove this folder and train anew"
        )
    return None
