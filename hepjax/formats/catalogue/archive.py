"""Unpacks tar and zip archives beside themselves: only files and folders, and only below.

A member that climbs out (``../``, an absolute name), a link, a device or a second file of one name
is refused before anything is written. The folder appears whole or not at all.
"""

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from hepjax import InputError
from hepjax.formats.atomic import replacing_folder

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
CHUNK = 2**20


@dataclass(frozen=True)
class _Member:
    """A file of an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether a file of this name is an archive."""
    return path.name.lower().endswith(SUFFIXES)


def folder_of(archive: Path) -> Path:
    """The folder that an archive is unpacked to: beside it, with its name without the suffix.

    Raises:
      InputError: a suffix that is of no archive.
    """
    suffix = next((s for s in SUFFIXES[::-1] if archive.name.lower().endswith(s)), None)
    if suffix is None or len(suffix) == len(archive.name):
        raise InputError(
            f"{archive}: expected an archive ({', '.join(SUFFIXES)}), found another name"
        )
    return archive.with_name(archive.name[: -len(suffix)])


def unpack(archive: Path, advance: Callable[[int], object] = lambda n: None) -> Path:
    """Unpack an archive to ``folder_of(archive)``; one that is there stays as it is.

    Args:
      advance: told how many bytes are written.
    Returns:
      the folder.
    Raises:
      InputError: no archive, damage, no room, or a member that is refused.
    """
    folder = folder_of(archive)
    if folder.exists():
        return folder
    with _members(archive) as members:
        needed, free = sum(m.size for m in members), shutil.disk_usage(archive.parent).free
        if needed > free:
            raise InputError(
                f"{archive}: expected {needed / 1e9:.1f} GB of free disk to unpack it, found "
                f"{free / 1e9:.1f}"
            )
        with replacing_folder(folder) as partial:
            for member in members:
                place = partial / member.name
                place.parent.mkdir(parents=True, exist_ok=True)
                with member.open() as packed, place.open("xb") as file:
                    _write(archive, member, packed, file, advance)
    return folder


def _write(
    archive: Path, member: _Member, packed: IO[bytes], file: IO[bytes],
    advance: Callable[[int], object],
) -> None:  # fmt: skip
    left = member.size
    while chunk := packed.read(min(CHUNK, left + 1)):
        left -= len(chunk)
        if left < 0:
            raise _damaged(archive, f"more of {member.name} than it states")
        file.write(chunk)
        advance(len(chunk))
    if left:
        raise _damaged(archive, f"{member.name} cut off")


@contextmanager
def _members(archive: Path) -> Iterator[list[_Member]]:
    """The files in an archive, all names checked."""
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as zipped:
                yield _checked(archive, list(_of_zip(archive, zipped)))
        else:
            with tarfile.open(archive) as tarred:
                yield _checked(archive, list(_of_tar(archive, tarred)))
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise _damaged(archive, str(error) or type(error).__name__) from None
    except RuntimeError as error:  # zipfile: encrypted
        raise _damaged(archive, str(error)) from None
    except OSError as error:
        raise _damaged(archive, error.strerror or str(error)) from None


def _of_zip(archive: Path, zipped: zipfile.ZipFile) -> Iterator[_Member]:
    for info in zipped.infolist():
        if stat.S_ISLNK(info.external_attr >> 16):
            raise _refused(archive, info.filename, "a link")
        if not info.is_dir():
            yield _Member(info.filename, info.file_size, _opener(zipped.open, info))


def _of_tar(archive: Path, tarred: tarfile.TarFile) -> Iterator[_Member]:
    for info in tarred:
        if info.issym() or info.islnk():
            raise _refused(archive, info.name, "a link")
        if not (info.isfile() or info.isdir()):
            raise _refused(archive, info.name, "a device")
        if info.isfile():
            yield _Member(info.name, info.size, _opener(tarred.extractfile, info))


def _opener(open_member: Callable[[Any], Any], info: Any) -> Callable[[], IO[bytes]]:
    return lambda: open_member(info)


def _checked(archive: Path, members: list[_Member]) -> list[_Member]:
    seen = set()
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
            raise _refused(archive, member.name, "one that climbs out of its folder")
        if path in seen:
            raise _refused(archive, member.name, "the same name twice")
        seen.add(path)
    if not members:
        raise InputError(f"{archive}: expected files in the archive, found none")
    return members


def _refused(archive: Path, name: str, found: str) -> InputError:
    return InputError(
        f"{archive}: expected files below its folder, found {found}: {name!r}; nothing was unpacked"
    )


def _damaged(archive: Path, said: str) -> InputError:
    return InputError(
        f"{archive}: expected a whole archive, found: {' '.join(said.split())}; remove it and get "
        "it again"
    )
