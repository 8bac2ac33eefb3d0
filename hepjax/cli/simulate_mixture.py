"""``hepjax simulate mixture``: signal, background and interference with known densities."""

import argparse
from collections.abc import Callable

from hepjax.cli.simulated import add_common, check_at_least, produce

SAMPLES = 7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate mixture``."""
    add_common(parser, "number of events of each sample", "new folder for a file a sample")


def run(args: argparse.Namespace) -> int:
    """Simulate and write; the same settings again find their events."""
    from hepjax.simulate.mixture.toy import write_mixture

    check_at_least("events", args.events, 10)

    def make(advance: Callable[[int], object]) -> None:
        write_mixture(args.out, args.events, args.seed)
        advance(SAMPLES)

    return produce(
        args, {"events": args.events}, make,
        lambda rate, _: f"{SAMPLES} samples of {args.events} events",
        files=(len(list(args.out.glob("*.npz"))), SAMPLES, "sample"), size=(SAMPLES, "samples"),
    )  # fmt: skip
