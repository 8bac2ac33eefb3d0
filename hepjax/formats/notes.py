"""Remarks on files that are read all the same: one line on standard error, each once a process."""

import contextlib
import sys

_said: set[object] = set()


def note(text: str, key: object = None) -> None:
    """Print ``text`` unless the same ``key`` (default: the text) was noted before.

    Files of one sample tend to share a peculiarity: a key without the path notes it once.
    """
    key = text if key is None else key
    if key in _said:
        return
    _said.add(key)
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            print(f"hepjax: note: {text}", file=sys.stderr)
