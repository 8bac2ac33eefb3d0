"""Transfer learning: scores against updates of runs that begin with another run, and that do not.

    python -m benchmarks.physics.transfer --runs runs/transfer --figure transfer.png

Trains ``gan3d/angle-small`` on 100 to 200 GeV and then on all energies (10 to 500 GeV) with
``train.warm_start``, the published order; and on all energies from the beginning, for each seed. A
third row begins with the same run and leaves the dense layers of the generator as they are
(``train.freeze``). All runs of a seed see the same showers in the same order. Scores are those of
the validation showers after each short epoch. What is there is not made again.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import jax
import numpy as np

import hepjax
from benchmarks.speed import timing
from hepjax.engine import records

SCORES = {
    "fake_sum": "visible energy, mean absolute percentage error",
    "fake_angle": "measured angle, mean absolute error, rad",
    "shapes": "shapes (published term)",
}
FIRST = {"data.energy_range": [100.0, 200.0]}
FROZEN = {"train.freeze": ["generator/params/Dense_*"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer"), metavar="DIR")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--showers", type=int, default=640, help="of each of the two ranges")
    parser.add_argument("--before", type=int, default=6, help="epochs at 100 to 200 GeV")
    parser.add_argument("--epochs", type=int, default=6, help="epochs at all energies")
    parser.add_argument("--only-seed", type=int, help="one of them, to divide the work")
    parser.add_argument("--figure", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers")
    args = parser.parse_args()

    jax.config.update("jax_compilation_cache_dir", str(args.runs / "programs"))
    data = {name: showers(args.runs / "data" / name, args.showers, energy, seed)
            for name, energy, seed in (("first", "100:200", 1), ("all", "10:500", 2),
                                       ("validation", "10:500", 3))}  # fmt: skip
    seeds = range(args.seeds) if args.only_seed is None else [args.only_seed]
    curves: dict[str, list[list[dict[str, Any]]]] = {}
    for seed in seeds:
        for name, rows in of_seed(args, data, seed).items():
            curves.setdefault(name, []).append(rows)
    print_table(curves)
    if args.json:
        timing.write_json(args.json, {"curves": curves, "machine": timing.machine()})
    if args.figure:
        draw(curves, args.figure)


def showers(folder: Path, events: int, energy: str, seed: int) -> Path:
    """Simulated showers of 60 to 120 degrees."""
    from hepjax.cli import main as command

    if not folder.exists():
        words = ["--events", str(events), "--energy", energy, "--seed", str(seed)]
        command(["simulate", "showers", "--geometry", "clic-51", *words, "--out", str(folder),
                 "--quiet"])  # fmt: skip
    return folder


def of_seed(
    args: argparse.Namespace, data: dict[str, Path], seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Validation records of the three ways, after the first run of this seed."""
    folder = args.runs / f"seed-{seed}"
    before = trained(
        folder / "first", data, seed, args.before, {"data.files": [data["first"]]} | FIRST
    )
    everything = {"data.files": [data["all"]]}
    warm = everything | {"train.warm_start": before}
    return {
        name: validated(trained(folder / name, data, seed, args.epochs, settings))
        for name, settings in (
            ("cold", everything), ("warm", warm), ("warm, dense layers frozen", warm | FROZEN),
        )
    }  # fmt: skip


def trained(
    run: Path, data: dict[str, Path], seed: int, epochs: int, settings: dict[str, Any]
) -> Path:
    """A run, made or gone on with; validated on showers of all energies unless told otherwise."""
    fixed = {
        "train.seed": seed, "train.epochs": epochs, "optimizer.drops": [], "mesh.devices": 1,
        "data.validation_files": [data["validation"]], "checkpoint.keep": 2,
    }  # fmt: skip
    hepjax.train("gan3d/angle-small", run, **(fixed | settings))
    return run


def validated(run: Path) -> list[dict[str, Any]]:
    """The validation record of each epoch."""
    return [r for r in records.read(run / "metrics.jsonl") if r["event"] == "validation"]


def print_table(curves: dict[str, list[list[dict[str, Any]]]]) -> None:
    for score, words in SCORES.items():
        steps = [row["step"] for row in next(iter(curves.values()))[0]]
        print(f"\n{words}\n\n| updates | " + " | ".join(map(str, steps)) + " |")
        print("|---" * (len(steps) + 1) + "|")
        for name, runs in curves.items():
            cells = []
            for number in range(len(steps)):
                values = [run[number][score] for run in runs]
                cells.append(f"{statistics.median(values):.3g} ({min(values):.3g} to "
                             f"{max(values):.3g})")  # fmt: skip
            print(f"| {name} | " + " | ".join(cells) + " |")


def draw(curves: dict[str, list[list[dict[str, Any]]]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    axes = figure.subplots(1, len(SCORES))
    for axis, (score, words) in zip(axes, SCORES.items(), strict=True):
        for name, runs in curves.items():
            steps = [row["step"] for row in runs[0]]
            values = np.array([[row[score] for row in run] for run in runs])
            (line,) = axis.plot(steps, np.median(values, 0), marker="o", label=name)
            axis.fill_between(
                steps, values.min(0), values.max(0), alpha=0.2, color=line.get_color()
            )
        axis.set(xlabel="updates", title=words.partition(",")[0], yscale="log")
    axes[0].legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
