"""``hepjax repeat``: the same training with several seeds or folds; mean and spread."""

import argparse
import json

from hepjax.cli import tune


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``repeat``."""
    parser.add_argument("config", metavar="CONFIG", help="as for hepjax train")
    parser.add_argument(
        "overrides", metavar="key.path=value", nargs="*", help="settings that replace the file's"
    )
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument(
        "--seeds", type=int, metavar="N", help="trainings that differ in train.seed alone"
    )
    group.add_argument(
        "--folds", type=int, metavar="K",
        help="trainings that are judged on another K-th of the events each (cross-validation)",
    )  # fmt: skip
    tune.add_study_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Train and evaluate each, write the page, print mean and spread."""
    from hepjax import InputError, run
    from hepjax.studies import repeat, search
    from hepjax.studies.study import Sampler

    what, count = ("seeds", args.seeds) if args.folds is None else ("folds", args.folds)
    least = 1 if what == "seeds" else 2
    if count < least:
        raise InputError(f"--{what}: expected at least {least}, found {count}")
    workload, cfg = run.configured(args.config, args.overrides)
    points = repeat.of_folds(cfg, count) if what == "folds" else []
    workload.sources(cfg)
    sampler: Sampler = "list" if points else "seeds"
    study = search.defined(workload, cfg, args.out, points=points, sampler=sampler)
    trials = search.carried_out(study, tune.workers(args, count))
    finished = [trial for trial in trials if trial.score is not None]
    found = [repeat.evaluated(study, trial, args.quiet) for trial in finished]
    scores = repeat.write(study, trials, found, what)
    print(json.dumps(scores) if args.json else f"{args.out}: {scores['verdict']}")
    return 0
