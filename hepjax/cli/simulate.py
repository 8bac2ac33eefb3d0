"""``hepjax simulate``: the embedded default data, written in the published file layouts.

What is made has a file of its own, ``simulate_<what>.py``; this one hands over to it. Workloads
from other packages offer further data (``Workload.simulations``), all with the same few options.
"""

import argparse
import importlib
import json
import time
from pathlib import Path

THINGS = {
    "showers": "showers in a W/Si calorimeter",
    "photons": "electrons and photons as crystal images",
    "jets": "jets as detector images",
    "hits": "hits of charged particles in a tracking detector",
    "trigger": "events for networks of the trigger",
    "waveforms": "S2 pulses of a xenon detector, normal ones and anomalies",
    "boxes": "boxes of the universe: dark matter, and gas or parameters",
    "events": "tracks and towers with their particles, for particle flow",
    "unfolding": "measured events and a simulation to unfold them with",
    "mixture": "signal, background and their interference with known densities, for inference",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate``."""
    from hepjax.workloads.table import outside

    things = parser.add_subparsers(dest="what", metavar="THING", required=True)
    for what, summary in THINGS.items():
        module = importlib.import_module(f"hepjax.cli.simulate_{what}")
        sub = things.add_parser(what, help=summary, description=f"Make {summary}.")
        module.add_arguments(sub)
        sub.set_defaults(simulate=module.run)
    for workload in outside():
        for what in workload.simulations:
            sub = things.add_parser(what, help=f"events for the workload {workload.name}")
            _add_common(sub)
            sub.set_defaults(simulate=_simulate)
    for sub in things.choices.values():
        # The verb has this option too; without a default, the last word given counts.
        sub.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )


def run(args: argparse.Namespace) -> int:
    """Make what was asked for."""
    return args.simulate(args)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, required=True, metavar="N", help="number of events")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _simulate(args: argparse.Namespace) -> int:
    """Write the events of a workload from outside, or find them there."""
    from hepjax import __version__
    from hepjax.cli.simulated import already_there, check_at_least, save_settings
    from hepjax.engine.progress import progress
    from hepjax.workloads.table import simulation

    check_at_least("events", args.events, 1)
    settings = {
        "what": args.what, "events": args.events, "seed": args.seed, "hepjax": __version__,
    }  # fmt: skip
    make = simulation(args.what)
    assert make is not None
    began, seconds = time.monotonic(), None
    present = len(list(args.out.iterdir())) if args.out.is_dir() else 0
    if not already_there(args.out, settings, present, present, "event"):
        with progress("simulate", args.events, "events", quiet=args.quiet) as advance:
            make(args.out, args.events, args.seed, advance)
        save_settings(args.out, settings)
        seconds = time.monotonic() - began
    if args.json:
        print(json.dumps({**settings, "out": str(args.out), "seconds": seconds}))
    else:
        there = "are there already" if seconds is None else f"made in {seconds:.1f} s"
        print(f"{args.out}: {args.events} {args.what}, {there}")
    return 0
