"""``hepjax simulate jets``: jets as eight-channel images, from Pythia or from a built-in toy."""

import argparse
import os
import sys
from typing import Any

TASKS = ("top", "quark-gluon")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate jets``."""
    from hepjax.cli.simulated import add_common

    parser.add_argument("--task", choices=TASKS, required=True, help="what to tell apart")
    parser.add_argument(
        "--resolution", type=int, choices=(1, 3), default=1,
        help="1: 125 x 125 pixels, 3: 375 x 375; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--toy", action="store_true", help="jets from the built-in toy in place of Pythia"
    )
    parser.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), metavar="N",
        help="processes for Pythia, the jets do not depend on it; default: one for each core",
    )  # fmt: skip
    add_common(parser, "number of jets, half of each class")


def run(args: argparse.Namespace) -> int:
    """Simulate, write a packed set, and report the rate."""
    from hepjax.cli.simulated import check_at_least
    from hepjax.cli.simulated_images import write_images
    from hepjax.simulate.jets.images import jet_grid
    from hepjax.simulate.jets.jets import TASKS as KNOWN
    from hepjax.simulate.jets.jets import is_available, simulate_jets
    from hepjax.simulate.jets.toy import simulate_toy_jets

    for option, least in (("events", 1), ("workers", 1)):
        check_at_least(option, getattr(args, option), least)
    toy = args.toy or not is_available()
    if toy:
        way_out = "" if args.toy else "; for Pythia: pip install 'hepjax[hep]'"
        print(f"hepjax: these jets are from the built-in toy{way_out}", file=sys.stderr)
        batches = simulate_toy_jets(args.task, args.events, args.seed, resolution=args.resolution)
    else:
        batches = simulate_jets(
            args.task, args.events, args.seed, resolution=args.resolution, workers=args.workers
        )
    grid, labels = jet_grid(args.resolution), KNOWN[args.task].labels
    return write_images(args, _settings(args, toy), batches, grid, labels)


def _settings(args: argparse.Namespace, toy: bool) -> dict[str, Any]:
    from hepjax import __version__
    from hepjax.simulate.jets.jets import generator

    return {
        "what": args.what,
        "task": args.task,
        "events": args.events,
        "resolution": args.resolution,
        "seed": args.seed,
        "toy": toy,
        "generator": "built-in toy" if toy else generator(),
        "hepjax": __version__,
    }
