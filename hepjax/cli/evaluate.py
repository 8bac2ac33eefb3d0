"""``hepjax evaluate``: report page and scores of a run, or of some showers against others."""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``evaluate``."""
    parser.add_argument("run_dir", metavar="RUN", type=Path, nargs="?", help="run directory")
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[], metavar="PATH",
        help="events to judge it on; default: the test part of its own data, or its validation",
    )  # fmt: skip
    parser.add_argument(
        "--reference", type=Path, nargs="+", metavar="PATH", help="showers, without RUN"
    )
    parser.add_argument(
        "--generated", type=Path, nargs="+", metavar="PATH", help="showers, without RUN"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: RUN/report")
    parser.add_argument("--step", type=int, metavar="N", help="checkpoint; default: the best epoch")
    parser.add_argument("--seed", type=int, default=0, help="of the generated showers")
    parser.add_argument("--json", action="store_true", help="print the scores as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Write the report; print where it is, or the scores."""
    from hepjax import InputError

    files = args.reference is not None or args.generated is not None
    if files == (args.run_dir is not None) or (files and not (args.reference and args.generated)):
        given = {"RUN": args.run_dir, "--reference": args.reference, "--generated": args.generated}
        found = " and ".join(name for name, value in given.items() if value) or "nothing"
        raise InputError(
            f"evaluate: expected RUN alone, or --reference with --generated, found {found}"
        )
    if files:
        from hepjax.workloads.families import family_of

        out = args.out or Path("report")
        family = family_of(args.reference[0])
        if family.compare is None:
            raise InputError(
                f"{args.reference[0]}: expected showers to compare, found files of {family.name}"
            )
        scores = family.compare(args.reference, args.generated, out, args.quiet)
    else:
        from hepjax.run import load

        out = args.out or args.run_dir / "report"
        opened = load(args.run_dir, args.step)
        scores = opened.evaluate(args.data, out, seed=args.seed, quiet=args.quiet)
    print(json.dumps(scores) if args.json else f"{out / 'index.html'}")
    return 0
