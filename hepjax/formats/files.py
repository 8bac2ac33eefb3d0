"""Which files a list of paths stands for: the rules that all families of formats share.

A folder stands for the files in it that its family reads. Suffixes count in any case. One file
under several names (links, a relative and an absolute path) counts once. Paths that cannot be read
are refused by name before anything opens them: nothing of this name, no permission, a pipe.
"""

import difflib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from hepjax import InputError
from hepjax.formats.notes import note

UNREAD_SUFFIXES = (".md", ".txt", ".json", ".yaml", ".yml", ".csv", ".log", ".png", ".py")
"""Files beside the data in a folder."""
Paths = str | Path | Sequence[str | Path]
T = TypeVar("T")


def as_paths(paths: Paths) -> list[Path]:
    """One path or many, as a list."""
    return [Path(paths)] if isinstance(paths, str | Path) else list(map(Path, paths))


def kind_of(path: Path) -> Literal["file", "folder"] | None:
    """Whether ``path`` is a regular file or a folder; None if there is nothing of this name.

    Links are followed.

    Raises:
      InputError: a link that leads nowhere, no permission to look, or something that cannot be
        read twice: a pipe, a socket, a device.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise InputError(
                f"{path}: expected a file or folder, found a link to {path.readlink()}, which is "
                "not there"
            ) from None
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a readable path, found {_reason(error)}") from error
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket or device"
    raise InputError(
        f"{path}: expected a regular file, found {kind}, which can be read only once; write it to "
        "a file first"
    )


def require_path(path: Path) -> Literal["file", "folder"]:
    """``kind_of`` a path that must be there.

    Raises:
      InputError: see ``kind_of``; or there is nothing of this name.
    """
    kind = kind_of(path)
    if kind is None:
        raise InputError(
            f"{path}: expected a file or folder, found none of this name{nearest(path)}"
        )
    return kind


def nearest(path: Path) -> str:
    """``; did you mean data/train?`` for a path that is not there and nearly one that is.

    The first part of the path that is missing counts.
    """
    missing = path
    while not os.path.lexists(missing.parent) and missing != missing.parent:
        missing = missing.parent
    try:
        names = [name for name in os.listdir(missing.parent) if name[0] != "."]
    except (OSError, ValueError):
        return ""
    near = difflib.get_close_matches(missing.name, names, n=1)
    return f"; did you mean {missing.parent / near[0]}?" if near else ""


def inside(folder: Path) -> list[Path]:
    """What is in a folder, sorted, without hidden entries.

    Raises:
      InputError: it may not be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != ".")
    except OSError as error:
        raise InputError(
            f"{folder}: expected a folder that may be listed, found {_reason(error)}"
        ) from error


def exists_inside(folder: Path, name: str) -> bool:
    """Whether a folder has a file of this name; False also for what is no folder.

    Raises:
      InputError: no permission to look into it.
    """
    try:
        (folder / name).stat()
    except PermissionError as error:
        raise InputError(f"{folder}: expected a readable path, found {_reason(error)}") from error
    except (OSError, ValueError):
        return False
    return True


def is_regular(path: Path) -> bool:
    """Whether it is a file, or something that cannot be looked at, which reading it will tell."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return True


def by_suffix(path: Path, known: Mapping[str, T]) -> T:
    """What is known for the end of a name (lower case, the name in any case).

    Raises:
      InputError: the name ends otherwise.
    """
    for suffix, found in known.items():
        if has_suffix(path, (suffix,)):
            return found
    *others, last = known
    raise InputError(
        f"{path}: expected a name that ends in {', '.join(others)} or {last}, found "
        f"{path.suffix or 'no such ending'}"
    )


def has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether the name ends with one of ``suffixes`` (lower case), in any case."""
    return path.name.lower().endswith(suffixes)


def list_all(
    paths: Paths,
    files_in: Callable[[Path], Iterable[Path]],
    is_whole: Callable[[Path], bool] = lambda path: False,
) -> list[Path]:
    """The files of ``paths``, sorted, each once.

    Args:
      files_in: the files that a folder stands for; raises InputError if there are none.
      is_whole: whether a path is read as it is though it is no file: the folder of a data set.
    Raises:
      InputError: see ``require_path``; or there are no paths.
    """
    found: set[Path] = set()
    for path in as_paths(paths):
        if not is_whole(path) and require_path(path) == "folder":
            inner = list(files_in(path))
            for file in inner:
                require_path(file)  # a pipe would be waited for
            found.update(inner)
        else:
            found.add(path)
    if not found:
        raise InputError("files: expected at least one file or folder, found none")
    return each_once(sorted(found))


def each_once(paths: Sequence[Path]) -> list[Path]:
    """``paths`` in their order without those that name a file or folder of before; noted."""
    kept: dict[object, Path] = {}
    twice: list[tuple[Path, Path]] = []
    for path in paths:
        first = kept.setdefault(identity(path), path)
        if first != path:
            twice.append((first, path))
    if twice:
        (first, other), more = twice[0], len(twice) - 1
        note(
            f"{other}: the same file as {first}, counts once"
            + (f" (and {more} other names of files that are there already)" if more else "")
        )
    return list(kept.values())


def require_apart(groups: Mapping[str, Sequence[str | Path]]) -> None:
    """Refuse a file or folder that two lists have, under whatever names.

    Args:
      groups: lists of files, folders or splits by the setting that names them.
    Raises:
      InputError: training events would be those that judge the training.
    """
    known: dict[object, tuple[str, Path]] = {}
    for key, paths in groups.items():
        for path in (found for given in as_paths(paths) for found in _with_content(given)):
            before, first = known.setdefault(identity(path), (key, path))
            if before != key:
                other = "it" if str(path) == str(first) else f"the same data, {first}"
                raise InputError(
                    f"{path}: expected it in one of {before} and {key}, found {other} in both; "
                    "leave it out of one"
                )


def _with_content(path: Path) -> Iterator[Path]:
    """A path and the data in it, two folders deep, as far as any family looks for data."""
    yield path
    for pattern in ("*", "*/*"):
        for inner in path.glob(pattern):
            if inner.name[0] not in "._" and not has_suffix(inner, UNREAD_SUFFIXES):
                yield inner


def identity(path: Path) -> object:
    """What two names of one file have in common: equal for links of either kind.

    The split of a data set (``folder:train``) is told apart by its name.
    """
    for candidate, split in ((path, ""), _before_colon(path)):
        try:
            found = candidate.stat()
        except (OSError, ValueError):
            continue
        if found.st_ino:
            return found.st_dev, found.st_ino, split
        return os.path.realpath(candidate), split
    return os.path.abspath(path)


def _before_colon(path: Path) -> tuple[Path, str]:
    name, _, split = path.name.partition(":")
    return path.parent / name, split


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return getattr(error, "strerror", None) or str(error)
