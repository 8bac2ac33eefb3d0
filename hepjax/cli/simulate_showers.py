"""``hepjax simulate showers``: the shower model or Geant4, in the layout of the calorimeter."""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from hepjax.formats.showers.calorimeter import Calorimeter
    from hepjax.formats.source import Batch

FILE_PREFIX = {"electron": "Ele", "photon": "Gamma", "pion": "ChPi"}
SHOWERS_AT_A_TIME = 500
CUT_MM = 0.7
"""The default of Geant4."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate showers``."""
    parser.add_argument("--events", type=int, required=True, metavar="N", help="number of showers")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--geometry", metavar="NAME|FILE.yaml",
        help="calorimeter (docs/reference/calorimeters.md); default: clic-25, with --angle clic-51",
    )  # fmt: skip
    parser.add_argument(
        "--energy", metavar="LOW:HIGH|E,E,...",
        help="incident energies, GeV: a range, flat in a box and logarithmic in a cylinder, or a "
        "list; default: the range of the calorimeter",
    )  # fmt: skip
    parser.add_argument(
        "--angle", metavar="LOW:HIGH",
        help="polar angles, flat, degrees, 90 is normal; default: the range of the calorimeter",
    )  # fmt: skip
    parser.add_argument(
        "--particle", choices=sorted(FILE_PREFIX), help="default: that of the calorimeter"
    )
    parser.add_argument(
        "--engine", choices=("model", "geant4"), default="model",
        help="the parametrised shower model, or Geant4 (extra geant4); default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes of Geant4; default: one for each CPU"
    )
    parser.add_argument(
        "--cut-mm", type=float, metavar="MM",
        help=f"Geant4 makes no secondary particles of a shorter range; default: {CUT_MM}",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--events-per-file", type=int, default=1000, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Simulate, write, and report the files and the rate."""
    from hepjax.cli.simulated import already_there

    began = time.monotonic()
    calorimeter = _calorimeter(args)
    settings = _settings(args, calorimeter)
    present, expected = (
        len(list(args.out.glob("*.h5"))),
        math.ceil(args.events / args.events_per_file),
    )
    if already_there(args.out, settings, present, expected, "HDF5"):
        files, seconds = sorted(args.out.glob("*.h5")), None
    else:
        files = _write(args, settings, calorimeter)
        seconds = time.monotonic() - began
    if args.json:
        report = {**settings, "files": [str(path) for path in files], "seconds": seconds}
        print(json.dumps(report))
    elif seconds is None:
        print(f"{args.out}: these {args.events} showers are there already")
    else:
        rate = args.events / seconds
        print(f"{args.out}: {args.events} showers in {len(files)} files, {rate:,.3g} showers/s")
    return 0


def _calorimeter(args: argparse.Namespace) -> "Calorimeter":
    """The calorimeter, with the angles asked for if its own showers are all normal."""
    from hepjax import InputError
    from hepjax.cli.ranges import parse_range
    from hepjax.formats.showers.calorimeters import calorimeter

    found = calorimeter(args.geometry or ("clic-51" if args.angle else "clic-25"))
    found.require_stack()
    if args.angle is None:
        return found
    low, high = parse_range("--angle", args.angle)
    if low < 45 or high > 135:
        raise InputError(f"--angle: expected 45 to 135 degrees, found {args.angle}")
    if not found.box and (low, high) != (90.0, 90.0):
        raise InputError(
            f"--angle: expected 90:90 for {found.name}, whose rings lie about the shower axis, "
            f"found {args.angle}"
        )
    return replace(found, angle=(low, high)) if found.normal else found


def _settings(args: argparse.Namespace, calorimeter: "Calorimeter") -> dict[str, Any]:
    """Everything the showers depend on, checked."""
    from hepjax import InputError, __version__
    from hepjax.cli.ranges import parse_list, parse_range
    from hepjax.cli.simulated import check_at_least
    from hepjax.formats.showers.calorimeters import as_yaml
    from hepjax.simulate.showers.conditions import check_particle, energy_limits

    for option, least in (("events", 1), ("events-per-file", 1)):
        check_at_least(option, getattr(args, option.replace("-", "_")), least)
    particle = args.particle or calorimeter.particle
    check_particle(particle, "--particle" if args.particle else f"{calorimeter.name}: particle")
    low, high = energy_limits(calorimeter)
    energy, spectrum = list(calorimeter.energy), "flat" if calorimeter.box else "logarithmic"
    if args.energy is not None:
        listed = ":" not in args.energy
        energy = list((parse_list if listed else parse_range)("--energy", args.energy))
        spectrum = "discrete" if listed else spectrum
    if min(energy) < low or max(energy) > high:
        raise InputError(f"--energy: expected {low:g} to {high:g} GeV, found {args.energy}")
    geant4 = args.engine == "geant4"
    for option in () if geant4 else ("workers", "cut_mm"):
        if getattr(args, option) is not None:
            name = f"--{option.replace('_', '-')}"
            raise InputError(
                f"{name}: expected none without --engine geant4, found one; leave it out"
            )
    angle = None if args.angle is None else parse_range("--angle", args.angle)
    if angle is None and not calorimeter.normal:
        angle = calorimeter.angle
    return {
        "what": args.what,
        "events": args.events,
        "geometry": as_yaml(calorimeter),
        "energy_gev": energy,
        "spectrum": spectrum,
        "angle_degrees": None if angle is None else list(angle),
        "particle": particle,
        **({"engine": "geant4", "cut_mm": args.cut_mm or CUT_MM} if geant4 else {}),
        "seed": args.seed,
        "events_per_file": args.events_per_file,
        "hepjax": __version__,
    }


def _write(
    args: argparse.Namespace, settings: dict[str, Any], calorimeter: "Calorimeter"
) -> list[Path]:
    from hepjax.cli.simulated import save_settings
    from hepjax.engine.progress import progress
    from hepjax.formats.showers.layout import layout_of
    from hepjax.formats.showers.writer import write_showers

    made = (
        _geant4(args, settings, calorimeter)
        if args.engine == "geant4"
        else _model(settings, calorimeter)
    )
    with (
        made as (batches, notes),
        progress("simulate", args.events, "showers", quiet=args.quiet) as advance,
    ):
        files = write_showers(
            args.out,
            _counted(batches, advance),
            layout=layout_of(calorimeter),
            events_per_file=args.events_per_file,
            particle=FILE_PREFIX[settings["particle"]],
            calorimeter=calorimeter,
            notes=notes,
        )
    save_settings(args.out, settings)
    return files


def _conditions(settings: dict[str, Any]) -> "tuple[np.ndarray, np.ndarray]":
    """Energies and polar angles of all showers, (n,) float32 GeV and rad."""
    import numpy as np

    # A stream of its own for the conditions: the showers come from jax keys of the same seed.
    rng, n = np.random.default_rng(settings["seed"]), settings["events"]
    given, angle = settings["energy_gev"], settings["angle_degrees"]
    if settings["spectrum"] == "discrete":
        drawn = rng.choice(given, n)
    elif settings["spectrum"] == "flat":
        drawn = rng.uniform(given[0], given[1], n)
    else:
        drawn = np.exp(rng.uniform(np.log(given[0]), np.log(given[1]), n))
    energy = drawn.astype(np.float32)
    if angle is None:
        return energy, np.full_like(energy, np.pi / 2)
    return energy, np.radians(rng.uniform(angle[0], angle[1], n)).astype(np.float32)


def _counted(batches: "Iterator[Batch]", advance: Callable[..., None]) -> "Iterator[Batch]":
    for batch in batches:
        yield batch
        advance(len(batch["energy"]))


@contextmanager
def _model(
    settings: dict[str, Any], calorimeter: "Calorimeter"
) -> "Iterator[tuple[Iterator[Batch], Mapping[str, str]]]":
    """The showers of the model in pieces; one does not depend on where the others begin and end."""
    import jax

    from hepjax.simulate.showers.showers import simulate_showers

    energy, theta = _conditions(settings)
    key = jax.random.key(settings["seed"])

    def batches() -> "Iterator[Batch]":
        for start in range(0, settings["events"], SHOWERS_AT_A_TIME):
            rows = slice(start, start + SHOWERS_AT_A_TIME)
            showers = simulate_showers(
                calorimeter, energy[rows], theta[rows], settings["particle"], key, first=start
            )
            yield {"ecal": showers, "energy": energy[rows], "theta": theta[rows]}

    yield batches(), {}


@contextmanager
def _geant4(
    args: argparse.Namespace, settings: dict[str, Any], calorimeter: "Calorimeter"
) -> "Iterator[tuple[Iterator[Batch], Mapping[str, str]]]":
    """The showers of Geant4 with what it knows besides, and the attributes of the files."""
    from hepjax import InputError
    from hepjax.formats.notes import note
    from hepjax.formats.showers.clock import processor_name
    from hepjax.formats.showers.layout import TRUTH
    from hepjax.simulate.showers.geant4.pool import simulate

    if args.workers is not None and args.workers < 1:
        raise InputError(f"--workers: expected at least 1, found {args.workers}")
    energy, theta = _conditions(settings)
    with simulate(
        calorimeter, energy, theta, settings["particle"], settings["seed"],
        workers=args.workers or len(os.sched_getaffinity(0)), cut_mm=settings["cut_mm"],
    ) as simulation:  # fmt: skip
        if not args.quiet:
            note("{engine}; electromagnetic tables: {tables}".format(**simulation.about))
        yield (
            (
                {"energy": energy[rows], "theta": theta[rows]}
                | {key: values for key, values in showers.items() if key in ("ecal", *TRUTH)}
                for rows, showers in simulation.batches()
            ),
            simulation.about | {"processor": processor_name()},
        )
