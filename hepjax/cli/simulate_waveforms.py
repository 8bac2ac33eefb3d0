"""``hepjax simulate waveforms``: S2 pulses of a xenon detector, to train on and to judge with."""

import argparse

from hepjax.cli.simulated import add_common, check_at_least, produce


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate waveforms``."""
    parser.add_argument(
        "--contamination", type=float, default=0.0, metavar="SHARE",
        help="of the training pulses that are anomalies, all kinds alike; default: %(default)s",
    )  # fmt: skip
    add_common(
        parser,
        events="training pulses; test pulses are as many normal ones again, and a 16th of that of "
        "each anomaly",
    )


def run(args: argparse.Namespace) -> int:
    """Simulate and write; the same settings again find their pulses."""
    from hepjax import InputError
    from hepjax.simulate.waveforms.events import files_of, pulses_of_test, write_sets

    check_at_least("events", args.events, 1)
    if not 0 <= args.contamination < 1:
        raise InputError(f"--contamination: expected 0 up to 1, found {args.contamination:g}")
    settings = {"events": args.events, "contamination": args.contamination}
    test = pulses_of_test(args.events)
    return produce(
        args, settings,
        lambda advance: write_sets(args.out, args.events, args.seed, advance, args.contamination),
        lambda rate, _: f"{args.events:,} pulses in train, {test:,} in test, {rate:,.0f} pulses/s",
        files=(len(list(args.out.glob("*/pulses_*.h5"))), files_of(args.events), "pulses"),
        size=(args.events + test, "pulses"),
    )  # fmt: skip
