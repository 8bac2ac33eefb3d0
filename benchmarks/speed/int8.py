"""The same network in float32, in int8 after training, and trained in int8: size, time, scores.

    python -m benchmarks.speed.int8 OUT

For each workload it simulates events, trains the demonstration's network twice, plainly and with
``model.quantise=int8``, exports both for ``generic``, the plain one also with ``--precision int8``,
and judges each file by the report of the workload on events that neither training saw. "After
training" leaves layers in float until no score on the validation events moves by more than
``--tolerance``; "all layers" leaves none. Times are of processor time an event on one thread, in
turns. What is there already in OUT is kept, so the same command goes on after a break. At the end
``OUT/table.md`` has the table and ``OUT/table.json`` all scores.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hepjax
from benchmarks.setting import environment
from benchmarks.speed.exported import timed
from hepjax.export.applied import applied
from hepjax.export.exported import export_onnx
from hepjax.export.parity import ParityError
from hepjax.export.quantised import TOLERANCE, plain_scores
from hepjax.formats.atomic import write_json, write_text

BATCHES = (1, 64, 256)


class Task(NamedTuple):
    """A workload of the table."""

    simulate: tuple[str, ...]
    toy: tuple[str, ...]
    """Makes the events without Pythia."""
    events: int
    test: int
    shown: tuple[str, ...]
    """Scores in the table."""


TASKS = {
    "gan3d": Task(("showers",), (), 3000, 1000,
                  ("sampling_fraction_mre", "families/ecal_sum", "families/profile_z")),
    "tagger": Task(("jets", "--task", "top"), ("--toy",), 1600, 2000, ("auc", "accuracy")),
    "mlpf": Task(("events", "--pileup", "0"), ("--toy",), 400, 200, ("accuracy/MLPF",)),
}  # fmt: skip
FORMS = ("float32", "after training", "after training, all layers", "in training")


def command(*words: object) -> None:
    """A command of hepjax, its own process."""
    subprocess.run(
        [sys.executable, "-m", "hepjax", *map(str, words)], check=True, env=environment()
    )


def prepared(task: Task, name: str, folder: Path, args: argparse.Namespace) -> None:
    """Events, and both trainings."""
    for part, seed, count in (("train", 1, args.events), ("test", 2, args.test_events)):
        events = count or (task.events if part == "train" else task.test)
        if not (folder / part).exists():
            command("simulate", *task.simulate, *(task.toy if args.toy else ()), "--events",
                    events, "--seed", seed, "--out", folder / part, "--quiet")  # fmt: skip
    for run, more in (("plain", ()), ("quantised", ("model.quantise=int8",))):
        command("train", f"{name}/demo", f"data.files=[{folder / 'train'}]", *more, *args.set,
                "--run", folder / run, "--quiet")  # fmt: skip


def exported(folder: Path, tolerance: float) -> dict[str, Path]:
    """The files by form; a form that no choice of layers can have is left out."""
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "float32": ("plain", {}),
        "after training": ("plain", {"precision": "int8", "tolerance": tolerance}),
        "after training, all layers": ("plain", {"precision": "int8", "tolerance": 1e30}),
        "in training": ("quantised", {}),
    }
    found = {}
    for form, (run, options) in asked.items():
        path = folder / f"{form.replace(', ', '-').replace(' ', '-')}.onnx"
        if not path.exists():
            try:
                export_onnx(hepjax.load(folder / run), path, **options)
            except ParityError as error:
                print(f"{folder.name}, {form}: {error}", file=sys.stderr)
                continue
        found[form] = path
    return found


def rows(name: str, folder: Path, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One a form: its size, its times, and its scores on the test events."""
    files = exported(folder, args.tolerance)
    times = timed(list(files.values()), args.batches, args.elements, rounds=args.rounds)
    for form, path in files.items():
        run = hepjax.load(folder / ("quantised" if form == "in training" else "plain"))
        source, _ = run.judged([folder / "test"])
        about = json.loads(path.with_suffix(".json").read_text())
        layers = about.get("int8", {})
        yield {
            "workload": name, "form": form, "mb": path.stat().st_size / 1e6,
            "ms": {str(batch): times[path, batch] for batch in args.batches},
            "layers": layers.get("layers", 0) - len(layers.get("in_float", [])),
            "scores": plain_scores(run, applied(run, path.read_bytes()), source),
        }  # fmt: skip


def table(found: Sequence[dict[str, Any]], batches: Sequence[int]) -> str:
    """In Markdown."""
    head = ["network", "form", "MB", *(f"batch {b} (ms)" for b in batches), "layers in int8",
            "scores on unseen events"]  # fmt: skip
    lines = [head, ["---"] * len(head)]
    for row in found:
        shown = [s for s in TASKS[row["workload"]].shown if s in row["scores"]]
        lines.append([
            f"{row['workload']}/demo", row["form"], f"{row['mb']:.2f}",
            *(f"{row['ms'][str(b)]:.3g}" for b in batches), str(row["layers"]),
            ", ".join(f"{s} {row['scores'][s]:.4f}" for s in shown),
        ])  # fmt: skip
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Make everything, and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--workloads", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--events", type=int, help="to train on; default: those of the table")
    parser.add_argument("--test-events", type=int, help="to judge on")
    parser.add_argument("--toy", action="store_true", help="jets and collisions without Pythia")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of all runs")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="of a score")
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--elements", type=int, default=256, help="of an event of MLPF")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    found: list[dict[str, Any]] = []
    for name in args.workloads:
        folder = args.out / name
        folder.mkdir(parents=True, exist_ok=True)
        prepared(TASKS[name], name, folder, args)
        found += rows(name, folder, args)
    write_json(args.out / "table.json", {"rows": found})
    write_text(args.out / "table.md", table(found, args.batches))
    print(table(found, args.batches), end="")


if __name__ == "__main__":
    main()
