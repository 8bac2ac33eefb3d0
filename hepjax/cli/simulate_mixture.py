"""``hepjax simulate mixture``: signal, background and interference with known densities."""

import argparse
import json
import time
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate mixture``."""
    parser.add_argument(
        "--events", type=int, required=True, metavar="N", help="number of events of each sample"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="new folder for a file a sample"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Simulate and write; the same settings again find their events."""
    from hepjax import __version__
    from hepjax.cli.simulated import already_there, check_at_least, save_settings
    from hepjax.simulate.mixture.toy import write_mixture

    check_at_least("events", args.events, 10)
    settings = {
        "what": "mixture", "events": args.events, "seed": args.seed, "hepjax": __version__,
    }  # fmt: skip
    began, seconds = time.monotonic(), None
    present = len(list(args.out.glob("*.npz")))
    if not already_there(args.out, settings, present, 7, "sample"):
        write_mixture(args.out, args.events, args.seed)
        save_settings(args.out, settings)
        seconds = time.monotonic() - began
    if args.json:
        print(json.dumps({**settings, "out": str(args.out), "seconds": seconds}))
    else:
        there = "are there already" if seconds is None else f"made in {seconds:.1f} s"
        print(f"{args.out}: 7 samples of {args.events} events, {there}")
    return 0
