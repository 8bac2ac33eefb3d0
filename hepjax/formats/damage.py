"""Any error of a reading library on a damaged file becomes one clear ``InputError``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hepjax import InputError


@contextmanager
def reading(path: Path, kind: str, magic: bytes = b"") -> Iterator[None]:
    """Read ``path`` inside the block.

    Args:
      kind: what the file should be, for example ``Parquet``.
      magic: bytes that such files begin with.
    Raises:
      InputError: for every exception in the block; on damaged files the libraries raise nearly
        every one there is.
    """
    try:
        yield
    except InputError:
        raise
    except (Exception, MemoryError) as error:
        raise InputError(f"{path}: {_cause(path, kind, magic, error)}") from error


def _cause(path: Path, kind: str, magic: bytes, error: BaseException) -> str:
    if path.is_file():
        try:
            with open(path, "rb") as file:
                head = file.read(max(len(magic), 1))
        except OSError as failed:
            return f"expected a readable file, found {failed.strerror}"
        if not head:
            return f"expected a {kind} file, found an empty one"
        if not head.startswith(magic):
            return f"expected a {kind} file, found another format"
    elif not path.exists():
        return "expected a file or folder, found none of this name"
    said = str(error).strip().splitlines()
    found = said[0].rstrip(".") if said else type(error).__name__
    return (
        f"expected sound {kind} data, found them damaged, cut short or half written ({found}); "
        "copy them again"
    )
