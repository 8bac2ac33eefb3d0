"""``hepjax simulate hits``: charged particles in the TrackML detector, as TrackML csv files."""

import argparse
import json
import time
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate hits``."""
    parser.add_argument("--events", type=int, required=True, metavar="N", help="number of events")
    parser.add_argument(
        "--particles", type=int, default=500, metavar="N",
        help="charged particles in an event, 10000 are a full one; default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Simulate and write; the same settings again find their events."""
    from hepjax import InputError, __version__
    from hepjax.cli.simulated import already_there, check_at_least, save_settings
    from hepjax.engine.progress import progress
    from hepjax.simulate.fixed import write_hits

    check_at_least("events", args.events, 1)
    if not 1 <= args.particles <= 100_000:
        raise InputError(f"--particles: expected 1 to 100,000, found {args.particles:,}")
    settings = {
        "what": "hits", "events": args.events, "particles": args.particles, "seed": args.seed,
        "hepjax": __version__,
    }  # fmt: skip
    began, seconds, hits = time.monotonic(), None, 0
    present = len(list(args.out.glob("event*-hits.csv.gz")))
    if not already_there(args.out, settings, present, args.events, "event"):
        with progress("simulate", args.events, "events", quiet=args.quiet) as advance:
            hits = write_hits(args.out, args.events, args.seed, advance, args.particles)
        save_settings(args.out, settings)
        seconds = time.monotonic() - began
    if args.json:
        print(json.dumps({**settings, "out": str(args.out), "seconds": seconds}))
    elif seconds is None:
        print(f"{args.out}: these {args.events} events are there already")
    else:
        print(
            f"{args.out}: {args.events} events, {hits / args.events:,.0f} hits each, "
            f"{args.events / seconds:,.1f} events/s"
        )
    return 0
