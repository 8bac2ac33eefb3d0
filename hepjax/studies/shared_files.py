"""Files that several workers on several machines make in one folder, without locks.

What is relied on holds on NFS, Lustre and FUSE: a rename is atomic, and of several that make one
name only one succeeds. No time stamp is compared: the clocks of machines differ.
"""

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any

from hepjax.formats import atomic

AFTER = "what was finished is kept, and the same command goes on"
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES)
"""What ``link`` says on file systems without hard links."""


def create(path: Path, content: dict[str, Any]) -> bool:
    """Make a JSON file that nobody else has made, whole or not at all; whether it was made here.

    Raises:
      InputError: the disk refused it.
    """
    partial = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.tmp")
    try:
        with partial.open("w") as file:
            json.dump(atomic.plain(content), file)
            file.flush()
            os.fsync(file.fileno())
        return _named(partial, path)
    except OSError as error:
        raise atomic.unwritable(path, error, AFTER) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _named(partial: Path, path: Path) -> bool:
    """Give the finished file its name, unless there is one of this name."""
    try:
        os.link(partial, path)
    except FileExistsError:
        # An NFS server may have made the link and lost the answer: the retry says that it exists.
        return os.stat(partial).st_nlink == 2
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return _named_without_links(partial, path)
    return True


def _named_without_links(partial: Path, path: Path) -> bool:
    """The same by an exclusive empty file, which readers take as absence until it is replaced."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    os.replace(partial, path)
    return True


def read(path: Path) -> dict[str, Any] | None:
    """The content of such a file; None if there is none, or it is damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
