"""``hepjax evolve``: train the energy regressor by mutation and selection, beside RMSprop."""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``evolve``."""
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="PATH",
        help="showers of 25 x 25 x 25 cells; a sixth of those taken are for the test",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the report")
    parser.add_argument("--generations", type=int, default=3000, metavar="N", help="default: 3000")
    parser.add_argument(
        "--events", type=int, default=5000, metavar="N", help="training showers; default: 5000"
    )
    parser.add_argument(
        "--mu", type=float, default=0.05, help="fraction of weights that change; default: 0.05"
    )
    parser.add_argument(
        "--power", type=float, default=0.1, help="largest change of a weight; default: 0.1"
    )
    parser.add_argument(
        "--architecture", action="store_true", help="also evolve layers together with weights"
    )
    parser.add_argument(
        "--sweep", action="store_true", help="also the loss over a grid of --mu and --power"
    )
    parser.add_argument(
        "--rivals", action="store_true",
        help="also CMA-ES, OpenAI-ES and differential evolution of evosax (extra evolution)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N",
        help="so many trainings of each kind, from --seed on: mean and spread; default: 1",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the scores as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Train both ways, write the page, print the errors."""
    from functools import partial

    from hepjax.engine.bounds import require
    from hepjax.engine.progress import progress
    from hepjax.studies import evolution, evolution_page
    from hepjax.studies.genetic import BATCH, Rates

    require(args.generations >= 1, "--generations", "at least 1", args.generations)
    require(args.events >= BATCH, "--events", f"at least {BATCH}", args.events)
    require(args.seeds >= 1, "--seeds", "at least 1", args.seeds)
    require(0 < args.mu <= 1, "--mu", "above 0, at most 1", args.mu)
    require(0 < args.power < 1e6, "--power", "above 0", args.power)
    asked = evolution.Asked(
        args.generations, args.events, Rates(args.mu, args.power), args.seed, args.architecture,
        args.sweep, args.rivals, args.seeds,
    )  # fmt: skip
    bar = partial(progress, quiet=args.quiet)
    with bar("read", 0, ""):
        training, test = evolution.read(args.data, args.events)
    scores = evolution_page.write(asked, training, test, args.out, bar)
    print(json.dumps(scores) if args.json else f"{args.out}: {scores['verdict']}")
    return 0
