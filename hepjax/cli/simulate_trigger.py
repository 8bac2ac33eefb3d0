"""``hepjax simulate trigger``: events for networks of the trigger, as Parquet tables."""

import argparse
import json
import time
from pathlib import Path

TASKS = ("toy", "linear", "jets", "anomaly", "pixels")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate trigger``."""
    parser.add_argument(
        "--task", choices=TASKS, required=True,
        help="normal mixtures with quadratic or linear boundaries, observables of jets, collisions "
        "with signals, or clusters of smart pixels",
    )  # fmt: skip
    parser.add_argument("--events", type=int, required=True, metavar="N", help="number of events")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Simulate and write; the same settings again find their events."""
    from hepjax import __version__
    from hepjax.cli.simulated import already_there, check_at_least, save_settings
    from hepjax.engine.config import require_seed
    from hepjax.engine.progress import progress
    from hepjax.simulate.trigger.files import write_trigger

    check_at_least("events", args.events, 1)
    require_seed("--seed", args.seed)
    settings = {
        "what": "trigger", "task": args.task, "events": args.events, "seed": args.seed,
        "hepjax": __version__,
    }  # fmt: skip
    began, seconds = time.monotonic(), None
    present = len(list(args.out.glob("*.parquet")))
    if not already_there(args.out, settings, present, present, "Parquet"):
        with progress("simulate", args.events, "events", quiet=args.quiet) as advance:
            write_trigger(args.out, args.task, args.events, args.seed, advance)
        save_settings(args.out, settings)
        seconds = time.monotonic() - began
    if args.json:
        print(json.dumps({**settings, "out": str(args.out), "seconds": seconds}))
    elif seconds is None:
        print(f"{args.out}: these {args.events:,} events are there already")
    else:
        rate = args.events / seconds
        print(f"{args.out}: {args.events:,} {args.task} events, {rate:,.0f} events/s")
    return 0
