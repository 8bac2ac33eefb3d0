"""``hepjax simulate hits``: charged particles in the TrackML detector, as TrackML csv or packed."""

import argparse

from hepjax.cli.simulated import add_common, check_at_least, produce


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate hits``."""
    parser.add_argument(
        "--particles", type=int, default=500, metavar="N",
        help="charged particles in an event, 10000 are a full one; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("csv", "packed"), default="csv",
        help="csv: files of the TrackML challenge; packed: a set with checksums, an event in a row",
    )  # fmt: skip
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Simulate and write; the same settings again find their events."""
    from hepjax import InputError
    from hepjax.formats.tracking.packed import is_packed_hits
    from hepjax.simulate.fixed import write_hits

    check_at_least("events", args.events, 1)
    if not 1 <= args.particles <= 100_000:
        raise InputError(f"--particles: expected 1 to 100,000, found {args.particles:,}")
    packed = args.format == "packed"
    found = len(list(args.out.glob("event*-hits.csv.gz")))
    files = (found, 0 if packed else args.events, "event")
    if is_packed_hits(args.out) and not found:
        files = (1, int(packed), "packed")
    return produce(
        args, {"events": args.events, "particles": args.particles, "format": args.format},
        lambda advance: write_hits(
            args.out, args.events, args.seed, advance, args.particles, packed=packed
        ),
        lambda rate, hits: (
            f"{args.events} events, {hits / args.events:,.0f} hits each, {rate:,.1f} events/s"
        ),
        files=files, size=(args.events, "events"),
    )  # fmt: skip
