"""``hepjax pack``: files of any known layout into one packed set of sparse shards."""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepjax.cli.jet_meaning import add_meaning, add_unit, parse_meaning, parse_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hepjax.formats.packed.manifest import Manifest
    from hepjax.formats.packed.pack import ImageFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``pack``."""
    parser.add_argument(
        "paths", metavar="PATH", type=Path, nargs="+",
        help="files or folders of one layout: jet or e/gamma images, showers, waveforms or hits",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR",
        help="folder of the set; the same command again resumes",
    )  # fmt: skip
    add_meaning(parser)
    add_unit(parser)
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes; default: one for each CPU"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Pack and report what is in the set."""
    from hepjax.engine.progress import progress
    from hepjax.formats.packed.pack import pack

    began = time.monotonic()
    if (made := _own_shards(args)) is not None:
        seconds = time.monotonic() - began
        report = {"out": str(args.out), **made, "seconds": seconds}
        print(json.dumps(report) if args.json else (
            f"{args.out}: {made['events']:,} events in {made['shards']:,} shards, "
            f"{made['bytes'] / 1e6:,.1f} MB"
        ))  # fmt: skip
        return 0
    files, units = _open(args)
    manifest = pack(
        files, args.out, units=units, workers=args.workers,
        progress=lambda events: progress("pack", events, "events", quiet=args.quiet),
    )  # fmt: skip
    report = _report(args.out, manifest, len(files), time.monotonic() - began)
    print(json.dumps(report) if args.json else "\n".join(_text(report)))
    return 0


def _own_shards(args: argparse.Namespace) -> "dict[str, Any] | None":
    """Pack files whose family has shards of its own; None for others."""
    from hepjax import InputError
    from hepjax.engine.progress import progress
    from hepjax.workloads.families import family_of

    family = family_of(args.paths[0])
    if family.shards is None:
        return None
    _require_unpacked(args.paths)
    if given := [*parse_meaning(args), *parse_unit(args)]:
        raise InputError(f"--{given[0]}: expected none for {family.name}, found some; leave it out")
    events = len(family.read(args.paths)) if family.read is not None else 0
    with progress("pack", events, "events", quiet=args.quiet) as advance:
        return family.shards(args.paths, args.out, advance)


def _require_unpacked(paths: "list[Path]") -> None:
    from hepjax import InputError
    from hepjax.formats.files import nearest
    from hepjax.formats.packed.manifest import is_packed

    for path in paths:
        if not path.exists():
            raise InputError(
                f"{path}: expected a file or folder, found none of this name{nearest(path)}"
            )
        if is_packed(path):
            raise InputError(f"{path}: expected files to pack, found a packed set")


def _open(args: argparse.Namespace) -> "tuple[Sequence[ImageFile], dict[str, str]]":
    from hepjax import InputError
    from hepjax.workloads.families import family_of

    _require_unpacked(args.paths)
    family = family_of(args.paths[0])
    if family.pack is None:
        raise InputError(
            f"{args.paths[0]}: expected images, CLIC showers, waveforms or hits, found "
            f"{family.name}"
        )
    return family.pack(args.paths, parse_meaning(args) | parse_unit(args))


def _report(out: Path, manifest: "Manifest", files: int, seconds: float) -> dict[str, object]:
    size = sum(shard.bytes for shard in manifest.shards)
    cells = sum(shard.cells for shard in manifest.shards)
    by_label: dict[str, int] = {}
    for shard in manifest.shards:
        for number, events in shard.label_events.items():
            name = manifest.meaning.labels[int(number)]
            by_label[name] = by_label.get(name, 0) + events
    return {
        "out": str(out),
        "events": manifest.events,
        "input_files": files,
        "shards": len(manifest.shards),
        "bytes": size,
        "bytes_per_event": size / manifest.events,
        "cells_per_event": cells / manifest.events,
        "shape": list(manifest.meaning.grid.shape),
        "channels": {c.name: c.coarsening for c in manifest.meaning.grid.channels},
        "events_by_label": by_label,
        "columns": list(manifest.meaning.columns),
        "seconds": seconds,
    }


def _text(report: dict[str, object]) -> list[str]:
    channels = report["channels"]
    assert isinstance(channels, dict)
    coarse = [f"{n} ({k} pixels a side)" if k > 1 else n for n, k in channels.items()]
    lines = [
        f"{report['out']}: {report['events']:,} events, all counted and verified "
        f"(files: {report['input_files']}, shards: {report['shards']})",
        f"{report['bytes_per_event']:,.0f} bytes and {report['cells_per_event']:,.0f} cells an "
        "event",
        f"channels: {', '.join(coarse)}",
    ]
    if report["events_by_label"]:
        lines.append(f"events by label: {report['events_by_label']}")
    return lines
