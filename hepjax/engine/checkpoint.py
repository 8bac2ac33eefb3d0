"""Checkpoints: Orbax writes and reads the arrays, this file makes them trustworthy.

A checkpoint is the folder ``step_N`` with a ``manifest.json`` that holds the SHA-256 of each file,
written last: without it a save never finished. Orbax itself restores a flipped bit in silence.
"""

import hashlib
import json
import re
import shutil
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from hepjax.engine.processes import meet, together
from hepjax.engine.records import write_json
from hepjax.errors import InputError

MANIFEST = "manifest.json"


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
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.wait()
        finally:
            self._thread.shutdown()
            self._orbax.close()

    def save(self, step: int, state: Any, about: dict[str, Any]) -> None:
        """Start saving ``state``; ``about`` (epoch, score) goes into the manifest.

        Raises:
          InputError: the disk refused this save or the one before it.
        """
        self.wait()
        path = self.folder / f"step_{step}"
        if path.exists() and jax.process_index() == 0:
            shutil.rmtree(path)  # of a run that died before it wrote the manifest
        meet(f"before saving step {step}")
        try:
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
                write_json(path / MANIFEST, {"step": step, **about, "sha256": _digests(path)})
                self._prune()
        except Exception as error:
            # Orbax and tensorstore report a full disk as several kinds of exception.
            if jax.process_index() == 0:
                for unfinished in self.folder.glob(f"step_{step}*"):
                    shutil.rmtree(unfinished, ignore_errors=True)
            raise self._refused(step, error) from error

    def _refused(self, step: int, error: Exception) -> InputError:
        kept = [s for s in complete_steps(self.folder) if s != step]
        last = f"the last good checkpoint is step {kept[-1]}" if kept else "there is none before it"
        reason = "no space left" if "space left" in str(error) else str(error)[:200]
        path = self.folder / f"step_{step}"
        return InputError(f"{path}: expected to write a checkpoint, found: {reason}; {last}")

    def _prune(self) -> None:
        """Keep the last ``keep`` epoch checkpoints and the newest two of any kind."""
        steps = complete_steps(self.folder)
        epochs = [s for s in steps if read_manifest(self.folder, s).get("score") is not None]
        for step in set(steps) - set(steps[-2:]) - set(epochs[-self.keep :]):
            # Without its manifest a half-removed checkpoint counts as never finished.
            (self.folder / f"step_{step}" / MANIFEST).unlink()
            shutil.rmtree(self.folder / f"step_{step}")


def complete_steps(folder: Path) -> list[int]:
    """The steps that were saved to the end, ascending; their files are not verified here."""
    found = (re.fullmatch(r"step_(\d+)", p.parent.name) for p in folder.glob(f"step_*/{MANIFEST}"))
    return sorted(int(m[1]) for m in found if m)


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
    return manifest


def best_first(folder: Path) -> list[int]:
    """The checkpoints, the epoch of lowest score first; those without a score last, newest first.

    The score is kept for the last epochs only, so this is the published choice of the best epoch.
    """
    scores = {}
    for step in complete_steps(folder):
        try:
            scores[step] = read_manifest(folder, step).get("score")
        except InputError:
            scores[step] = None  # restoring it will say what is wrong
    return sorted(scores, key=lambda s: (scores[s] is None, scores[s] or 0.0, -s))


def verify(folder: Path, step: int) -> dict[str, Any]:
    """The manifest of a checkpoint whose files are all as they were written.

    Raises:
      InputError: a file is missing, new, or differs by as little as one bit.
    """
    manifest = read_manifest(folder, step)
    path = folder / f"step_{step}"
    found = _digests(path)
    for name in sorted(found.keys() | manifest["sha256"].keys()):
        if found.get(name) != manifest["sha256"].get(name):
            state = "missing" if name not in found else "damaged"
            raise InputError(f"{path / name}: expected the file of the manifest, found it {state}")
    return manifest


def _digests(path: Path) -> dict[str, str]:
    files = sorted(
        p for p in path.rglob("*") if p.is_file() and p.name not in (MANIFEST, MANIFEST + ".tmp")
    )
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def restore(folder: Path, step: int, abstract: Any) -> Any:
    """The verified state of ``step`` on the shardings of ``abstract`` (any mesh).

    Raises:
      InputError: it does not verify or does not fit ``abstract``.
    """
    with together():
        if jax.process_index() == 0:  # the files are on a disk that all processes share
            verify(folder, step)
    try:
        with ocp.StandardCheckpointer() as orbax:
            return orbax.restore((folder / f"step_{step}").resolve(), abstract)
    except ValueError as error:
        raise InputError(
            f"{folder / f'step_{step}'}: expected the state of this configuration, found another: "
            f"{str(error)[:200]}"
        ) from error


def restore_first(folder: Path, steps: list[int], abstract: Any) -> tuple[int, Any] | None:
    """The first of ``steps`` that verifies, and its state; standard error names damaged ones.

    Returns:
      None when there are no steps.
    Raises:
      InputError: there are, and none can be used.
    """
    last_error = None
    for step in steps:
        try:
            return step, restore(folder, step, abstract)
        except InputError as error:
            last_error = error
            if jax.process_index() == 0:
                print(f"hepjax: warning: {error}; falling back to the next best", file=sys.stderr)
    if last_error is not None:
        raise InputError(f"{folder}: expected a usable checkpoint, found none; {last_error}")
    return None
