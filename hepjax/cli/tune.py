"""``hepjax tune``: search for the settings of lowest score, by any number of workers."""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``tune``."""
    parser.add_argument("config", metavar="CONFIG", help="as for hepjax train")
    parser.add_argument(
        "overrides", metavar="key.path=value", nargs="*", help="settings that replace the file's"
    )
    parser.add_argument(
        "--space", type=Path, required=True, metavar="FILE",
        help="YAML: key.path: {low: .., high: .., log: true, step: ..} or {choice: [..]}",
    )  # fmt: skip
    parser.add_argument("--trials", type=int, required=True, metavar="N", help="trainings in all")
    parser.add_argument("--sampler", default="tpe", choices=["tpe", "random", "cmaes", "grid"])
    parser.add_argument(
        "--pruner", default="none", choices=["asha", "hyperband", "median", "none"],
        help="asha, hyperband: stages of epochs, and the best third of a stage goes on from its "
        "checkpoints; median: a trial worse than the median of the others stops",
    )  # fmt: skip
    parser.add_argument(
        "--first-epochs", type=int, default=1, metavar="N", help="of the first stage; default: 1"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sampler")
    add_study_arguments(parser)


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """What all studies have."""
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the study"
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N",
        help="processes here; the same command elsewhere adds others to the same folder",
    )  # fmt: skip
    parser.add_argument(
        "--lease", type=float, default=60.0, metavar="SECONDS",
        help="without a heartbeat after which the trial of another worker is taken over",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the scores as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Search, write the page, print the best trial."""
    from hepjax import run
    from hepjax.studies import page, samplers, search, space

    how = workers(args, args.trials)
    if args.first_epochs < 1:
        from hepjax import InputError

        raise InputError(f"--first-epochs: expected at least 1, found {args.first_epochs}")
    samplers.require_sampler(args.sampler)
    workload, cfg = run.configured(args.config, args.overrides)
    from hepjax.engine import rundir

    axes = space.read(args.space, rundir.stored_settings(workload.name, cfg))
    workload.sources(cfg)  # data that are not there are no fault of a trial
    study = search.defined(
        workload, cfg, args.out, axes, sampler=args.sampler, pruner=args.pruner,
        first=args.first_epochs, seed=args.seed,
    )  # fmt: skip
    trials = search.carried_out(study, how)
    scores = page.write(study, trials)
    print(json.dumps(scores) if args.json else f"{args.out}: {scores['verdict']}")
    return 0


def workers(args: argparse.Namespace, count: int, option: str = "--trials"):  # type: ignore[no-untyped-def]
    """How a study is worked on, from the arguments that all studies have.

    Args:
      option: that of the count.
    Raises:
      InputError: numbers out of range.
    """
    import os

    from hepjax import InputError
    from hepjax.studies.workers import WORKER, Workers

    for name, value in ((option, count), ("--workers", args.workers)):
        if value < 1:
            raise InputError(f"{name}: expected at least 1, found {value}")
    if not 0.5 <= args.lease < 1e6:
        raise InputError(f"--lease: expected 0.5 seconds or more, found {args.lease:g}")
    processes = 1 if WORKER in os.environ else args.workers
    return Workers(count, processes, args.lease, args.quiet)
