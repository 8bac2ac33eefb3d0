"""SIGINT, SIGTERM and SIGHUP at random moments of trainings of the three workloads: a table.

python -m benchmarks.faults.signals [--rounds 200] [--seed 0] [--minutes M] [--json FILE]

Each workload has one run directory, in which every round goes on, so a round that leaves it
unusable makes the next one fail. A round is right if the command ends with 128 + the number of the
first signal within a minute, says neither "bug" nor "Traceback", did not crash, and, after one
request in mid-training, the last update on record is saved. The exit code is 1 if a round is not.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.setting import environment
from hepjax.bench import data
from hepjax.engine import records
from hepjax.engine.checkpoint import complete_steps

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PAUSES = (0.0, 0.1, 0.7, 1.5)
"""Seconds between the signals of a round that has several."""
PATIENCE = 60.0
TRAININGS = {
    "gan3d": ("gan3d/small", 32, [
        "model.generator_filters=[4,2,2]", "model.discriminator_filters=[2,2,2,2]",
        "model.discriminator_kernel=3", "model.discriminator_pool=2", "train.batch_size=8",
    ]),
    "tagger": ("tagger/demo", 32, ["train.batch_size=8"]),
    "mlpf": ("mlpf/demo", 8, [
        "model.layers=1", "model.width=8", "model.head_width=8", "model.distance_hidden=8",
        "model.distance_dim=4", "train.batch_size=2",
    ]),
}  # fmt: skip
"""Configuration, events and overrides of small trainings."""
MOMENTS = {"start": (0.0, 1.5), "compilation": (0.0, 4.0), "training": (0.0, 3.0)}
"""Seconds after the start, after the compilation began, after an update was recorded."""


@dataclass
class Round:
    """What was done and what came of it."""

    workload: str
    moment: str
    signals: list[str]
    pause: float
    cached: bool
    code: int = 0
    seconds: float = 0.0
    """From the first signal to the end."""
    wrong: str = ""


def rounds(count: int, seed: int) -> Iterator[Round]:
    """So many rounds, drawn from the seed alone."""
    draw = random.Random(seed)
    for number in range(count):
        workload = list(TRAININGS)[number % len(TRAININGS)]
        moment = list(MOMENTS)[number // len(TRAININGS) % len(MOMENTS)]
        first = draw.choice(NUMBERS)
        same = draw.random() < 0.7
        others = [first if same else draw.choice(NUMBERS) for _ in range(draw.choice([0, 0, 1, 2]))]
        yield Round(
            workload, moment, [n.name for n in (first, *others)], draw.choice(PAUSES),
            draw.random() < 0.5,
        )  # fmt: skip


def play(one: Round, folder: Path, draw: random.Random) -> None:
    """Start the training, wait, send, look; fills in the rest of the round."""
    config, events, overrides = TRAININGS[one.workload]
    run, log = folder / one.workload, folder / "log"
    made = data.prepare(one.workload, events, folder / "data", quiet=True)
    command = [
        sys.executable, "-m", "hepjax", "train", config, f"data.files=[{made / 'train'}]",
        *(["data.validation_fraction=0.25"] if one.workload != "tagger" else []), *overrides,
        "train.epochs=100000", "train.record_every=1", "mesh.devices=1", "--run", str(run),
    ]  # fmt: skip
    cache = str(folder / "cache") if one.cached else "off"
    known = len(_records(run))
    with log.open("w") as err:
        child = subprocess.Popen(
            command, stdout=err, stderr=err,
            env=environment() | {"HEPJAX_COMPILATION_CACHE": cache, "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip
    try:
        reached = {
            "start": lambda: True,
            "compilation": lambda: "compiling the update" in log.read_text(),
            "training": lambda: len(_records(run)) > known + 1,  # the first says: resumed
        }[one.moment]
        deadline = time.monotonic() + 3 * PATIENCE
        while not reached() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(draw.uniform(*MOMENTS[one.moment]))
        began = time.monotonic()
        for number, name in enumerate(one.signals):
            if number:
                time.sleep(one.pause)
            if child.poll() is None:
                child.send_signal(signal.Signals[name])
        one.code = child.wait(PATIENCE)
        one.seconds = time.monotonic() - began
        one.wrong = _wrong(one, log.read_text(), run)
    except subprocess.TimeoutExpired:
        one.wrong = f"did not end in {PATIENCE:g} s: {log.read_text()[-300:]}"
    finally:
        child.kill()
        child.wait()


def _wrong(one: Round, said: str, run: Path) -> str:
    sent = [signal.Signals[name] for name in one.signals]
    # Of signals that are sent together the system may deliver any first.
    first = sent if one.pause == 0 else sent[:1]
    if one.code not in (*(128 + n for n in first), *(-n for n in first)):
        return f"code {one.code}: {said[-400:]}"
    for word in ("hepjax: bug", "Traceback", "Fatal Python error"):
        if word in said:
            return f"says {word}: {said[-400:]}"
    if "saved at step" in said:
        saved = complete_steps(run / "checkpoints")[-1]
        done = max(r.get("step", 0) for r in _records(run))
        return "" if saved == done else f"saved {saved}, but there were {done} updates"
    once = len(one.signals) == 1 or one.pause < 0.3
    return f"not saved: {said[-400:]}" if one.moment == "training" and once else ""


def _records(run: Path) -> list[dict]:
    return records.read(run / "metrics.jsonl")


def table(played: list[Round]) -> list[str]:
    """The lines of a Markdown table, a row for each workload and moment."""
    lines = [
        "| workload | moment | rounds | several signals | 130 | 143 | 129 | wrong "
        "| seconds to the end, median and most |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for workload in TRAININGS:
        for moment in MOMENTS:
            of = [r for r in played if (r.workload, r.moment) == (workload, moment)]
            if not of:
                continue
            ended = [128 - r.code if r.code < 0 else r.code for r in of if not r.wrong]
            seconds = sorted(r.seconds for r in of)
            cells = [
                workload, moment, len(of), sum(len(r.signals) > 1 for r in of),
                *(ended.count(code) for code in (130, 143, 129)), sum(bool(r.wrong) for r in of),
                f"{seconds[len(seconds) // 2]:.1f}, {seconds[-1]:.1f}",
            ]  # fmt: skip
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def main() -> int:
    """Play the rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=90.0, help="begin no round after these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rounds here")
    args = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    played: list[Round] = []
    end, draw = time.monotonic() + 60 * args.minutes, random.Random(args.seed + 1)
    with tempfile.TemporaryDirectory(prefix="hepjax-signals-") as folder:
        for one in rounds(args.rounds, args.seed):
            if time.monotonic() > end:
                break
            play(one, Path(folder), draw)
            played.append(one)
            print(f"{len(played)}: {one}", file=sys.stderr, flush=True)
    if args.json:
        args.json.write_text(json.dumps([asdict(one) for one in played], indent=1))
    print("\n".join(table(played)))
    return int(any(one.wrong for one in played))


if __name__ == "__main__":
    sys.exit(main())
