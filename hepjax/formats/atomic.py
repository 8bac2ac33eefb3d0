"""Files and folders that appear whole or not at all.

They are written under a hidden temporary name beside their place, flushed to the disk (fsync: some
file systems report a full disk only then) and renamed. Whatever goes wrong before the rename, an
older file stays as it was and the temporary one goes. Every refusal of the disk is an
``InputError``: ``<path>: expected to write it, found: <reason>; nothing was left behind``.
"""

import glob
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError

NOTHING_LEFT = "nothing was left behind"


def write_text(path: str | Path, text: str, *, after: str = NOTHING_LEFT) -> None:
    """Write a text file in UTF-8; see ``replacing``."""
    write_bytes(path, text.encode(), after=after)


def write_bytes(path: str | Path, content: bytes, *, after: str = NOTHING_LEFT) -> None:
    """Write a binary file; see ``replacing``."""
    with replacing(path, after=after) as partial:
        partial.write_bytes(content)


def write_json(
    path: str | Path, content: Any, *, indent: int = 2, after: str = NOTHING_LEFT
) -> None:
    """Write a JSON file of ``plain(content)``; see ``replacing``."""
    write_text(path, json.dumps(plain(content), indent=indent, allow_nan=False) + "\n", after=after)


def plain(value: Any) -> Any:
    """The same content in types that JSON has.

    Arrays become lists, NumPy numbers plain ones, keys texts, and NaN and infinity null.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def replacing(path: str | Path, *, after: str = NOTHING_LEFT) -> Iterator[Path]:
    """Write one file inside the block, under the temporary name that is yielded.

    For libraries that open files themselves. An older file is replaced when the block ends.

    Args:
      after: end of the error message, for the user: what is left and what to do.
    Raises:
      InputError: any ``OSError`` in the block or while the file gets its name.
    """
    path = Path(path)
    partial = _temporary(path)
    try:
        yield partial
        _flush(partial)
        os.replace(partial, path)
    except OSError as error:
        raise unwritable(path, error, after) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Write one folder inside the block, under the temporary name that is yielded.

    ``path`` may exist as an empty folder.

    Raises:
      InputError: any ``OSError`` in the block or while the folder gets its name.
    """
    path = Path(path).absolute()
    with scratch(path) as partial:
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                _flush(file)
        os.replace(partial, path)


@contextmanager
def scratch(path: str | Path, *, inside: bool = False) -> Iterator[Path]:
    """A new folder to build the content of ``path`` in; it is removed when the block ends.

    Its files move to their places by ``os.replace``, so it lies on the same disk. What a killed
    process left of the same folder is removed first.

    Args:
      inside: whether the new folder is in the folder ``path``, which is made, or beside it.
    Raises:
      InputError: any ``OSError`` in the block.
    """
    path = Path(path)
    partial = _temporary(path / "files" if inside else path)
    try:
        _remove_left_behind(partial)
        partial.mkdir(parents=True)
        yield partial
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def make_folder(path: str | Path) -> Path:
    """Make a folder and those above it, unless it is there.

    Raises:
      InputError: it cannot be made.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: expected to make this folder, found: {_reason(error)}") from None
    return path


@contextmanager
def no_empty_folder(path: str | Path | None) -> Iterator[None]:
    """Remove ``path`` and folders above it that appear in the block and that an error leaves empty.

    A command that is refused leaves nothing behind, whatever it had made before.
    """
    place = Path(path or ".").absolute()
    missing = [folder for folder in (place, *place.parents) if not os.path.lexists(folder)]
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the first that is not empty, and those above it stay
            for folder in missing:
                folder.rmdir()
        raise


def unwritable(path: str | Path, cause: OSError | str, after: str = NOTHING_LEFT) -> InputError:
    """The error for a file that the disk refused."""
    reason = _reason(cause) if isinstance(cause, OSError) else cause
    return InputError(f"{path}: expected to write it, found: {reason}; {after}")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _temporary(path: Path) -> Path:
    """Hidden, so that readers of a folder do not take it for data; each process has its own."""
    return path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.tmp")


def _remove_left_behind(partial: Path) -> None:
    """Remove what killed processes of this machine left of the same folder."""
    prefix = partial.name.removesuffix(f"{os.getpid()}.tmp")
    for left in partial.parent.glob(f"{glob.escape(prefix)}*.tmp"):
        number = left.name.removeprefix(prefix).removesuffix(".tmp")
        if number.isdecimal() and (int(number) == os.getpid() or not _is_alive(int(number))):
            shutil.rmtree(left, ignore_errors=True)


LEFT = re.compile(r"\..+\.([^.].*)\.(\d+)\.tmp")
"""A temporary name: of what, on which machine, of which process."""


def is_left_behind(path: Path) -> bool:
    """Whether it is a temporary file or folder of a process of this machine that is no more."""
    found = LEFT.fullmatch(path.name)
    if not found or not path.name.endswith(f".{os.uname().nodename}.{found[2]}.tmp"):
        return False
    return not _is_alive(int(found[2]))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's
    return True


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
