"""What a run writes down as it goes: ``metrics.jsonl``, one JSON object a line, appended only.

After a crash the last line may be torn, and a resumed run writes steps again that were recorded but
not saved; ``read`` hides both.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hepjax.formats import atomic
from hepjax.formats.atomic import plain

AFTER = "finished checkpoints are kept, and the same command resumes"


def append(path: Path, record: dict[str, Any]) -> None:
    """Append one record; a torn last line is closed first.

    Raises:
      InputError: the disk refused it.
    """
    with _refusals_named(path), path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        torn = size > 0 and file.read(1) != b"\n"
        file.write((b"\n" if torn else b"") + json.dumps(plain(record)).encode() + b"\n")


def read(path: Path) -> list[dict[str, Any]]:
    """All records in force: of those superseded after a resume only the last ones."""
    records: list[dict[str, Any]] = []
    if not path.exists():
        return records
    for line in path.read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # torn by a crash
        if record.get("event") == "resume":
            records = [r for r in records if r.get("step", 0) <= record["step"]]
        records.append(record)
    return records


def write_json(path: Path, content: dict[str, Any]) -> None:
    """``write_text`` of JSON."""
    atomic.write_json(path, content, after=AFTER)


def write_text(path: Path, text: str) -> None:
    """Write a file of a run, whole or not at all.

    Raises:
      InputError: the disk refused it.
    """
    atomic.write_text(path, text, after=AFTER)


@contextmanager
def _refusals_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise atomic.unwritable(path, error, AFTER) from None
