"""``hepjax active``: where a simulated value crosses a threshold, by any number of workers."""

import argparse
import json
import math
import os
from pathlib import Path

from hepjax.cli import tune


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``active``."""
    parser.add_argument(
        "simulator", metavar="SIMULATOR",
        help="toy/2d or toy/4d; the directory of a run of tracking, which is judged on events that "
        "hepjax simulates; or a command with {params} or {KEY} for the point and, unless it prints "
        "its value, {result}",
    )  # fmt: skip
    parser.add_argument(
        "--space", type=Path, metavar="FILE",
        help="YAML: KEY: {low: .., high: .., log: true, step: ..}; needed with a command",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=float, metavar="X",
        help="the value on the contour; 0 for the toys, needed otherwise",
    )  # fmt: skip
    parser.add_argument(
        "--value", default="value", metavar="KEY",
        help="key of the value in what a command says; KEY_error is its standard deviation; "
        "default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--points", type=int, default=40, metavar="N",
        help="simulations of the loop; a Sobol scan of equal cost, of which it has the first half, "
        "comes after it; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--initial", type=int, default=12, metavar="N",
        help="points of the Sobol sequence to begin with; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--acquisition", default="entropy", choices=["entropy", "straddle", "integrated", "disc"],
        help="how the point is chosen that tells most of the contour; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=float, default=math.inf, metavar="SECONDS",
        help="after which a command is ended and its point failed; default: none",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=int, metavar="N",
        help="toys: so many whole loops as one program, against the known contour",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the points")
    tune.add_study_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Ask and simulate, write the page, print what was found."""
    from hepjax.engine import compilation
    from hepjax.studies.active import loop, toys

    _check(args, loop.FEWEST)
    compilation.use_cache()
    if args.seeds is not None:
        if args.simulator not in toys.TOYS:
            from hepjax import InputError

            raise InputError(
                f"--seeds: expected a simulator with a known contour, toy/2d or toy/4d, found "
                f"{args.simulator}"
            )
        return _race(args)
    from hepjax.studies import study as studies
    from hepjax.studies.active import page
    from hepjax.studies.workers import WORKER, carry_out

    study, how = _study(args), tune.workers(args, args.points, "--points")
    studies.open_study(study)
    carry_out(loop.ActiveWorker(study, args.points, args.lease, timeout=args.timeout), how)
    if WORKER in os.environ:
        return 0  # the command that started this worker writes the page
    scores = page.write(study, studies.trials(study))
    print(json.dumps(scores) if args.json else f"{args.out}: {scores['verdict']}")
    return 0


def _check(args: argparse.Namespace, fewest: int) -> None:
    """Refuse numbers out of range."""
    from hepjax.engine.bounds import require
    from hepjax.studies.active import loop

    require(args.initial >= fewest, "--initial", f"at least {fewest}", args.initial)
    require(
        args.points > args.initial, "--points", f"more than --initial={args.initial}", args.points
    )
    wanted = loop.simulations(args.points, args.initial)
    if wanted > loop.MOST:
        from hepjax import InputError

        raise InputError(
            f"--points: expected at most {loop.MOST} simulations with those of the Sobol scan, "
            f"found {wanted}; the Gaussian process is exact"
        )
    require(args.timeout > 0, "--timeout", "seconds above 0", args.timeout)
    require(args.seeds is None or args.seeds >= 1, "--seeds", "at least 1", args.seeds)
    if args.threshold is not None:
        require(math.isfinite(args.threshold), "--threshold", "a finite number", args.threshold)


def _study(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    """The study of the arguments, with a simulator that can be used.

    Raises:
      InputError: it cannot, or the space does not fit it.
    """
    from hepjax import InputError
    from hepjax.studies import space
    from hepjax.studies.active import command, loop, toys

    is_toy, is_run = args.simulator in toys.TOYS, Path(args.simulator).is_dir()
    given = None if args.space is None else space.read_axes(args.space)
    if is_toy or is_run:
        known = toys.TOYS[args.simulator].axes if is_toy else _axes_of_run(args.simulator)
        axes = known if given is None else _inside(args.space, given, known)
    elif given is None:
        command.words(args.simulator, [])
        raise InputError("--space: expected a file with the ranges of the parameters, found none")
    else:
        axes = given
        command.words(args.simulator, [axis.key for axis in axes])
    threshold = 0.0 if args.threshold is None and is_toy else args.threshold
    if threshold is None:
        raise InputError("--threshold: expected the value on the contour, found none")
    value = args.value
    if value == "value" and (is_toy or is_run):
        value = "log10(limit)" if is_toy else "efficiency"
    return loop.ActiveStudy(
        args.out, args.simulator, loop.ranges(axes), threshold, value, args.acquisition,
        args.initial, args.seed,
    )  # fmt: skip


def _axes_of_run(directory: str):  # type: ignore[no-untyped-def]
    """The parameters with which events are simulated for a run."""
    from hepjax.studies.active import detectors

    detectors.require_run(Path(directory))
    return detectors.AXES


def _inside(path: Path, given, known):  # type: ignore[no-untyped-def]
    """Ranges of the same parameters, no wider than known ones."""
    from hepjax import InputError

    bounds = {axis.key: axis for axis in known}
    if {axis.key for axis in given} != set(bounds):
        found = ", ".join(axis.key for axis in given)
        raise InputError(f"{path}: expected ranges of {', '.join(bounds)}, found {found}")
    for axis in given:
        most = bounds[axis.key]
        if axis.choice or not most.low <= axis.low <= axis.high <= most.high:
            found = "a choice" if axis.choice else f"{axis.low:g} to {axis.high:g}"
            raise InputError(
                f"{path}: {axis.key}: expected a range within {most.low:g} to {most.high:g}, "
                f"found {found}"
            )
    return given


def _race(args: argparse.Namespace) -> int:
    """Many loops on a toy, beside as many Sobol scans."""
    from hepjax.engine.bounds import require
    from hepjax.engine.progress import progress
    from hepjax.studies.active import race, race_page, toys

    for option, given in (("--space", args.space), ("--threshold", args.threshold)):
        require(given is None, option, "none with --seeds", given)
    rounds = race.rounds(args.points, args.initial) + 1
    with progress("active", rounds, "rounds", quiet=args.quiet) as advance:
        found = race.run(
            toys.TOYS[args.simulator], args.acquisition, args.seeds, args.points, args.seed,
            initial=args.initial, advance=advance,
        )  # fmt: skip
    scores = race_page.write(found, args.out)
    print(json.dumps(scores) if args.json else f"{args.out}: {scores['verdict']}")
    return 0
