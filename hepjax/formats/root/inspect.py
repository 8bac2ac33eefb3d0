"""What is in ROOT files: their trees, and the branches of each with their types."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hepjax import InputError
from hepjax.formats.files import list_all
from hepjax.formats.root.tree import is_root, trees

SHOWN = 60
"""Branches of a tree that are printed; JSON has all."""


def inspect(
    paths: str | Path | Sequence[str | Path],
    plot: str | Path | None = None,
    *,
    progress: Any = None,
) -> dict[str, Any]:
    """The trees of each file.

    Returns:
      ``files``: for each its ``path`` and ``trees`` (``name``, ``entries``, ``branches``), and
      ``checks``, which has none.
    Raises:
      InputError: unreadable files, or a picture is asked for, which only data cards have.
    """
    if plot is not None:
        raise InputError(
            "--plot: expected a data card, which says what the branches are, found ROOT files; see "
            "docs/guides/root-files.md"
        )
    files = [
        {"path": str(path), "trees": [dataclasses.asdict(tree) for tree in trees(path)]}
        for path in list_all(paths, _inside)
    ]
    return {"family": "root", "files": files, "checks": {}}


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and is_root(path))


def text(report: dict[str, Any]) -> list[str]:
    """The report in lines."""
    lines = []
    for file in report["files"]:
        lines.append(f"{file['path']}: {len(file['trees'])} trees")
        for tree in file["trees"]:
            branches = list(tree["branches"].items())
            lines.append(f"  {tree['name']}: {tree['entries']:,} entries, {len(branches)} branches")
            lines += [f"    {name:<40} {kind}" for name, kind in branches[:SHOWN]]
            if len(branches) > SHOWN:
                lines.append(f"    ... {len(branches) - SHOWN} more (--json lists all)")
    return [*lines, "a data card maps branches to columns: docs/guides/root-files.md"]
