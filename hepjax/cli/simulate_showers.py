"""``hepjax simulate showers``: the embedded shower model, written in the CLIC file layouts."""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepjax.formats.source import Batch

FILE_PREFIX = {"electron": "Ele", "photon": "Gamma"}
SHOWERS_AT_A_TIME = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate showers``."""
    parser.add_argument("--events", type=int, required=True, metavar="N", help="number of showers")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--energy", default="10:500", metavar="LOW:HIGH",
        help="incident energies, flat, GeV; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--angle", metavar="LOW:HIGH",
        help="polar angles, flat, degrees, 90 is normal; writes the 51x51x25 variable-angle layout",
    )  # fmt: skip
    parser.add_argument("--particle", choices=sorted(FILE_PREFIX), default="electron")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--events-per-file", type=int, default=1000, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Simulate, write, and report the files and the rate."""
    from hepjax.cli.simulated import already_there

    began = time.monotonic()
    settings = _settings(args)
    present, expected = (
        len(list(args.out.glob("*.h5"))),
        math.ceil(args.events / args.events_per_file),
    )
    if already_there(args.out, settings, present, expected, "HDF5"):
        files, seconds = sorted(args.out.glob("*.h5")), None
    else:
        files = _write(args, settings)
        seconds = time.monotonic() - began
    if args.json:
        report = {**settings, "files": [str(path) for path in files], "seconds": seconds}
        print(json.dumps(report))
    elif seconds is None:
        print(f"{args.out}: these {args.events} showers are there already")
    else:
        rate = args.events / seconds
        print(f"{args.out}: {args.events} showers in {len(files)} files, {rate:,.0f} showers/s")
    return 0


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """Everything the showers depend on, checked."""
    from hepjax import InputError, __version__
    from hepjax.cli.ranges import parse_range
    from hepjax.cli.simulated import check_at_least

    for option, least in (("events", 1), ("events-per-file", 1)):
        check_at_least(option, getattr(args, option.replace("-", "_")), least)
    energy = parse_range("--energy", args.energy)
    if energy[0] < 0.5 or energy[1] > 2000:
        raise InputError(f"--energy: expected 0.5 to 2000 GeV, found {args.energy}")
    angle = None if args.angle is None else parse_range("--angle", args.angle)
    if angle and (angle[0] < 45 or angle[1] > 135):
        raise InputError(f"--angle: expected 45 to 135 degrees, found {args.angle}")
    return {
        "what": args.what,
        "events": args.events,
        "energy_gev": list(energy),
        "angle_degrees": None if angle is None else list(angle),
        "particle": args.particle,
        "seed": args.seed,
        "events_per_file": args.events_per_file,
        "hepjax": __version__,
    }


def _write(args: argparse.Namespace, settings: dict[str, Any]) -> list[Path]:
    from hepjax.cli.simulated import save_settings
    from hepjax.engine.progress import progress
    from hepjax.formats.showers.writer import write_showers

    with progress("simulate", args.events, "showers", quiet=args.quiet) as advance:
        files = write_showers(
            args.out,
            _batches(settings, advance),
            layout="fixed" if settings["angle_degrees"] is None else "angle",
            events_per_file=args.events_per_file,
            particle=FILE_PREFIX[args.particle],
        )
    save_settings(args.out, settings)
    return files


def _batches(settings: dict[str, Any], advance: Callable[..., None]) -> Iterator["Batch"]:
    """The showers in pieces; a piece does not depend on where the others begin and end."""
    import jax
    import numpy as np

    from hepjax.simulate.showers.geometry import CLIC_ANGLE, CLIC_FIXED
    from hepjax.simulate.showers.showers import simulate_showers

    # A stream of its own for the conditions: the showers come from jax keys of the same seed.
    rng = np.random.default_rng(settings["seed"])
    low, high = settings["energy_gev"]
    energy = rng.uniform(low, high, settings["events"]).astype(np.float32)
    if settings["angle_degrees"] is None:
        calorimeter, theta = CLIC_FIXED, np.full_like(energy, np.pi / 2)
    else:
        calorimeter = CLIC_ANGLE
        low, high = settings["angle_degrees"]
        degrees = rng.uniform(low, high, settings["events"])
        theta = np.radians(degrees).astype(np.float32)
    key = jax.random.key(settings["seed"])
    for start in range(0, settings["events"], SHOWERS_AT_A_TIME):
        rows = slice(start, start + SHOWERS_AT_A_TIME)
        showers = simulate_showers(
            calorimeter, energy[rows], theta[rows], settings["particle"], key, first=start
        )
        yield {"ecal": showers, "energy": energy[rows], "theta": theta[rows]}
        advance(len(showers))
