"""``hepjax simulate photons``: electrons and photons as images of calorimeter crystals."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate photons``."""
    from hepjax.cli.simulated import add_common

    parser.add_argument(
        "--energy", default="40:60", metavar="LOW:HIGH",
        help="energies, flat, GeV; default: %(default)s",
    )  # fmt: skip
    add_common(parser, "number of electrons and photons together")


def run(args: argparse.Namespace) -> int:
    """Simulate, write a packed set, and report the rate."""
    from hepjax import InputError, __version__
    from hepjax.cli.ranges import parse_range
    from hepjax.cli.simulated import check_at_least
    from hepjax.cli.simulated_images import write_images
    from hepjax.simulate.photons.photons import GRID, LABELS, simulate_photons

    check_at_least("events", args.events, 1)
    energy = parse_range("--energy", args.energy)
    if energy[0] < 1 or energy[1] > 1000:
        raise InputError(f"--energy: expected 1 to 1000 GeV, found {args.energy}")
    settings = {
        "what": args.what,
        "events": args.events,
        "energy_gev": list(energy),
        "seed": args.seed,
        "generator": "Grindhammer-Peters showers behind a tracker",
        "hepjax": __version__,
    }
    return write_images(
        args, settings, simulate_photons(args.events, energy, args.seed), GRID, LABELS
    )
