"""Workers of a study that are killed, stopped and resumed at random: is a trial lost, or run twice?

    python -m benchmarks.faults.workers --rounds 20

Each round is a search of the smallest workload by three workers that know of each other by the
folder alone. At random moments one is killed (SIGKILL), or stopped for longer than its lease
(SIGSTOP, SIGCONT), and another one is started in its place. At the end one more worker finishes
what is left. A round is right if every trial has ended in a complete training and nothing is left
that says it still runs. "Again" counts trials whose last epoch was trained twice: their worker was
killed after its validation and before its checkpoint.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hepjax.engine import records
from hepjax.studies import study as studies

ROOT = Path(__file__).parents[2]
EPOCHS, TRIALS, WORKERS = 4, 4, 3
LIMIT = 600
"""Seconds of a round."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, metavar="N")
    parser.add_argument("--faults", type=int, default=4, metavar="N", help="of a round")
    parser.add_argument("--lease", type=float, default=4.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    total: Counter[str] = Counter()
    for number in range(args.rounds):
        with tempfile.TemporaryDirectory(prefix="hepjax-workers-") as folder:
            chance = random.Random(f"{args.seed} {number}")
            total += one_round(Path(folder), chance, args.faults, args.lease)
        print(f"round {number + 1}: {dict(total)}", flush=True)
    names = ("killed", "stopped", "taken over", "trials", "complete", "lost", "again", "running")
    print("\n| rounds | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|")
    print(f"| {args.rounds} | " + " | ".join(str(total[name]) for name in names) + " |")


def one_round(folder: Path, chance: random.Random, faults: int, lease: float) -> Counter[str]:
    """A search with so many faults; what became of its trials."""
    environment = _environment(folder)
    (folder / "toy.yaml").write_text(f"workload: toy\ntrain: {{epochs: {EPOCHS}}}\ndelay: 0.02\n")
    (folder / "space.yaml").write_text("noise: {low: 0.001, high: 2.0, log: true}\n")
    argv = [sys.executable, "-m", "hepjax", "tune", "toy.yaml", "--space", "space.yaml"]
    argv += ["--trials", f"{TRIALS}", "--sampler", "random", "--out", "study"]
    argv += ["--lease", f"{lease}", "--quiet"]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            argv, cwd=folder, env=environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    found: Counter[str] = Counter()
    workers = [start() for _ in range(WORKERS)]
    try:
        _disturb(folder, workers, start, chance, faults, found)
    except subprocess.TimeoutExpired:
        print(f"expected a round to end within {LIMIT} s, found that it did not", flush=True)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return found + _judged(folder / "study")


def _disturb(
    folder: Path, workers: list[subprocess.Popen[bytes]],
    start: Callable[[], subprocess.Popen[bytes]], chance: random.Random, faults: int,
    found: Counter[str],
) -> None:  # fmt: skip
    """Disturb the workers so often, count it, wait for all of them, and for one more.

    Raises:
      subprocess.TimeoutExpired: they do not end.
    """
    end = time.monotonic() + LIMIT
    while not (folder / "study" / "trials").is_dir():
        if time.monotonic() > end:
            raise subprocess.TimeoutExpired("hepjax tune", LIMIT)
        time.sleep(0.1)
    for _ in range(faults):
        time.sleep(chance.uniform(0.5, 3.0))
        alive = [w for w in workers if w.poll() is None]
        if not alive:
            break
        victim = chance.choice(alive)
        if chance.random() < 0.7:
            victim.kill()
            victim.wait()
            found["killed"] += 1
        else:
            victim.send_signal(signal.SIGSTOP)
            found["stopped"] += 1
        workers.append(start())
    for worker in workers:  # those that were stopped wake up beside those that took their trials
        if worker.poll() is None:
            worker.send_signal(signal.SIGCONT)
    workers.append(start())
    for worker in workers:
        worker.wait(max(end - time.monotonic(), 1))


def _judged(folder: Path) -> Counter[str]:
    """Count trials that are complete, lost, trained again at the end, or left as running."""
    study = studies.stored_study(folder)
    trials = {t.number: t for t in studies.trials(study)}
    found: Counter[str] = Counter()
    for number in range(TRIALS):
        found["trials"] += 1
        trial = trials.get(number)
        if trial is None:
            found["lost"] += 1
            continue
        found["complete"] += trial.last.get("status") == "complete"
        found["lost"] += trial.last.get("status") != "complete"
        found["running"] += any(stage.result is None for stage in trial.stages)
        found["taken over"] += sum(stage.leases - 1 for stage in trial.stages)
        found["again"] += _ends(study.run_of(number) / "metrics.jsonl") > 1
    return found


def _ends(path: Path) -> int:
    """How often the last epoch was trained, superseded records included."""
    rows = [line for line in path.read_text().splitlines() if '"validation"' in line]
    last = max((r["epoch"] for r in records.read(path) if r["event"] == "validation"), default=0)
    return sum(f'"epoch": {last}' in row for row in rows) if last >= EPOCHS else 0


def _environment(folder: Path) -> dict[str, str]:
    """An environment in which hepjax knows the toy workload of the tests."""
    about = folder / "site" / "hepjax_toy-0.1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hepjax-toy\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[hepjax.workloads]\ntoy = helpers.toy:TOY\n")
    paths = [str(folder / "site"), str(ROOT / "tests"), str(ROOT), *filter(None, sys.path)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu"}


if __name__ == "__main__":
    main()
