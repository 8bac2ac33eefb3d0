"""``hepjax simulate hits``: charged particles in the TrackML detector, as TrackML csv files."""

import argparse

from hepjax.cli.simulated import add_common, check_at_least, produce


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate hits``."""
    parser.add_argument(
        "--particles", type=int, default=500, metavar="N",
        help="charged particles in an event, 10000 are a full one; default: %(default)s",
    )  # fmt: skip
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Simulate and write; the same settings again find their events."""
    from hepjax import InputError
    from hepjax.simulate.fixed import write_hits

    check_at_least("events", args.events, 1)
    if not 1 <= args.particles <= 100_000:
        raise InputError(f"--particles: expected 1 to 100,000, found {args.particles:,}")
    return produce(
        args, {"events": args.events, "particles": args.particles},
        lambda advance: write_hits(args.out, args.events, args.seed, advance, args.particles),
        lambda rate, hits: (
            f"{args.events} events, {hits / args.events:,.0f} hits each, {rate:,.1f} events/s"
        ),
        files=(len(list(args.out.glob("event*-hits.csv.gz"))), args.events, "event"),
        size=(args.events, "events"),
    )  # fmt: skip
