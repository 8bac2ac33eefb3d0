"""``hepjax generate``: showers of a trained run, streamed to a file."""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from hepjax.formats.showers.clock import Clock
    from hepjax.formats.showers.layout import Layout
    from hepjax.formats.source import Batch
    from hepjax.run import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``generate``."""
    parser.add_argument("run_dir", metavar="RUN", type=Path, help="run directory")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument(
        "--out", type=Path, metavar="FILE",
        help="file to write; its name says how: .h5 as published, .root or .parquet",
    )  # fmt: skip
    place.add_argument(
        "--library", type=Path, metavar="FILE",
        help="the file as DDML's LoadHdf5 plays it back in DD4hep, in place of --out",
    )  # fmt: skip
    parser.add_argument("--events", type=int, metavar="N", help="number of showers")
    conditions = parser.add_mutually_exclusive_group()
    conditions.add_argument(
        "--energy", default=None, metavar="LOW:HIGH",
        help="incident energies, flat, GeV; default: the range of the training",
    )  # fmt: skip
    conditions.add_argument(
        "--like", type=Path, metavar="FILE", help="energies and angles of this file"
    )
    parser.add_argument(
        "--angle", metavar="LOW:HIGH",
        help="polar angles, flat, degrees, 90 is normal, of a model that has them; default: the "
        "range of the training",
    )  # fmt: skip
    parser.add_argument(
        "--eta", metavar="LOW:HIGH",
        help="|pseudorapidities|, flat, of a run with slices; default: the range of the training",
    )  # fmt: skip
    parser.add_argument(
        "--extrapolate", action="store_true", help="allow what the model was not trained on"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="showers at a time")
    parser.add_argument("--step", type=int, metavar="N", help="checkpoint; default: the best epoch")
    parser.add_argument("--devices", type=int, default=0, metavar="N", help="default: all")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Generate, write, and report the time per shower with and without start-up."""
    began = time.monotonic()
    from hepjax import InputError
    from hepjax.cli.ranges import parse_range
    from hepjax.engine.mesh import request_devices

    for name in ("events", "batch_size"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')}: expected at least 1, found {value}")
    if args.events is None and args.like is None:
        raise InputError("--events: expected a number of showers, or --like FILE, found neither")
    if args.like is not None and args.angle is not None:
        raise InputError("--angle: expected no --like with it, whose angles are taken, found both")
    if args.out is not None:
        from hepjax.formats.files import by_suffix
        from hepjax.formats.showers.file_writer import WRITERS

        by_suffix(args.out, WRITERS)
    for name in ("energy", "angle", "eta"):
        text = getattr(args, name)
        setattr(args, name, None if text is None else parse_range(f"--{name}", text))
    request_devices(args.devices)

    from hepjax.engine.progress import progress
    from hepjax.run import load

    opened = load(args.run_dir, args.step)
    opened.require_simulation()
    asked = _asked(args, opened)
    batches = opened.generated_batches(
        asked, args.seed, args.batch_size, extrapolate=args.extrapolate
    )
    out = args.out or args.library
    _remark(out)
    done, first, total = 0, 0.0, len(asked["energy"])
    with (
        _written(args, opened, total, "theta" in asked) as write,
        progress("generate", total, "showers", quiet=args.quiet) as advance,
    ):
        for showers in batches:
            if done == 0:
                started, first = time.monotonic(), len(showers)
                cpu = time.process_time()
            rows = slice(done, done + len(showers))
            told = {name: a[rows] for name, a in asked.items() if name != "eta"}
            write({"ecal": showers} | told)
            done += len(showers)
            advance(len(showers))
    ended, cpu = time.monotonic(), time.process_time() - cpu
    report: dict[str, Any] = {
        "file": str(out),
        "showers": done,
        "ms_per_shower_with_startup": 1e3 * (ended - began) / done,
        "ms_per_shower": 1e3 * (ended - started) / (done - first) if done > first else None,
    }
    clock = _clock(opened) if done > first else None
    if clock is not None:
        report |= _beside(clock, asked["energy"][first:], cpu, ended - started)
    if args.json:
        print(json.dumps(report))
    else:
        steady = report["ms_per_shower"]
        print(
            f"{out}: {done} showers, {report['ms_per_shower_with_startup']:.2f} ms a shower "
            "with start-up" + (f", {steady:.2f} ms without" if steady is not None else "")
        )
        if clock is not None:
            print(report["full_simulation"])
    return 0


def _written(
    args: argparse.Namespace, opened: "Run", total: int, angles: bool
) -> "AbstractContextManager[Callable[[Batch], None]]":
    """What appends showers to the file that was asked for."""
    from hepjax.cli.simulate_showers import FILE_PREFIX
    from hepjax.formats.showers.file_writer import shower_file
    from hepjax.formats.showers.library import library

    calorimeter = opened.cfg.calorimeter
    notes = {"run": str(opened.directory), "step": str(opened.step)}
    if args.library is not None:
        return library(args.library, total, calorimeter, notes)
    layout: Layout = "angle" if angles else "fixed" if calorimeter.box else "calochallenge"
    particle = FILE_PREFIX[calorimeter.particle]
    return shower_file(args.out, total, layout, particle, calorimeter, notes)


def _clock(opened: "Run") -> "Clock | None":
    """The clock of the full simulation that the run was trained on, if its files are there."""
    from hepjax import InputError
    from hepjax.formats.showers.clock import clock_of

    try:
        return clock_of([Path(path) for path in opened.cfg.data.files])
    except InputError:  # gone, or packed
        return None


def _beside(clock: "Clock", energy: "np.ndarray", cpu: float, wall: float) -> dict[str, Any]:
    """How many times faster than the full simulation these showers were made, and in words.

    On a CPU the processor time counts, that of writing the file included; on an accelerator the
    time that passes, against one core of the full simulation.
    """
    import jax

    from hepjax.formats.showers.clock import processor_name

    on_cpu = jax.default_backend() == "cpu"
    seconds, kind = (cpu, "processor time") if on_cpu else (wall, "time")
    return {
        "speed_up": clock.speed_up(energy, seconds),
        "full_simulation": clock.sentence(energy, seconds, processor_name(), kind),
    }


def _asked(args: argparse.Namespace, opened: "Run") -> "dict[str, np.ndarray]":
    """Energies (n,) GeV, and polar angles (n,) rad if the model has them: drawn, or of a file.

    Raises:
      InputError: an angle that the model does not have, or a file that lacks what it needs.
    """
    import numpy as np

    from hepjax import InputError
    from hepjax.formats.showers.angle import measured_angle
    from hepjax.formats.showers.reader import open_showers

    known = opened.workload.ranges(opened.cfg)
    if args.angle is not None and "theta" not in known:
        raise InputError(f"--angle: expected a run with angles, found {args.run_dir} without")
    if args.eta is not None and "eta" not in known:
        raise InputError(f"--eta: expected a run with slices in eta, found {args.run_dir} without")
    if args.like is not None and "eta" in known:
        raise InputError(
            "--like: expected --energy and --eta for a run with slices, found a file, which says "
            "no eta"
        )
    if args.like is not None:
        source = open_showers(args.like)
        asked = {"energy": source.energy, "theta": source.theta}
        if opened.cfg.data.angle == "mtheta" and "theta" in known:
            parts = [measured_angle(batch["ecal"]) for batch in source.stream()]
            asked["theta"] = np.concatenate(parts)
        found = {name: asked[name] for name in known}
        for name, values in found.items():
            if values is None:
                what = {"energy": "incident energies", "theta": "polar angles (theta)"}[name]
                raise InputError(f"{args.like}: expected {what}, found a file without them")
        return {
            name: values[: args.events].astype(np.float32)
            for name, values in found.items() if values is not None
        }  # fmt: skip
    # A stream of its own: the noise of the showers comes from jax keys of the same seed.
    rng = np.random.default_rng(args.seed)
    windows = {name: (low, high) for name, (low, high, _) in known.items()}
    if args.energy is not None:
        windows["energy"] = args.energy
    if args.eta is not None:
        windows["eta"] = args.eta
    if args.angle is not None:
        windows["theta"] = (np.radians(args.angle[0]), np.radians(args.angle[1]))
    return {
        name: rng.uniform(low, high, args.events).astype(np.float32)
        for name, (low, high) in windows.items()
    }


def _remark(out: Path) -> None:
    """Say what a user may not have meant: an older file is replaced."""
    from hepjax.engine.progress import say

    if out.exists():
        say(f"hepjax: warning: {out}: the file of this name will be replaced")
