"""The published MLPF files, ``tev14_pythia8_ttbar_0_0.pkl.bz2``: one array an event, float64.

The whole file must be read to know how many elements its events have, and again for any of them.
"""

import bz2
import io
from functools import partial
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.formats.particleflow.columns import ARRAYS
from hepjax.formats.particleflow.events import EventFile, Events, join
from hepjax.formats.particleflow.safe_pickle import RefusedError, read_arrays

SUFFIX = ".pkl.bz2"
MAX_BYTES = 2**30
"""Decompressed; the published files of 100 events with 200 pile-up collisions have 10**8."""
READ_BYTES = 2**22


def describe(path: Path) -> EventFile:
    """What the file holds.

    Raises:
      InputError: unreadable, damaged, or not lists of arrays of the layout.
    """
    events = _events(path)
    return EventFile(
        path, "published pickle", np.diff(events.first), np.array([0, len(events)]),
        partial(read, path),
    )  # fmt: skip


def read(path: Path, start: int, stop: int) -> Events:
    """Events ``start`` to ``stop``.

    Raises:
      InputError: see ``describe``.
    """
    events = _events(path)
    rows = slice(events.first[start], events.first[stop])
    first = events.first[start : stop + 1] - events.first[start]
    return Events(first, events.X[rows], events.ygen[rows], events.ycand[rows])


def _events(path: Path) -> Events:
    try:
        lists = read_arrays(_decompress(path), MAX_BYTES)
    except InputError:
        raise
    except RefusedError as error:
        raise InputError(
            f"{path}: expected a pickle of arrays, found {error}; a pickle can run any command, "
            "use this one only if you trust its maker"
        ) from None
    except (Exception, MemoryError) as error:
        cause = (str(error) or type(error).__name__).splitlines()[0][:100]
        raise InputError(
            f"{path}: expected a sound pickle, found a damaged one ({cause})"
        ) from error
    for key in ARRAYS:
        if key not in lists:
            found = ", ".join(sorted(lists))[:100] or "none"
            raise InputError(f"{path}: expected a list of arrays {key!r}, found {found}")
    counts = {key: len(lists[key]) for key in ARRAYS}
    if not counts["X"] or len(set(counts.values())) > 1:
        raise InputError(f"{path}: expected events, as many in each list, found {counts}")
    return join(path, 0, [{key: lists[key][i] for key in ARRAYS} for i in range(counts["X"])])


def _decompress(path: Path) -> io.BytesIO:
    data = io.BytesIO()
    try:
        with bz2.open(path) as file:
            while chunk := file.read(READ_BYTES):
                data.write(chunk)
                if data.tell() > MAX_BYTES:
                    raise InputError(
                        f"{path}: expected at most {MAX_BYTES // 2**20} MiB when decompressed, "
                        "found more; write fewer events to a file"
                    )
    except EOFError:
        raise InputError(f"{path}: expected a whole bz2 file, found one cut short") from None
    except OSError as error:
        cause = error.strerror or "no bz2 file, or a damaged one"
        raise InputError(f"{path}: expected a readable bz2 file, found {cause}") from None
    data.seek(0)
    return data
