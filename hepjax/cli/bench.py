"""``hepjax bench``: train on fixed events, time the epochs, write a report for hep-score."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepjax.engine.workload import Benchmark

LARGEST = 2**31 - 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``bench``."""
    from hepjax.workloads.table import names

    parser.add_argument("workload", choices=names())
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    events = parser.add_mutually_exclusive_group()
    events.add_argument("--events", type=int, metavar="N", help="training events; default: a few")
    events.add_argument(
        "--complete", action="store_true", help="those of the complete benchmark, about 1 GB"
    )
    events.add_argument(
        "--data", type=Path, nargs="+", metavar="PATH",
        help="events of your own, or a set of this command (DIR/data/...); default: simulated",
    )  # fmt: skip
    parser.add_argument(
        "--batch-size", type=int, metavar="N",
        help="events an update, over all devices together; default: as published",
    )  # fmt: skip
    parser.add_argument(
        "--epochs", type=int, default=3, metavar="N", help="the first is dropped; default: 3"
    )
    parser.add_argument("--devices", type=int, default=0, metavar="N", help="default: all")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--seed", type=int, default=1234, help="of the training; default: 1234")
    parser.add_argument(
        "--target", choices=("generic", "par04", "ddml", "fastcalosim", "gaussino", "cmssw"),
        help="time the model inside this host instead: one event at a time, one thread",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Prepare the events, train, and write ``<workload>_summary.json``."""
    from hepjax.bench import definition
    from hepjax.engine.host_memory import keep_memory
    from hepjax.engine.mesh import request_devices
    from hepjax.formats.atomic import make_folder

    benchmark = definition.benchmark(args.workload)
    if args.target is not None:
        return _inside_a_host(args, benchmark)
    events = benchmark.complete if args.complete else args.events or benchmark.events
    _check(args, events)
    keep_memory()
    request_devices(args.devices)
    make_folder(args.out)
    summary = _measured(args, benchmark, events)
    if args.json:
        print(json.dumps(summary))
    else:
        print(_text(args, summary["report"]))
    return 0


def _inside_a_host(args: argparse.Namespace, benchmark: "Benchmark") -> int:
    """Time the exported model as a host program runs it."""
    from hepjax.bench.hosts import text, timed
    from hepjax.engine.progress import progress
    from hepjax.formats.atomic import make_folder, write_json
    from hepjax.workloads import table

    with progress(f"time inside {args.target}", 0, "", quiet=args.quiet):
        found = timed(table.get(args.workload), benchmark.config, args.target)
    make_folder(args.out)
    write_json(args.out / f"{args.workload}_{args.target}.json", found)
    print(json.dumps(found) if args.json else text(found))
    return 0


def _check(args: argparse.Namespace, events: int) -> None:
    """Refuse options out of range before anything is simulated."""
    from hepjax.bench.definition import require_range

    require_range("events", args.events, 2, LARGEST)
    require_range("epochs", args.epochs, 2, LARGEST)
    require_range("devices", args.devices, 0, LARGEST)
    require_range("batch-size", args.batch_size, 1, LARGEST if args.data else events)


def _measured(args: argparse.Namespace, benchmark: "Benchmark", events: int) -> dict[str, Any]:
    """Train on the events, simulated if need be, and write the report."""
    from hepjax.bench import data
    from hepjax.bench.definition import settings
    from hepjax.bench.measure import measure
    from hepjax.bench.summary import summarise
    from hepjax.engine.records import write_json

    paths = args.data
    if paths is None:
        paths = [data.prepare(args.workload, events, args.out / "data", quiet=args.quiet)]
    files, validation_files, checksum = data.locate(args.workload, paths)
    workload, cfg = settings(
        benchmark, files, validation_files, batch_size=args.batch_size, epochs=args.epochs,
        devices=args.devices, precision=args.precision, seed=args.seed,
    )  # fmt: skip
    measured = measure(workload, cfg, args.out, quiet=args.quiet)
    summary = summarise(benchmark, cfg, measured, checksum)
    write_json(args.out / f"{args.workload}_summary.json", summary)
    return summary


def _text(args: argparse.Namespace, report: dict[str, Any]) -> str:
    scores, stats = report["wl-scores"], report["wl-stats"]
    words = [
        f"{args.out / f'{args.workload}_summary.json'}: {scores['mean_throughput']:,.4g} events/s",
        f"{scores['mean_epoch_time']:,.4g} s an epoch (epochs 2 to {stats['num_epochs']})",
    ]
    for name in ("accuracy", "accuracy_padded", "sampling_fraction_mre"):
        last = stats["validation"].get(name, [None])[-1]
        if last is not None:
            words.append(f"{name.replace('_', ' ')} {last:.4g}")
    for kind, joules in stats["resources"].get("joules_per_event", {}).items():
        words.append(f"{joules:.3g} J an event ({kind.upper()})")
    return ", ".join(words)
