"""``hepjax simulate``: the embedded default data, written in the published file layouts.

What is made has a file of its own, ``simulate_<what>.py``; this one hands over to it. Workloads
from other packages offer further data (``Workload.simulations``), all with the same few options.
"""

import argparse
import importlib

from hepjax.cli.simulated import add_common, check_at_least, produce

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
            add_common(sub)
            sub.set_defaults(simulate=_simulate)
    for sub in things.choices.values():
        # The verb has this option too; without a default, the last word given counts.
        sub.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )


def run(args: argparse.Namespace) -> int:
    """Make what was asked for."""
    return args.simulate(args)


def _simulate(args: argparse.Namespace) -> int:
    """Write the events of a workload from outside, or find them there."""
    from hepjax.workloads.table import simulation

    check_at_least("events", args.events, 1)
    make = simulation(args.what)
    assert make is not None
    present = len(list(args.out.iterdir())) if args.out.is_dir() else 0
    return produce(
        args, {"events": args.events},
        lambda advance: make(args.out, args.events, args.seed, advance),
        lambda rate, _: f"{args.events} {args.what}, {rate:,.1f} a second",
        files=(present, present, "event"), size=(args.events, args.what),
    )  # fmt: skip
