"""``hepjax simulate waveforms``: S2 pulses of a xenon detector, to train on and to judge with."""

import argparse
import json
import time
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate waveforms``."""
    parser.add_argument(
        "--events", type=int, required=True, metavar="N",
        help="training pulses; test pulses are as many normal ones again, and a 16th of that of "
        "each anomaly",
    )  # fmt: skip
    parser.add_argument(
        "--contamination", type=float, default=0.0, metavar="SHARE",
        help="of the training pulses that are anomalies, all kinds alike; default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Simulate and write; the same settings again find their pulses."""
    from hepjax import InputError, __version__
    from hepjax.cli.simulated import already_there, check_at_least, save_settings
    from hepjax.engine.config import require_seed
    from hepjax.engine.progress import progress
    from hepjax.simulate.waveforms.events import files_of, pulses_of_test, write_sets

    check_at_least("events", args.events, 1)
    require_seed("--seed", args.seed)
    if not 0 <= args.contamination < 1:
        raise InputError(f"--contamination: expected 0 up to 1, found {args.contamination:g}")
    settings = {
        "what": "waveforms", "events": args.events, "contamination": args.contamination,
        "seed": args.seed, "hepjax": __version__,
    }  # fmt: skip
    total = args.events + pulses_of_test(args.events)
    began, seconds = time.monotonic(), None
    present = len(list(args.out.glob("*/pulses_*.h5")))
    if not already_there(args.out, settings, present, files_of(args.events), "pulses"):
        with progress("simulate", total, "pulses", quiet=args.quiet) as advance:
            write_sets(args.out, args.events, args.seed, advance, args.contamination)
        save_settings(args.out, settings)
        seconds = time.monotonic() - began
    if args.json:
        print(json.dumps({**settings, "out": str(args.out), "seconds": seconds}))
    elif seconds is None:
        print(f"{args.out}: these pulses are there already")
    else:
        print(
            f"{args.out}: {args.events:,} pulses in train, {total - args.events:,} in test, "
            f"{total / seconds:,.0f} pulses/s"
        )
    return 0
