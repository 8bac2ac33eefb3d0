"""``hepjax rates``: the learning-rate finder."""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``rates``."""
    parser.add_argument("config", metavar="CONFIG", help="as for hepjax train")
    parser.add_argument(
        "overrides", metavar="key.path=value", nargs="*", help="settings that replace the file's"
    )
    parser.add_argument(
        "--range", default="1e-5:1e-1", metavar="LOW:HIGH", help="default: %(default)s"
    )
    parser.add_argument(
        "--rates", type=int, default=9, metavar="N",
        help="how many, in equal steps of the logarithm; they train side by side, in N times the "
        "memory; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=int, default=200, metavar="N", help="updates of each; default: %(default)s"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="run directory of these trainings"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Train at each rate; print what became of them and the best one."""
    from hepjax.cli.ranges import parse_range
    from hepjax.studies import rates

    low, high = parse_range("--range", args.range)
    chosen = rates.grid(low, high, args.rates)
    rows = rates.tried(args.config, args.overrides, chosen, args.steps, args.out, args.quiet)
    best = next((row["rate"] for row in rows if row["best"]), None)
    if args.json:
        print(json.dumps({"rates": rows, "best": best, "steps": args.steps}))
        return 0
    print(f"{'rate':>9}  {'score':>9}  {'loss':>9}")
    for row in rows:
        remark = "best" if row["best"] else ""
        if row["skipped"]:
            remark = "not finite"
        cells = (row["score"], row["loss"])
        score, loss = ("-" if x is None else f"{x:.4g}" for x in cells)
        print(f"{row['rate']:>9.3g}  {score:>9}  {loss:>9}  {remark}".rstrip())
    print(
        f"after {args.steps} updates: optimizer.learning_rate={best:g}" if best is not None
        else "no rate stayed finite: try a lower --range"
    )  # fmt: skip
    return 0
