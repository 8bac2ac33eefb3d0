"""``hepjax data``: public data sets by name: what there is, and fetching it."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepjax.formats.catalogue.sets import PublicFile, PublicSet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``data``."""
    does = parser.add_subparsers(dest="does", metavar="WHAT", required=True)
    every = does.add_parser("list", help="the sets of the catalogue")
    show = does.add_parser("show", help="all that is known of a set, and the command that trains")
    get = does.add_parser(
        "get", help="fetch the files of a set; the same command goes on where it was interrupted"
    )
    for sub in (show, get):
        sub.add_argument("name", metavar="NAME", help="of the set, as hepjax data list has it")
    get.add_argument("--out", type=Path, metavar="DIR", help="folder; default: data/NAME")
    get.add_argument(
        "--files", nargs="+", default=[], metavar="PATTERN", help="only files of these names"
    )
    get.add_argument(
        "--mirror", default="", metavar="DIR|URL",
        help="folder or address that has the files under their names, in place of their own",
    )  # fmt: skip
    get.add_argument(
        "--pack", type=Path, metavar="DIR", help="then pack them (hepjax pack) into this folder"
    )
    get.add_argument("--quiet", action="store_true", help="no progress")
    for sub in (every, show, get):
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        # The verb has this option too; without a default, the last word given counts.
        sub.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )


def run(args: argparse.Namespace) -> int:
    """List, show or get."""
    from hepjax.formats.catalogue.sets import catalogue, find

    if args.does == "list":
        sets = list(catalogue().values())
        told = json.dumps({"sets": [_as_json(public) for public in sets]})
        print(told if args.json else "\n".join(_rows(sets)))
        return 0
    public = find(args.name)
    if args.does == "show":
        print(json.dumps(_as_json(public)) if args.json else "\n".join(_lines(public)))
        return 0
    return _get(args, public)


def _get(args: argparse.Namespace, public: "PublicSet") -> int:
    from hepjax import InputError
    from hepjax.engine.progress import progress
    from hepjax.formats.catalogue.sets import chosen
    from hepjax.formats.catalogue.shelf import get

    out = args.out or Path("data") / public.name
    if args.pack is not None and public.unpack:
        raise InputError(
            f"--pack: expected a set of files, found {public.name}, whose archives hold them; give "
            "the folders that come out to hepjax pack"
        )
    files = chosen(_files(public, args.mirror), args.files)
    came = get(public, files, out, partial(progress, quiet=args.quiet), mirror=args.mirror)
    report = {"set": public.name, "out": str(out), "files": came, "train": _train(public, out)}
    if args.pack is not None:
        _pack(args, public, [out / file.name for file in files])
        report["packed"] = str(args.pack)
    print(json.dumps(report) if args.json else "\n".join(_got(report)))
    return 0


def _files(public: "PublicSet", mirror: str) -> "tuple[PublicFile, ...]":
    """The files of the catalogue, or those that the record, or a folder in its place, has."""
    from hepjax import InputError
    from hepjax.formats.catalogue import download
    from hepjax.formats.catalogue.sets import PublicFile, from_listing

    if public.files:
        return public.files
    if not mirror:
        return from_listing(download.text_of(public.listing), public.listing)
    if download.is_web(mirror) or not Path(mirror).is_dir():
        raise InputError(
            f"--mirror: expected a folder for {public.name}, whose files the catalogue does not "
            f"list, found {mirror!r}"
        )
    return tuple(
        PublicFile(path.name) for path in sorted(Path(mirror).iterdir())
        if path.is_file() and path.name[0] != "."
    )  # fmt: skip


def _pack(args: argparse.Namespace, public: "PublicSet", paths: list[Path]) -> None:
    """As ``hepjax pack`` does, with what the catalogue knows of channels and labels."""
    from hepjax import InputError
    from hepjax.engine.progress import progress
    from hepjax.formats.packed.pack import pack
    from hepjax.workloads.families import family_of

    family = family_of(paths[0])
    if family.pack is None:
        raise InputError(
            f"--pack: expected images or CLIC showers, found {public.name}, which is read as "
            "it is; leave it out"
        )
    files, units = family.pack(paths, public.meaning)
    pack(
        files, args.pack, units=units,
        progress=lambda events: progress("pack", events, "events", quiet=args.quiet),
    )  # fmt: skip


def _train(public: "PublicSet", out: Path) -> str:
    return public.train.replace("{out}", str(out))


def _size(count: int | None) -> str:
    if count is None:
        return "not stated"
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _rows(sets: "list[PublicSet]") -> list[str]:
    rows = [("name", "files", "workloads", "what")]
    rows += [
        (s.name, str(len(s.files) or "?"), ",".join(s.workloads) or "-", s.title) for s in sets
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _lines(public: "PublicSet") -> list[str]:
    with_sums = sum(file.checksum is not None for file in public.files)
    files = (
        f"{len(public.files)}; checksums stated: {with_sums}; bytes of all: {_size(public.bytes)}"
        if public.files else "listed by the record when it is got"
    )  # fmt: skip
    shown = [file.name for file in public.files]
    if len(shown) > 6:
        shown = [*shown[:3], f"... ({len(shown) - 4} more)", shown[-1]]
    pairs = {
        "what": public.title, "record": public.record, "licence": public.licence,
        "events": public.events, "layout": public.layout, "units": public.units,
        "workloads": ", ".join(public.workloads) or "none reads it as it is", "files": files,
    } | {f"  {name}": "" for name in shown} | {
        "stated": public.stated, "get": f"hepjax data get {public.name}",
        "use": _train(public, Path("data") / public.name),
    }  # fmt: skip
    return [f"{key:<12}{text}".rstrip() for key, text in pairs.items()]


def _as_json(public: "PublicSet") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(public) | {"bytes": public.bytes}


def _got(report: dict[str, Any]) -> list[str]:
    files = report["files"]
    new = sum(file["new"] for file in files)
    unchecked = [file["name"] for file in files if file["checked"] == "nothing is stated"]
    lines = [
        f"{report['out']}: {len(files)} files, {_size(sum(file['bytes'] for file in files))}, "
        f"{new} fetched now; {len(files) - len(unchecked)} checked against what is stated"
    ]
    if unchecked:
        lines.append(
            f"of {len(unchecked)} nobody states size or checksum ({unchecked[0]} ...): their "
            "sha256 is recorded in public-data.json"
        )
    if "packed" in report:
        lines.append(f"packed: {report['packed']}")
    return [*lines, f"use: {report['train']}"]
