"""Whether this process alone may use a folder: ``flock``, and file systems that do not have it."""

import errno
import fcntl
from pathlib import Path
from typing import IO, Any

NONE_HERE = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, 524)
"""What ``flock`` says on file systems without it: Lustre without ``-o flock``, NFS without its
lock daemon, DVS (524 is ENOTSUPP of the kernel) and some in user space."""


def lock(file: IO[Any]) -> str:
    """Lock an open file until it is closed, without waiting.

    Returns:
      why there is no lock on this file system, in the words of the system; empty with one.
    Raises:
      BlockingIOError: another process has it.
      OSError: the file cannot be used at all.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NONE_HERE:
            raise
        return error.strerror or f"error {error.errno}"
    return ""


def can_lock(folder: Path) -> bool:
    """Whether files of a folder can be locked; it has to be writable."""
    try:
        with (folder / ".lock-test").open("w") as file:
            return not lock(file)
    except BlockingIOError:
        return True  # somebody else asks the same now
    except OSError:
        return False
