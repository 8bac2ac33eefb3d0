"""What ``simulate jets`` and ``simulate photons`` share: a packed set, written or found again."""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from hepjax.formats.images import Grid, SparseImages

    Batches = Iterable[tuple[SparseImages, dict[str, np.ndarray]]]

UNITS = {"pt": "GeV", "mass": "GeV", "energy": "GeV", "phi": "rad", "tilt": "rad"}


def write_images(
    args: argparse.Namespace,
    settings: dict[str, Any],
    batches: "Batches",
    grid: "Grid",
    labels: dict[int, str],
) -> int:
    """Write the images unless they are there already, and report.

    Args:
      settings: everything the images depend on, kept in the manifest.
      batches: lazy, not looked at if the folder holds them.
    """
    from hepjax.engine.progress import progress

    began, what = time.monotonic(), settings["what"]
    if there := _already_there(args.out, settings):
        seconds = None
    else:
        with progress("simulate", args.events, what, quiet=args.quiet) as advance:
            _write(args.out, _counted(batches, advance), grid, labels, settings)
        seconds = time.monotonic() - began
    if args.json:
        print(json.dumps({**settings, "out": str(args.out), "seconds": seconds}))
    elif there:
        print(f"{args.out}: these {args.events} {what} are there already")
    else:
        print(f"{args.out}: {args.events} {what}, {args.events / seconds:,.0f} {what}/s")
    return 0


def _already_there(out: Path, settings: dict[str, Any]) -> bool:
    """Whether the folder holds the very images that these settings make.

    Raises:
      InputError: it holds others, or only some of them.
    """
    from hepjax import InputError
    from hepjax.formats.packed.manifest import FILE, read_manifest

    if not (out / FILE).exists():
        if out.is_dir() and any(out.iterdir()):
            raise InputError(
                f"{out}: expected a new or an empty folder, found files; choose another"
            )
        return False
    manifest = read_manifest(out)
    whole = all(
        (path := out / shard.file).exists() and path.stat().st_size == shard.bytes
        for shard in manifest.shards
    )
    if manifest.made_from != settings or not whole:
        found = "another packed set" if whole else "a packed set of which files are missing"
        raise InputError(
            f"{out}: expected a new folder or one with the result of this command, found {found}; "
            "choose another folder or remove it"
        )
    return True


def _write(
    out: Path, batches: "Batches", grid: "Grid", labels: dict[int, str], settings: dict[str, Any]
) -> None:
    """Write beside the folder and rename it: whatever stops the command, it is all or nothing."""
    from hepjax.formats.atomic import replacing_folder
    from hepjax.formats.packed.writer import write_packed

    with replacing_folder(out) as partial:
        write_packed(partial, batches, grid, labels, units=UNITS, made_from=settings)


def _counted(batches: "Batches", advance: Callable[..., None]) -> Iterator[Any]:
    for images, columns in batches:
        yield images, columns
        advance(len(images))
