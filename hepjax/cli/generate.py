"""``hepjax generate``: showers of a trained run, streamed to a file in the published layout."""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``generate``."""
    parser.add_argument("run_dir", metavar="RUN", type=Path, help="run directory")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="HDF5 file to write"
    )
    parser.add_argument("--events", type=int, metavar="N", help="number of showers")
    conditions = parser.add_mutually_exclusive_group()
    conditions.add_argument(
        "--energy", default=None, metavar="LOW:HIGH",
        help="incident energies, flat, GeV; default: the range of the training",
    )  # fmt: skip
    conditions.add_argument("--like", type=Path, metavar="FILE", help="the energies of this file")
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
    window = None if args.energy is None else parse_range("--energy", args.energy)
    request_devices(args.devices)

    import numpy as np

    from hepjax.engine.progress import progress
    from hepjax.formats.showers.reader import open_showers
    from hepjax.formats.showers.writer import ShowerWriter
    from hepjax.run import load

    opened = load(args.run_dir, args.step)
    opened.require_simulation()
    if args.like is not None:
        known = open_showers(args.like).energy
        if known is None:
            raise InputError(f"{args.like}: expected incident energies, found a file without them")
        energy = known[: args.events]
    else:
        low, high = window or opened.cfg.data.energy_range
        # A stream of its own: the noise of the showers comes from jax keys of the same seed.
        energy = np.random.default_rng(args.seed).uniform(low, high, args.events)
    energy = energy.astype(np.float32)
    _remark(args.out, energy, opened.cfg)

    batches = opened.generated_batches({"energy": energy}, args.seed, args.batch_size)
    done, first = 0, 0.0
    with (
        ShowerWriter(args.out, "fixed", len(energy)) as writer,
        progress("generate", len(energy), "showers", quiet=args.quiet) as advance,
    ):
        for showers in batches:
            if done == 0:
                started, first = time.monotonic(), len(showers)
            writer.write({"ecal": showers, "energy": energy[done : done + len(showers)]})
            done += len(showers)
            advance(len(showers))
    ended = time.monotonic()
    report = {
        "file": str(args.out),
        "showers": done,
        "ms_per_shower_with_startup": 1e3 * (ended - began) / done,
        "ms_per_shower": 1e3 * (ended - started) / (done - first) if done > first else None,
    }
    if args.json:
        print(json.dumps(report))
    else:
        steady = report["ms_per_shower"]
        print(
            f"{args.out}: {done} showers, {report['ms_per_shower_with_startup']:.2f} ms a shower "
            "with start-up" + (f", {steady:.2f} ms without" if steady is not None else "")
        )
    return 0


def _remark(out: Path, energy: "np.ndarray", cfg: Any) -> None:
    """Say what a user may not have meant: an older file is replaced, energies never trained on."""
    from hepjax.engine.progress import say

    if out.exists():
        say(f"hepjax: warning: {out}: the file of this name will be replaced")
    low, high = cfg.data.energy_range
    outside = int(((energy < low) | (energy > high)).sum())
    if outside:
        say(
            f"hepjax: warning: energies: expected {low:g} to {high:g} GeV as trained on, found "
            f"{energy.min():g} to {energy.max():g} ({outside} of {len(energy)} outside); the model "
            "extrapolates there"
        )
