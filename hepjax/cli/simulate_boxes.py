"""``hepjax simulate boxes``: dark matter by a particle mesh, and gas or parameters to learn."""

import argparse

from hepjax.cli.simulated import add_common, check_at_least, produce


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate boxes``."""
    parser.add_argument("--boxes", type=int, required=True, metavar="N", help="number of boxes")
    parser.add_argument(
        "--targets", choices=("gas", "parameters"), default="gas",
        help="gas by formula (workload fields), or universes of their own (workload cosmoflow)",
    )  # fmt: skip
    parser.add_argument(
        "--cells", type=int, default=32, metavar="N",
        help="along an edge, as many as particles; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--length", type=float, metavar="MPC/H",
        help="edge; default: 0.78125 a cell for gas, 8 a cell for parameters",
    )  # fmt: skip
    parser.add_argument(
        "--redshift", type=float, default=3.0, help="of gas; default: %(default)s"
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=int, default=12, metavar="N",
        help="of the simulation; default: %(default)s",
    )  # fmt: skip
    add_common(parser, events=None)


def run(args: argparse.Namespace) -> int:
    """Simulate and write; the same settings again find their boxes."""
    from hepjax.ops.boxes import Setting
    from hepjax.simulate.boxes.boxes import write_boxes, write_universes

    check_at_least("boxes", args.boxes, 1)
    gas = args.targets == "gas"
    length = args.cells * (0.78125 if gas else 8.0) if args.length is None else args.length
    _check(args, length)
    setting = Setting(args.cells, length, args.redshift, args.steps)
    settings = {
        "targets": args.targets, "boxes": args.boxes, "cells": args.cells, "length": length,
        "redshift": args.redshift, "steps": args.steps,
    }  # fmt: skip
    write = write_boxes if gas else write_universes
    form = f"{args.boxes} boxes of {args.cells}^3 cells and {length:g} Mpc/h"
    return produce(
        args, settings, lambda advance: write(args.out, args.boxes, args.seed, advance, setting),
        lambda rate, _: f"{form}, {rate:,.1f} boxes/s",
        files=(len(list(args.out.glob("*.h5"))), args.boxes, "box"), size=(args.boxes, "boxes"),
    )  # fmt: skip


def _check(args: argparse.Namespace, length: float) -> None:
    from hepjax import InputError

    if not 4 <= args.cells <= 1024 or args.cells % 2:
        raise InputError(f"--cells: expected an even number from 4 to 1024, found {args.cells}")
    if not 1 <= length <= 10_000:
        raise InputError(f"--length: expected 1 to 10000 Mpc/h, found {length:g}")
    if not 0 <= args.redshift <= 20:
        raise InputError(f"--redshift: expected 0 to 20, found {args.redshift:g}")
    if not 2 <= args.steps <= 1000:
        raise InputError(f"--steps: expected 2 to 1000, found {args.steps}")
