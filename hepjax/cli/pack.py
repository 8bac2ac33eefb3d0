"""``hepjax pack``: files of any known layout into one packed set of sparse shards."""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hepjax.formats.pack import ImageFile
    from hepjax.formats.packed_manifest import Manifest

JET_UNITS = {"pt": "GeV", "mass": "GeV", "phi": "rad"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``pack``."""
    parser.add_argument(
        "paths", metavar="PATH", type=Path, nargs="+",
        help="files or folders of one layout: jet or e/gamma images, or showers",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR",
        help="folder of the set; the same command again resumes",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes; default: one for each CPU"
    )
    parser.add_argument(
        "--channels", metavar="A,B,..",
        help="names of the channels in stored order, name or name:unit, if the files do not say",
    )  # fmt: skip
    parser.add_argument(
        "--labels", metavar="0=A,1=B", help="what the labels mean, if the files do not say"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Pack and report what is in the set."""
    from hepjax.formats.pack import pack

    began = time.monotonic()
    files, units = _open(args)
    manifest = pack(files, args.out, units=units, workers=args.workers, quiet=args.quiet)
    report = _report(args.out, manifest, len(files), time.monotonic() - began)
    print(json.dumps(report) if args.json else "\n".join(_text(report)))
    return 0


def _open(args: argparse.Namespace) -> "tuple[Sequence[ImageFile], dict[str, str]]":
    from hepjax.errors import InputError
    from hepjax.formats.jets import open_jets
    from hepjax.formats.packed_manifest import is_packed
    from hepjax.formats.packed_showers import UNITS, shower_files
    from hepjax.formats.recognise import recognise

    for path in args.paths:
        if not path.exists():
            raise InputError(f"{path}: expected a file or folder, found none of this name")
        if is_packed(path):
            raise InputError(f"{path}: expected files to pack, found a packed set")
    family = recognise(args.paths[0])
    if family not in ("clic", "jets"):
        raise InputError(
            f"{args.paths[0]}: expected jet or e/gamma images or CLIC showers, found {family}"
        )
    if family == "clic":
        if args.channels or args.labels:
            raise InputError("--channels, --labels: expected none for showers, found some")
        return shower_files(args.paths), UNITS
    channels = tuple(args.channels.split(",")) if args.channels else None
    labels = parse_labels(args.labels) if args.labels else None
    return open_jets(args.paths, channels=channels, labels=labels), JET_UNITS


def parse_labels(text: str) -> dict[int, str]:
    """The meaning of labels as users type it: ``0=qcd,1=top``.

    Raises:
      InputError: anything else.
    """
    from hepjax.errors import InputError

    pairs = [pair.partition("=") for pair in text.split(",")]
    try:
        labels = {int(number): name.strip() for number, _, name in pairs}
    except ValueError:
        labels = {}
    if len(labels) != len(pairs) or not all(labels.values()):
        raise InputError(f"--labels: expected for example 0=qcd,1=top, found {text!r}")
    return labels


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
