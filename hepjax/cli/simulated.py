"""What the ``simulate`` commands share: the settings beside the data, and finding them again."""

import json
from pathlib import Path
from typing import Any

from hepjax import InputError
from hepjax.formats.atomic import write_json

SETTINGS_FILE = "simulation.json"
"""Beside the data: what they were made with, written when all of them are there."""


def already_there(
    out: Path, settings: dict[str, Any], present: int, expected: int, kind: str
) -> bool:
    """Whether the folder holds the very data that these settings make.

    Args:
      present: files of that ``kind`` in the folder.
      expected: how many of them the settings make.
    Raises:
      InputError: it holds others.
    """
    if not present:
        return False
    try:
        same = json.loads((out / SETTINGS_FILE).read_text()) == settings
    except (OSError, ValueError):
        same = False
    if not same or present != expected:
        raise InputError(
            f"{out}: expected a folder without {kind} files or with the result of this command, "
            f"found {present} other {kind} files; choose another folder or remove them"
        )
    return True


def save_settings(out: Path, settings: dict[str, Any]) -> None:
    """Write the settings beside the data, whole or not at all."""
    write_json(out / SETTINGS_FILE, settings, indent=1)


def check_at_least(option: str, value: int, least: int) -> None:
    """Refuse a number below the least that makes sense."""
    if value < least:
        raise InputError(f"--{option}: expected at least {least}, found {value}")
