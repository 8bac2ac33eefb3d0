"""``hepjax simulate unfolding``: events that were measured, and a simulation of them."""

import argparse
import json
import time
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate unfolding``."""
    parser.add_argument(
        "--events", type=int, required=True, metavar="N", help="number of events of each sample"
    )
    parser.add_argument(
        "--toy", choices=("jets", "gaussian"), default="jets",
        help="jets beside a Z boson in the published layout, or Gaussians whose unfolding is known "
        "at each iteration; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR",
        help="new folder for the folders measured and simulation",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Simulate and write; the same settings again find their events."""
    from hepjax import __version__
    from hepjax.cli.simulated import already_there, check_at_least, save_settings
    from hepjax.engine.progress import progress
    from hepjax.simulate.unfolding.files import SAMPLES, write_toy

    check_at_least("events", args.events, 10)
    settings = {
        "what": "unfolding", "toy": args.toy, "events": args.events, "seed": args.seed,
        "hepjax": __version__,
    }  # fmt: skip
    began, seconds = time.monotonic(), None
    present = len(list(args.out.iterdir())) if args.out.is_dir() else 0
    if not already_there(args.out, settings, present, len(SAMPLES) + 1, "sample"):
        with progress("simulate", 2 * args.events, "events", quiet=args.quiet) as advance:
            write_toy(args.out, args.toy, args.events, args.seed, advance)
        save_settings(args.out, settings)
        seconds = time.monotonic() - began
    if args.json:
        print(json.dumps({**settings, "out": str(args.out), "seconds": seconds}))
    elif seconds is None:
        print(f"{args.out}: these events are there already")
    else:
        rate = 2 * args.events / seconds
        print(f"{args.out}: {args.events} measured and simulated events, {rate:,.0f} events/s")
    return 0
