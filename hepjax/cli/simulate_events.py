"""``hepjax simulate events``: proton collisions with pile-up in a CMS-like detector."""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepjax.formats.particleflow.writer import Event

SPLIT = {"ttbar": "train", "qcd": "test"}
"""As published: train on top pairs, test on multijets."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``simulate events``."""
    parser.add_argument("--events", type=int, required=True, metavar="N", help="number of events")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--process", choices=sorted(SPLIT), default="ttbar")
    parser.add_argument(
        "--pileup", type=float, default=200.0, metavar="MEAN",
        help="mean number of further collisions in an event; default: %(default)g",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=["tfds", "pkl", "both"], default="tfds",
        help="array_record data set of TFDS, or the published pickles, which take longer",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--toy", action="store_true", help="collisions from the built-in toy in place of Pythia"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Simulate, write, and report the files and the rate."""
    from hepjax.cli.simulated import already_there
    from hepjax.formats.particleflow.writer import EVENTS_PER_FILE, dataset_name
    from hepjax.simulate.collisions import pythia

    toy = args.toy or not pythia.is_available()
    if toy and not args.toy:
        print(
            "hepjax: Pythia is not installed (pip install 'hepjax[hep]'); "
            "these events are the built-in toy",
            file=sys.stderr,
        )
    began = time.monotonic()
    settings = _settings(args, toy)
    stem = f"tev14_{'toy' if toy else 'pythia8'}_{args.process}_{args.seed}"
    name = dataset_name(args.process, toy)
    present = len(list(args.out.glob("*.pkl.bz2"))) + len(list(args.out.glob("*_pf")))
    pickles = math.ceil(args.events / EVENTS_PER_FILE) if args.format != "tfds" else 0
    expected = pickles + (args.format != "pkl")
    if already_there(args.out, settings, present, expected, "event"):
        files, summary = _files(args.out), dict[str, float]()
    else:
        files, summary = _write(
            args,
            settings,
            stem if args.format != "tfds" else None,
            (name, SPLIT[args.process]) if args.format != "pkl" else None,
        )
    seconds = time.monotonic() - began if summary else None
    if args.json:
        report = {**settings, **summary, "files": [str(f) for f in files], "seconds": seconds}
        print(json.dumps(report))
    elif seconds is None:
        print(f"{args.out}: these {args.events} events are there already")
    else:
        print(
            f"{args.out}: {args.events} {'toy ' if toy else ''}events, "
            f"{summary['elements_per_event']:,.0f} elements each, "
            f"{args.events / seconds:,.1f} events/s"
        )
    return 0


def _settings(args: argparse.Namespace, toy: bool) -> dict[str, Any]:
    """Everything the events depend on, checked."""
    from hepjax import InputError, __version__
    from hepjax.cli.simulated import check_at_least
    from hepjax.ops import clustering
    from hepjax.simulate.collisions.events import provenance

    check_at_least("events", args.events, 1)
    if not 0 <= args.pileup <= 1000:
        raise InputError(f"--pileup: expected 0 to 1000, found {args.pileup:g}")
    jets = "anti-kt 0.4 above 5 GeV" if clustering.is_available() else "none, fastjet is missing"
    return {
        "what": args.what,
        "events": args.events,
        **provenance(args.process, args.pileup, args.seed, toy),
        "format": args.format,
        "jet_numbers": jets if args.format != "pkl" else "none",
        "hepjax": __version__,
    }


def _write(
    args: argparse.Namespace,
    settings: dict[str, Any],
    stem: str | None,
    dataset: tuple[str, str] | None,
) -> tuple[list[Path], dict[str, Any]]:
    from hepjax.cli.simulated import save_settings
    from hepjax.engine.progress import progress
    from hepjax.formats.particleflow.writer import write_events

    counts = {"elements": 0, "unassociated": 0}
    with progress("simulate", args.events, "events", quiet=args.quiet) as advance:
        files = write_events(
            args.out,
            _events(args, settings, counts, advance),
            stem=stem,
            dataset=dataset,
            provenance=settings,
        )
    save_settings(args.out, settings)
    return files, {f"{key}_per_event": total / args.events for key, total in counts.items()}


def _events(
    args: argparse.Namespace,
    settings: dict[str, Any],
    counts: dict[str, int],
    advance: Callable[..., None],
) -> Iterator["Event"]:
    from hepjax.simulate.collisions.events import simulate_events
    from hepjax.simulate.collisions.gen_jets import jet_numbers

    clustered = settings["jet_numbers"].startswith("anti-kt")
    for ntuple in simulate_events(
        args.process, args.events, args.pileup, args.seed, toy=settings["toy"]
    ):
        event = {"X": ntuple.X, "ygen": ntuple.ygen, "ycand": ntuple.ycand}
        if clustered:
            event["jet"] = jet_numbers(ntuple.ygen)
        yield event
        counts["elements"] += len(ntuple.X)
        counts["unassociated"] += ntuple.unassociated
        advance(1)


def _files(out: Path) -> list[Path]:
    """What a finished command left: pickles, and the folder of the data set's version."""
    return [*sorted(out.glob("*.pkl.bz2")), *sorted(out.glob("*_pf/*.*.*"))]
