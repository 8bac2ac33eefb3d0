"""``hepjax simulate``: the embedded default data, written in the published file layouts.

What is made has a file of its own, ``simulate_<what>.py``; this one hands over to it.
"""

import argparse
import importlib

THINGS = {
    "showers": "showers in a W/Si calorimeter",
    "photons": "electrons and photons as crystal images",
    "jets": "jets as detector images",
    "events": "tracks and towers with their particles, for particle flow",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate``."""
    things = parser.add_subparsers(dest="what", metavar="THING", required=True)
    for what, summary in THINGS.items():
        module = importlib.import_module(f"hepjax.cli.simulate_{what}")
        sub = things.add_parser(what, help=summary, description=f"Make {summary}.")
        # The verb has this option too; without a default, the last word given counts.
        sub.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        module.add_arguments(sub)
        sub.set_defaults(simulate=module.run)


def run(args: argparse.Namespace) -> int:
    """Make what was asked for."""
    return args.simulate(args)
