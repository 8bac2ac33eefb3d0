"""Median and spread over seeds of the test metrics of a tagger, each training in a run directory.

    python -m benchmarks.physics.tagger_seeds tagger/top 'data.files=[jets]' --seeds 5

All trainings see the same events and are judged on the same test part; only the seed differs. A run
that is there already is not trained again. The spread is the standard deviation over the seeds; the
error in brackets is the statistical one of a single training (DeLong, binomial).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from hepjax.engine import rundir
from hepjax.engine.config import find_config, read_settings, to_settings
from hepjax.engine.progress import progress
from hepjax.engine.train import train
from hepjax.physics.jets import metrics
from hepjax.run import load
from hepjax.workloads import table
from hepjax.workloads.tagger import answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="as for hepjax train")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 0 to N - 1")
    parser.add_argument("--data", type=Path, nargs="+", help="judge on these; default: test part")
    parser.add_argument("--runs", type=Path, default=Path("runs/seeds"), metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    args = parser.parse_args()

    scores, labels = [], []
    for seed in range(args.seeds):
        run = train_one(args.config, [*args.overrides, f"train.seed={seed}"], args.runs, args.quiet)
        score, label = judge(run, args.data, args.quiet)
        scores.append(score)
        labels.append(label)
        print(f"seed {seed}: {one_line(score, label)}", flush=True)
    if any(not np.array_equal(label, labels[0]) for label in labels):
        raise RuntimeError("the seeds were judged on different events")
    found = metrics.over_seeds(scores, labels[0])
    signal = int(labels[0].sum())
    print(f"\n{signal:,} signal and {len(labels[0]) - signal:,} background events")
    print("\n| metric | median | spread | (error of one) | seeds |\n" + "|---" * 5 + "|")
    for name, row in found.items():
        limits = f", {row['limits']} of them lower limits" if row["limits"] else ""
        print(
            f"| {name} | {row['median']:.4g} | {row['spread']:.2g} | ({row['error']:.2g}) "
            f"| {args.seeds}{limits} |"
        )
    if args.json is not None:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


def train_one(config: str, overrides: list[str], runs: Path, quiet: bool) -> Path:
    """The run directory of a training with these settings, trained to the end."""
    workload, cfg = table.configure(read_settings(find_config(config), overrides))
    run = runs / f"{Path(config).stem}-{cfg.train.seed}"
    with rundir.locked(run):
        rundir.open_for_training(run, {"workload": workload.name} | to_settings(cfg))
        train(workload, cfg, run, quiet=quiet)
    return run


def judge(run: Path, paths: list[Path] | None, quiet: bool) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of the events of ``paths``, or of the test part of the run."""
    opened = load(run)
    source: Any = None
    if paths:
        source = opened.workload.open(opened.cfg, paths)
    else:
        source = opened.workload.sources(opened.cfg).test
    if source is None:
        raise SystemExit(f"{run}: expected a test part (data.fractions), found none; give --data")
    with progress("predict", len(source), "events", quiet=quiet) as advance:
        made = [a["log_odds"] for _, a in opened.model.over(source, 256, advance=advance)]
    return answer.score(np.concatenate(made)), np.asarray(source.column("label"))


def one_line(score: np.ndarray, label: np.ndarray) -> str:
    """AUC, accuracy and rejections with their statistical errors."""
    area, area_error = metrics.auc(score, label)
    share, share_error = metrics.accuracy(score, label)
    points = metrics.rejections(score, label, metrics.SIGNAL_EFFICIENCIES)
    rejections = ", ".join(f"1/eps_B {p} at {p.efficiency:.0%}" for p in points)
    accuracy = f"accuracy {share:.4f} ± {share_error:.4f}"
    return f"AUC {area:.4f} ± {area_error:.4f}, {accuracy}, {rejections}"


if __name__ == "__main__":
    main()
