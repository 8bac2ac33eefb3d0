"""Files and folders that this user may not use, and other refusals of the system, as one line."""

import os
from pathlib import Path


def denied(path: str | Path) -> str | None:
    """What keeps this user from reading ``path``; None if nothing does, or nothing is there.

    A folder on the way counts: somebody else's of mode 700, or one on AFS or EOS without a ticket.
    """
    path = Path(os.path.abspath(path))
    for folder in (*reversed(path.parents), path):
        try:
            is_folder = os.path.isdir(folder)
            folder.lstat()
            wanted = (os.R_OK if folder == path else 0) | (os.X_OK if is_folder else 0)
            if os.access(folder, wanted):
                continue
        except PermissionError:
            folder = folder.parent
            is_folder = True
        except (OSError, ValueError):
            return None
        kind = "folder" if is_folder else "file"
        return f"{_as_given(folder)}: expected a readable {kind}, found: Permission denied"
    return None


def refusal(error: OSError) -> str:
    """One line for an error of the system: the path, what it was about, and the reason."""
    path = error.filename
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    reason = error.strerror or str(error) or type(error).__name__
    if not isinstance(path, str):
        return f"expected the system to allow it, found: {reason}"
    if isinstance(error, PermissionError) and (said := denied(path)):
        return said
    return f"{path}: expected a file or folder that can be used, found: {reason}"


def _as_given(path: Path) -> str:
    """Relative to the working directory where it lies below it."""
    here = os.path.abspath(os.curdir)
    return os.path.relpath(path, here) if str(path).startswith(here + os.sep) else str(path)
