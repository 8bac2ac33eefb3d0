"""``hepjax clean``: says what may go in folders of runs and data, and removes it if asked."""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``clean``."""
    parser.add_argument("folders", metavar="DIR", type=Path, nargs="+", help="runs, data, or both")
    parser.add_argument(
        "--checkpoints", action="store_true",
        help="also checkpoints that are neither the best nor the newest of their run",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="remove it; without, it is only listed")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """List, and remove with ``--yes``."""
    from hepjax.formats.files import require_path
    from hepjax.studies import cleaning

    for folder in args.folders:
        require_path(folder)
    found = [
        rest for folder in args.folders
        for rest in cleaning.rests(folder, checkpoints=args.checkpoints)
    ]  # fmt: skip
    for rest in found if args.yes else ():
        cleaning.remove(rest)
    size = sum(rest.bytes for rest in found)
    if args.json:
        rows = [{"path": str(r.path), "why": r.why, "bytes": r.bytes} for r in found]
        print(json.dumps({"found": rows, "bytes": size, "removed": args.yes}))
        return 0
    for rest in found:
        print(f"{rest.bytes / 1e6:>10.1f} MB  {rest.path}: {rest.why}")
    done = "removed" if args.yes else "found; --yes removes it"
    print(f"{len(found)} things, {size / 1e6:.1f} MB {done}" if found else "nothing to clean")
    return 0
