"""What may go: what killed commands left behind, and checkpoints that nothing needs any more.

Only what hepjax itself wrote is ever named: temporary files by the form of their names, saves that
never finished, and whole checkpoints of run directories in which nobody trains. The best epoch and
the newest one stay. Links are not followed.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hepjax import InputError
from hepjax.engine import locks
from hepjax.engine.checkpoint import best_first, complete_steps
from hepjax.formats.atomic import is_left_behind
from hepjax.studies import compare

UNFINISHED = re.compile(r"step_\d+(\.orbax-checkpoint-tmp.*)?")
"""Folders of checkpoints: whole if they have a manifest."""


@dataclass(frozen=True)
class Rest:
    """Something that may go."""

    path: Path
    why: str
    bytes: int


def rests(folder: Path, *, checkpoints: bool) -> list[Rest]:
    """What may go in a folder and the runs below it.

    Args:
      checkpoints: also those that are neither the best nor the newest of their run.
    """
    found = list(_left_behind(folder))
    with suppress(InputError):  # no runs
        for run in compare.find(folder):
            found += _of_run(run, checkpoints)
    return found


def _left_behind(folder: Path) -> Iterator[Rest]:
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(place) / name
            if is_left_behind(path):
                yield Rest(path, "left by a command that was killed", size_of(path))
        folders[:] = [n for n in folders if not is_left_behind(Path(place) / n)]


def _of_run(run: Path, checkpoints: bool) -> list[Rest]:
    if _in_use(run):
        return []
    folder = run / "checkpoints"
    steps = complete_steps(folder)
    found = [
        Rest(path, "a checkpoint that was never finished", size_of(path))
        for path in sorted(folder.glob("step_*"))
        if UNFINISHED.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
        and path.name not in {f"step_{step}" for step in steps}
    ]  # fmt: skip
    if checkpoints and steps:
        kept = {steps[-1], best_first(folder)[0]}
        found += [
            Rest(path, "neither the best nor the newest epoch", size_of(path))
            for step in steps if step not in kept and (path := folder / f"step_{step}")
        ]  # fmt: skip
    return found


def _in_use(run: Path) -> bool:
    """Whether somebody trains in it, or that cannot be told."""
    try:
        with (run / "lock").open("r+") as file:
            locks.lock(file)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def remove(rest: Rest) -> None:
    """Remove it.

    Raises:
      InputError: the disk refused it.
    """
    try:
        if rest.path.is_dir() and not rest.path.is_symlink():
            shutil.rmtree(rest.path)
        else:
            rest.path.unlink()
    except OSError as error:
        raise InputError(
            f"{rest.path}: expected to remove it, found: {error.strerror or error}"
        ) from None


def size_of(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    inner = (Path(place) / name for place, _, files in os.walk(path) for name in files)
    return sum(file.lstat().st_size for file in inner)
