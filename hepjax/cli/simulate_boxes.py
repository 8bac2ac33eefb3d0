"""``hepjax simulate boxes``: dark matter by a particle mesh, and gas or parameters to learn."""

import argparse
import json
import time
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate boxes``."""
    parser.add_argument("--boxes", type=int, required=True, metavar="N", help="number of boxes")
    parser.add_argument(
        "--targets", choices=("gas", "parameters"), default="gas",
        help="gas by formula (workload fields), or universes of their own (workload cosmoflow)",
    )  # fmt: skip
    parser.add_argument(
        "--cells", type=int, default=32, metavar="N",
        help="along an edge, as many as particles; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--length", type=float, metavar="MPC/H",
        help="edge; default: 0.78125 a cell for gas, 8 a cell for parameters",
    )  # fmt: skip
    parser.add_argument(
        "--redshift", type=float, default=3.0, help="of gas; default: %(default)s"
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=int, default=12, metavar="N",
        help="of the simulation; default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Simulate and write; the same settings again find their boxes."""
    from hepjax import __version__
    from hepjax.cli.simulated import already_there, check_at_least, save_settings
    from hepjax.engine.config import require_seed
    from hepjax.engine.progress import progress
    from hepjax.ops.boxes import Setting
    from hepjax.simulate.boxes.boxes import write_boxes, write_universes

    check_at_least("boxes", args.boxes, 1)
    require_seed("--seed", args.seed)
    gas = args.targets == "gas"
    length = args.cells * (0.78125 if gas else 8.0) if args.length is None else args.length
    _check(args, length)
    setting = Setting(args.cells, length, args.redshift, args.steps)
    settings = {
        "what": "boxes", "targets": args.targets, "boxes": args.boxes, "cells": args.cells,
        "length": length, "redshift": args.redshift, "steps": args.steps, "seed": args.seed,
        "hepjax": __version__,
    }  # fmt: skip
    began, seconds = time.monotonic(), None
    present = len(list(args.out.glob("*.h5")))
    if not already_there(args.out, settings, present, args.boxes, "box"):
        with progress("simulate", args.boxes, "boxes", quiet=args.quiet) as advance:
            write = write_boxes if gas else write_universes
            write(args.out, args.boxes, args.seed, advance, setting)
        save_settings(args.out, settings)
        seconds = time.monotonic() - began
    if args.json:
        print(json.dumps({**settings, "out": str(args.out), "seconds": seconds}))
    elif seconds is None:
        print(f"{args.out}: these {args.boxes} boxes are there already")
    else:
        print(
            f"{args.out}: {args.boxes} boxes of {args.cells}^3 cells and {length:g} Mpc/h, "
            f"{args.boxes / seconds:,.1f} boxes/s"
        )
    return 0


def _check(args: argparse.Namespace, length: float) -> None:
    from hepjax import InputError

    if not 4 <= args.cells <= 1024 or args.cells % 2:
        raise InputError(f"--cells: expected an even number from 4 to 1024, found {args.cells}")
    if not 1 <= length <= 10_000:
        raise InputError(f"--length: expected 1 to 10000 Mpc/h, found {length:g}")
    if not 0 <= args.redshift <= 20:
        raise InputError(f"--redshift: expected 0 to 20, found {args.redshift:g}")
    if not 2 <= args.steps <= 1000:
        raise InputError(f"--steps: expected 2 to 1000, found {args.steps}")
