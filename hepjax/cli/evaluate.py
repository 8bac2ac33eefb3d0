"""``hepjax evaluate``: report page and scores of a run, or of some showers against others."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepjax.engine.workload import Detail
    from hepjax.run import Run

OF_FILES = ("geometry", "threshold", "events", "reference_unit", "generated_unit")
"""Options that only a comparison of files has."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``evaluate``."""
    parser.add_argument("run_dir", metavar="RUN", type=Path, nargs="?", help="run directory")
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[], metavar="PATH",
        help="events to judge it on; default: the test part of its own data, or its validation",
    )  # fmt: skip
    for name in ("reference", "generated"):
        parser.add_argument(
            f"--{name}", type=Path, nargs="+", metavar="PATH",
            help="showers of any known layout, without RUN",
        )  # fmt: skip
        parser.add_argument(
            f"--{name}-unit", metavar="UNIT", help="of these cells; default: what the file says"
        )
    parser.add_argument(
        "--geometry", metavar="NAME|FILE",
        help="calorimeter of showers, if the files do not say it: name, .yaml, binning .xml",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=float, metavar="GEV",
        help="cells below are empty in both samples; default: that of the calorimeter",
    )  # fmt: skip
    parser.add_argument(
        "--events",
        type=int,
        metavar="N",
        help="showers of each sample; default: 10000, with --metrics published 100000",
    )
    parser.add_argument(
        "--metrics", choices=("few", "small", "published"), default="few",
        help="small: classifiers, FPD, KPD, precision and recall too; published: with the networks "
        "and numbers of the CaloChallenge, hours without a GPU",
    )  # fmt: skip
    parser.add_argument(
        "--plots", choices=("few", "all"), default="few",
        help="all: each quantity in each bin of energy, and of energy and angle, hundreds, with an "
        "index by score and search",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes that draw them; default: all cores"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: RUN/report")
    parser.add_argument("--step", type=int, metavar="N", help="checkpoint; default: the best epoch")
    parser.add_argument("--seed", type=int, default=0, help="of the generated showers")
    parser.add_argument(
        "--timing", action="store_true",
        help="time RUN at batches of 1, 100 and 10,000 showers too, beside Geant4 where --data has "
        "its processor times; writes timing.json",
    )  # fmt: skip
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
        from functools import partial

        from hepjax.engine.progress import progress
        from hepjax.report.document import check_folder, write_report
        from hepjax.workloads.families import family_of

        out = args.out or Path("report")
        check_folder(out)
        family = family_of(args.reference[0])
        if family.compare is None:
            raise InputError(
                f"{args.reference[0]}: expected showers to compare, found files of {family.name}; "
                "hepjax evaluate RUN --data judges a run on them"
            )
        bar = partial(progress, quiet=args.quiet)
        report = family.compare(args.reference, args.generated, bar, **_asked(args))
        paths = {name: list(map(str, getattr(args, name))) for name in ("reference", "generated")}
        scores = write_report(report, out, provenance=paths, progress=bar)
    else:
        if others := [name for name in OF_FILES if getattr(args, name) is not None]:
            option = others[0].replace("_", "-")
            raise InputError(
                f"--{option}: expected --reference and --generated, found RUN; "
                "hepjax generate RUN --like FILE makes showers to compare with FILE"
            )
        from hepjax.engine.weights import packaged
        from hepjax.run import load

        out = args.out or (Path("report") if packaged(args.run_dir) else args.run_dir / "report")
        detail = _detail(args)
        opened = load(args.run_dir, args.step)
        if args.timing:
            opened.require_simulation()
        scores = opened.evaluate(
            args.data, out, seed=args.seed, quiet=args.quiet, detail=detail
        )  # fmt: skip
        if args.timing:
            scores["timing"] = _timing(opened, args, out)
    print(json.dumps(scores) if args.json else f"{out / 'index.html'}")
    return 0


def _timing(run: "Run", args: argparse.Namespace, out: Path) -> list[dict[str, Any]]:
    """Write the times of the generator, and print them unless the scores are printed."""
    from hepjax.bench.generation import BATCHES, text, timed
    from hepjax.engine.progress import progress
    from hepjax.formats.atomic import write_json
    from hepjax.formats.packed.manifest import is_packed
    from hepjax.formats.showers.clock import clock_of

    data = args.data
    clock = clock_of(data) if data and not any(map(is_packed, data)) else None
    with progress("time", len(BATCHES), "sizes of batches", quiet=args.quiet) as advance:
        rows = timed(run, run.conditions_like(data), clock, advance=advance)
    write_json(out / "timing.json", rows)
    if not args.json:
        print("\n".join(text(rows, clock.engine if clock else "")))
    return rows


def _detail(args: argparse.Namespace) -> "Detail | None":
    """What was asked of a report beyond the usual.

    Raises:
      InputError: not a number of processes.
    """
    workers = _workers(args)
    if not workers and args.metrics == "few":
        return None
    from hepjax.engine.workload import Detail

    return Detail(workers, args.metrics)


def _workers(args: argparse.Namespace) -> int:
    """Processes that draw all plots; 0 if nobody asked for them."""
    from hepjax import InputError

    if args.workers is not None and args.workers < 1:
        raise InputError(f"--workers: expected at least 1, found {args.workers}")
    if args.plots == "few":
        return 0
    from hepjax.report.gallery import cores

    return args.workers or cores()


def _asked(args: argparse.Namespace) -> dict[str, Any]:
    """What was said about the comparison of files, for ``physics.calorimeter.evaluate.Asked``.

    Raises:
      InputError: an unknown geometry, or numbers out of range.
    """
    from hepjax import InputError

    asked: dict[str, Any] = {"units": (_unit(args, "reference"), _unit(args, "generated"))}
    if args.geometry is not None:
        from hepjax.formats.showers.calorimeters import calorimeter

        asked["calorimeter"] = calorimeter(args.geometry)
    if args.threshold is not None:
        if not 0 <= args.threshold < float("inf"):
            raise InputError(f"--threshold: expected 0 or more GeV, found {args.threshold}")
        asked["threshold"] = args.threshold
    if args.events is not None:
        if args.events < 2:
            raise InputError(f"--events: expected at least 2, found {args.events}")
        asked["events"] = args.events
    asked["gallery_workers"] = _workers(args)
    if args.metrics != "few":
        from hepjax.physics.calorimeter import field
        from hepjax.physics.calorimeter.evaluate import EVENTS

        asked["more"] = settings = field.SETTINGS[args.metrics]
        asked.setdefault("events", max(EVENTS, settings.events))
    return asked


def _unit(args: argparse.Namespace, sample: str) -> str:
    from hepjax import InputError
    from hepjax.formats.units import ENERGY, named

    text = getattr(args, f"{sample}_unit")
    unit = "auto" if text is None else named(text, ENERGY)
    if unit is None:
        raise InputError(
            f"--{sample}-unit: expected one of {', '.join(ENERGY)}, found {text[:40]!r}"
        )
    return unit
