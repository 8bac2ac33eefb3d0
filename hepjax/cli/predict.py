"""``hepjax predict``: what a trained model says of each event of some files, as a table."""

import argparse
import json
import time
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``predict``."""
    parser.add_argument("run_dir", metavar="RUN", type=Path, help="run directory")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="PATH",
        help="files of the kind that the run was trained on",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE",
        help="table to write, a row for each jet or detector element; its name says how: "
        ".parquet, .root (tree events) or .h5",
    )  # fmt: skip
    parser.add_argument("--batch-size", type=int, default=256, metavar="N", help="events at a time")
    parser.add_argument("--step", type=int, metavar="N", help="checkpoint; default: the best epoch")
    parser.add_argument("--devices", type=int, default=0, metavar="N", help="default: all")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Predict and write; print the number of rows."""
    from hepjax import InputError
    from hepjax.engine.mesh import request_devices

    if args.batch_size < 1:
        raise InputError(f"--batch-size: expected at least 1, found {args.batch_size}")
    if args.out.is_dir() or not args.out.resolve().parent.is_dir():
        found = "a folder" if args.out.is_dir() else "no such folder"
        raise InputError(
            f"{args.out}: expected the name of a file in an existing folder, found {found}"
        )
    from hepjax.formats.files import by_suffix
    from hepjax.formats.table_writer import WRITERS, write_table

    by_suffix(args.out, WRITERS)
    request_devices(args.devices)

    from hepjax.run import load

    opened = load(args.run_dir, args.step)
    began = time.monotonic()
    about = {
        "run": str(args.run_dir), "step": str(opened.step), "workload": opened.workload.name,
        "data": json.dumps([str(p) for p in args.data]),
    }  # fmt: skip
    rows = write_table(
        args.out, opened.predict(args.data, args.batch_size, quiet=args.quiet), about
    )
    report = {"file": str(args.out), "rows": rows, "seconds": time.monotonic() - began}
    if args.json:
        print(json.dumps(report))
    else:
        print(f"{args.out}: {rows:,} rows in {report['seconds']:.1f} s")
    return 0
