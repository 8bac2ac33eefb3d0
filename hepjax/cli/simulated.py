"""What the ``simulate`` commands share: options, settings beside the data, finding them again."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SETTINGS_FILE = "simulation.json"
"""Beside the data: what they were made with, written when all of them are there."""


def add_common(
    parser: argparse.ArgumentParser,
    events: str | None = "number of events",
    out: str = "new folder",
) -> None:
    """Add ``--out``, ``--seed``, ``--json``, ``--quiet`` and, with a help text, ``--events``."""
    if events is not None:
        parser.add_argument("--events", type=int, required=True, metavar="N", help=events)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=out)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def produce(
    args: argparse.Namespace,
    settings: dict[str, Any],
    make: Callable[[Callable[[int], object]], Any],
    told: Callable[[float, Any], str],
    *,
    files: tuple[int, int, str],
    size: tuple[int, str],
) -> int:
    """Make data, or find those of the same settings, and report; the exit code.

    Args:
      settings: what the data depend on beside ``args.what``, the seed and the version.
      make: makes them; it is given what to tell of each that is done.
      told: the line after ``args.out``, from the rate a second and what ``make`` returned.
      files: how many are present, how many are expected, and of what kind.
      size: how many are made, and of what.
    Raises:
      InputError: the folder holds other data; or ``make`` refuses.
    """
    from hepjax import __version__
    from hepjax.engine.progress import progress

    settings = {"what": args.what} | settings | {"seed": args.seed, "hepjax": __version__}
    began, seconds = time.monotonic(), None
    line = f"these {size[0]:,} {size[1]} are there already"
    if not already_there(args.out, settings, *files):
        with progress("simulate", *size, quiet=args.quiet) as advance:
            made = make(advance)
        save_settings(args.out, settings)
        seconds = time.monotonic() - began
        line = told(size[0] / seconds, made)
    if args.json:
        print(json.dumps({**settings, "out": str(args.out), "seconds": seconds}))
    else:
        print(f"{args.out}: {line}")
    return 0


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
    from hepjax import InputError

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
    from hepjax.formats.atomic import write_json  # with NumPy, which help does not need

    write_json(out / SETTINGS_FILE, settings, indent=1)


def check_at_least(option: str, value: int, least: int) -> None:
    """Refuse a number below the least that makes sense."""
    from hepjax import InputError

    if value < least:
        raise InputError(f"--{option}: expected at least {least}, found {value}")
