"""``hepjax inspect``: recognise files and print what is in them."""

import argparse
import json
from functools import partial
from pathlib import Path

from hepjax.cli.jet_meaning import add_meaning, add_unit, parse_meaning, parse_unit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``inspect``."""
    parser.add_argument(
        "paths", metavar="PATH", type=Path, nargs="+", help="files of one layout, or folders"
    )
    add_meaning(parser)
    add_unit(parser)
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw mean events")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Print the report; 2 if there are numbers that no training accepts."""
    from hepjax import InputError
    from hepjax.engine.platforms import platform_or_cpu
    from hepjax.engine.progress import progress
    from hepjax.workloads.families import family_of

    first = args.paths[0]
    if first.suffix == ".onnx":
        return _model(args)
    family = family_of(first)
    meaning, unit = parse_meaning(args), parse_unit(args)
    if unit and family.name not in ("clic", "calochallenge"):
        option = "unit" if "unit" in unit else "geometry"
        raise InputError(
            f"{first}: expected showers with --{option}, found {family.name} files; leave it out"
        )
    if meaning and family.name != "jets":
        raise InputError(
            f"{first}: expected jet images with {', '.join(f'--{key}' for key in meaning)}, "
            "found files that say what they hold; leave it out"
        )
    platform_or_cpu()
    module = family.module
    bar = partial(progress, quiet=args.quiet)
    report = module.inspect(args.paths, args.plot, progress=bar, **meaning, **unit)
    if args.json:
        print(json.dumps(report))
    else:
        print("\n".join(module.text(report)))
        if args.plot is not None:
            print(f"\npicture               {args.plot}")
    fatal = ("cells_not_finite", "cells_negative", "broken_rows")
    return 2 if any(report["checks"].get(key) for key in fatal) else 0


def _model(args: argparse.Namespace) -> int:
    """An exported model."""
    from hepjax import InputError
    from hepjax.export.inspect import inspect, text

    if len(args.paths) > 1 or args.plot is not None:
        found = "--plot" if args.plot is not None else f"{len(args.paths)} paths"
        raise InputError(
            f"{args.paths[0]}: expected one ONNX model and nothing else, found {found}"
        )
    report = inspect(args.paths[0])
    print(json.dumps(report) if args.json else "\n".join(text(report)))
    return 0
