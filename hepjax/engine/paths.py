"""What a path in a setting or an option is: ``~``, ``$NAME`` and patterns, as a shell has them.

Shells expand them outside quotes only, and README shows quotes. A name that exists as it is written
is always taken as it is.
"""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hepjax import InputError
from hepjax.formats import access

VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def expand(text: str, key: str) -> list[str]:
    """The names that a path stands for: one, or those that match its pattern, sorted.

    Args:
      key: the setting or option, for errors.
    Raises:
      InputError: an unknown user or variable, or a pattern that nothing matches, or that begins in
        a folder that may not be read.
    """
    path = expand_one(text, key)
    if not glob.has_magic(path) or os.path.lexists(path):
        return [path]
    found = sorted(glob.glob(path, recursive=True))
    if not found and (refused := access.denied(_before_pattern(path))):
        raise InputError(refused)
    if not found and ("*" in path or "?" in path):
        raise InputError(f"{key}: expected files that match {text!r}, found none")
    return found or [path]  # a name with brackets, such as a part of a split


def _before_pattern(path: str) -> Path:
    """The folder that a pattern begins in."""
    parts = Path(path).parts
    first = next(k for k, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first])


def expand_one(text: str, key: str) -> str:
    """The same for what is one path, perhaps still to be written: patterns mean nothing.

    Raises:
      InputError: an unknown user or variable.
    """
    if "\0" in text:
        raise InputError(f"{key}: expected a path, found one with a NUL character")
    if os.path.lexists(text):
        return text
    path = VARIABLE.sub(lambda found: _variable(found, text, key), text)
    if path.startswith("~"):
        path = os.path.expanduser(path)
        if path.startswith("~"):
            raise InputError(f"{key}: expected a known user, found {text!r}")
    return path


def given(value: object, key: str) -> object:
    """An option of the command line: a path, a list of paths, or something else, as it is."""
    if isinstance(value, Path):
        return Path(expand_one(str(value), key))
    if isinstance(value, list) and value and all(isinstance(item, Path) for item in value):
        return [Path(path) for item in value for path in expand(str(item), key)]
    return value


def located(
    path: str, run: Path, moved_from: str | None = None, earlier: Sequence[str] = ()
) -> str:
    """Where a path that a run directory keeps is now.

    A relative one (runs of before 28 November 2026) is looked for from the run upwards, then from
    the working directory. An absolute one that is gone is looked for where the run is, in case both
    moved together, then under its earlier names.

    Args:
      moved_from: the absolute path of the run directory when it wrote the path.
    """
    here = run.absolute()
    tried: list[str] = []
    if not os.path.isabs(path):
        tried = [str(parent / path) for parent in here.parents if parent != parent.parent]
    elif not os.path.lexists(path):
        if moved_from:
            tried = [os.path.normpath(here / os.path.relpath(path, moved_from))]
        tried += earlier
    return next((place for place in tried if os.path.lexists(place)), path)


def same(one: str, other: str) -> bool:
    """Whether two paths are the same file or folder, however they are spelt."""
    return os.path.realpath(one) == os.path.realpath(other)


def _variable(found: re.Match[str], text: str, key: str) -> str:
    name = found[1] or found[2]
    if name not in os.environ:
        raise InputError(
            f"{key}: expected the environment variable {name} of {text!r} to be set, found that it "
            "is not; set it or write the whole path"
        )
    return os.environ[name]
