"""Scores as a JSON file that any program can read: plain numbers, no NaN, never half-written."""

from pathlib import Path
from typing import Any

from hepjax.formats.atomic import plain, write_json

__all__ = ["plain", "write_scores"]


def write_scores(path: Path, scores: dict[str, Any]) -> None:
    """Write ``scores``; arrays become lists, NumPy numbers plain ones, NaN and infinity null."""
    write_json(path, scores)
