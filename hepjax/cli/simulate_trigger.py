"""``hepjax simulate trigger``: events for networks of the trigger, as Parquet tables."""

import argparse

from hepjax.cli.simulated import add_common, check_at_least, produce

TASKS = ("toy", "linear", "jets", "anomaly", "pixels")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate trigger``."""
    parser.add_argument(
        "--task", choices=TASKS, required=True,
        help="normal mixtures with quadratic or linear boundaries, observables of jets, collisions "
        "with signals, or clusters of smart pixels",
    )  # fmt: skip
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Simulate and write; the same settings again find their events."""
    from hepjax.simulate.trigger.files import write_trigger

    check_at_least("events", args.events, 1)
    present = len(list(args.out.glob("*.parquet")))
    return produce(
        args, {"task": args.task, "events": args.events},
        lambda advance: write_trigger(args.out, args.task, args.events, args.seed, advance),
        lambda rate, _: f"{args.events:,} {args.task} events, {rate:,.0f} events/s",
        files=(present, present, "Parquet"), size=(args.events, "events"),
    )  # fmt: skip
