"""The tables of the published tagger benchmark on any data set: one command each.

    python -m benchmarks.physics.tagger_tables --data jets --table layers --epochs 20
    python -m benchmarks.physics.tagger_tables --data jets --table batch
    python -m benchmarks.physics.tagger_tables --data jets --table devices --epochs 2

Every row is a ``hepjax train`` of its own, in a process of its own, and is not repeated if its run
directory is complete. The AUC is that of its best epoch on the test part, with DeLong's error. The
time of an epoch is that of the training updates alone, without compilation and validation.
Devices that are not there are made virtual on a CPU; they share its cores, so that table shows that
it works, and is a measurement of speed on accelerators only.
"""

import argparse
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import setting
from hepjax.engine import provenance, records
from hepjax.engine.settings import find_config, read_settings
from hepjax.formats.images import SparseImages
from hepjax.formats.packed.writer import write_packed
from hepjax.physics.jets import metrics
from hepjax.run import load
from hepjax.workloads.table import configure
from hepjax.workloads.tagger import answer
from hepjax.workloads.tagger.config import TaggerConfig
from hepjax.workloads.tagger.data import open_images

BATCH_OF_A_DEVICE = 64
TABLES: dict[str, dict[str, tuple[list[str], str]]] = {
    "layers": {
        "track pT": (["data.channels=[pT]"], "0.953"),
        "+ d0, dz": (["data.channels=[tracks]"], "0.972"),
        "+ ECAL, HCAL": (["data.channels=[tracks,calo]"], "0.981"),
        "+ BPIX1-3": (["data.channels=[tracks,calo,pixels]"], "0.9824 ± 0.0013"),
    },
    "batch": {
        str(n): ([f"train.batch_size={n}"], published)
        for n, published in {64: "0.981, 11.8 min", 512: "0.979, 7.5", 1024: "0.976, 7.4"}.items()
    },
    "devices": {
        str(n): ([f"train.batch_size={BATCH_OF_A_DEVICE * n}", f"mesh.devices={n}"], published)
        for n, published in {1: "1", 2: "", 4: "", 8: "5 times as fast"}.items()
    },
}
"""Settings of each row, and what was published: AUC, minutes an epoch (2 V100), or speed (V100)."""


def main() -> None:
    """Train, judge, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="for every row")
    parser.add_argument("--data", type=Path, required=True, metavar="PATH")
    parser.add_argument("--table", choices=TABLES, required=True)
    parser.add_argument("--config", default="tagger/top", help="as for hepjax train")
    parser.add_argument("--epochs", type=int, help="default: those of the configuration")
    parser.add_argument("--max-jets", type=int, metavar="N", help="take N jets, evenly spaced")
    parser.add_argument("--runs", type=Path, default=Path("runs/tables"), metavar="DIR")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the figures as JSON")
    args = parser.parse_args()

    common = [*args.overrides, f"data.files=[{args.data}]"]
    if args.max_jets:
        part = subset(configure_tagger(args.config, common), args.max_jets, args.runs)
        common[-1] = f"data.files=[{part}]"
    if args.epochs:
        common.append(f"train.epochs={args.epochs}")
    print(
        f"| {args.table} | AUC | s an epoch | jets/s | jets, training and test | published |\n"
        + "|---" * 6
        + "|"
    )
    rows = []
    for name, (settings, published) in TABLES[args.table].items():
        run = args.runs / "-".join([args.table, *re.findall(r"\w+", name)])
        # The table's settings come last: they are what the row is about.
        rows.append(train_and_judge(args.config, common + settings, run) | {"row": name})
        print(as_text(rows[-1], published), flush=True)
    if args.out:
        args.out.write_text(json.dumps({"table": args.table, "rows": rows}, indent=1) + "\n")


def configure_tagger(config: str, overrides: list[str]) -> TaggerConfig:
    """The configuration of ``hepjax train CONFIG OVERRIDES``."""
    return configure(read_settings(find_config(config), overrides))[1]


def subset(cfg: TaggerConfig, jets: int, runs: Path) -> Path:
    """A packed set of ``jets`` jets, evenly spaced over the files of the configuration."""
    folder = runs / f"{Path(cfg.data.files[0]).stem}-{jets}"
    if folder.exists():
        return folder
    source = open_images(cfg.data, cfg.data.files)
    rows = np.unique(np.linspace(0, len(source) - 1, jets).astype(int))

    def pieces(at_once: int = 1024) -> Any:
        for start in range(0, len(rows), at_once):
            batch = source[rows[start : start + at_once]]
            kept = batch["cell"] < source.grid.size
            first = np.concatenate([[0], np.cumsum(kept.sum(1))])
            cell, value = batch["cell"][kept].astype(np.uint32), batch["value"][kept]
            yield (
                SparseImages(first, cell, value),
                {name: batch[name] for name in source.columns},
            )

    folder.parent.mkdir(parents=True, exist_ok=True)
    return write_packed(folder, pieces(), source.grid, source.labels)


def judge(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of the events of the test part of a run."""
    opened = load(run)
    source: Any = opened.workload.sources(opened.cfg).test
    if source is None:
        raise SystemExit(f"{run}: expected a test part (data.fractions), found none")
    made = [given["log_odds"] for _, given in opened.model.over(source, 256)]
    return answer.score(np.concatenate(made)), np.asarray(source.column("label"))


def train_and_judge(config: str, overrides: list[str], run: Path) -> dict[str, Any]:
    """One row: the test AUC of the run, and its speed after the first record."""
    cfg = configure_tagger(config, overrides)
    command = [sys.executable, "-m", "hepjax", "train", config, *overrides, "--run", str(run)]
    subprocess.run([*command, "--quiet"], check=True, stdout=sys.stderr, env=setting.environment())
    score, label = judge(run)
    area, error = metrics.auc(score, label)
    history = [r for r in records.read(run / "metrics.jsonl") if r["event"] == "train"]
    epoch = speed(history, cfg.train.batch_size)
    return {
        "run": str(run),
        "settings": overrides,
        "auc": area,
        "auc_error": error,
        "epoch_seconds": epoch["jets"] / epoch["jets_per_second"],
        "jets_per_second": epoch["jets_per_second"],
        "training_jets": epoch["jets"],
        "test_jets": len(label),
        "provenance": provenance.provenance(),
    }


def speed(history: list[dict[str, Any]], batch_size: int) -> dict[str, float]:
    """Jets of an epoch, and jets a second over all records but the first, which compiles.

    Raises:
      SystemExit: there is no other record.
    """
    if len(history) < 2:
        raise SystemExit("expected two records of training, found one; more --epochs, please")
    jets, seconds = 0.0, 0.0
    for before, record in pairwise(history):
        done = (record["step"] - before["step"]) * batch_size
        jets, seconds = jets + done, seconds + done / record["events_per_second"]
    last = history[-1]
    return {
        "jets": round(last["step"] / last["epoch"]) * batch_size,
        "jets_per_second": jets / seconds,
    }


def as_text(row: dict[str, Any], published: str) -> str:
    """One line of the table."""
    return (
        f"| {row['row']} | {row['auc']:.4f} ± {row['auc_error']:.4f} | {row['epoch_seconds']:.1f} "
        f"| {row['jets_per_second']:.0f} | {row['training_jets']:,.0f}, {row['test_jets']:,} "
        f"| {published} |"
    )


if __name__ == "__main__":
    main()
