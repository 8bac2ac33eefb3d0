"""``hepjax simulate unfolding``: events that were measured, and a simulation of them."""

import argparse

from hepjax.cli.simulated import add_common, check_at_least, produce


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate unfolding``."""
    parser.add_argument(
        "--toy", choices=("jets", "gaussian"), default="jets",
        help="jets beside a Z boson in the published layout, or Gaussians whose unfolding is known "
        "at each iteration; default: %(default)s",
    )  # fmt: skip
    add_common(
        parser,
        "number of events of each sample",
        "new folder for the folders measured and simulation",
    )


def run(args: argparse.Namespace) -> int:
    """Simulate and write; the same settings again find their events."""
    from hepjax.simulate.unfolding.files import SAMPLES, write_toy

    check_at_least("events", args.events, 10)
    present = len(list(args.out.iterdir())) if args.out.is_dir() else 0
    return produce(
        args, {"toy": args.toy, "events": args.events},
        lambda advance: write_toy(args.out, args.toy, args.events, args.seed, advance),
        lambda rate, _: f"{args.events} measured and simulated events, {rate:,.0f} events/s",
        files=(present, len(SAMPLES) + 1, "sample"), size=(2 * args.events, "events"),
    )  # fmt: skip
