"""Seconds from the command to the first update of a training, without and with kept programs.

    python -m benchmarks.speed.starts
    python -m benchmarks.speed.starts --config mlpf/benchmark --rounds 3 --json starts.json

Each start is a process of its own, ``hepjax train`` for two updates on a few simulated events.
Cold: its folder of compiled programs is empty. Warm: the one that the cold start left. The first
update is done when its record is there; the end has validation and a checkpoint too. "Compiling" is
what the command says of the update. "CPU" is the processor time until the first update, which holds
on a busy machine too. Page caches are warm.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.setting import environment
from benchmarks.speed import timing
from benchmarks.speed.tagger_epoch import cpu_seconds
from hepjax.bench import data, definition
from hepjax.engine.compilation import VARIABLE
from hepjax.run import configured

CONFIGS = ("gan3d/demo", "tagger/demo", "mlpf/demo")
EVENTS, BATCH, UPDATES = 12, 2, 2
COMPILED = re.compile(r"hepjax: compiled in ([\d.]+) s")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--config", nargs="+", default=CONFIGS, help="packaged names")
    parser.add_argument("--batch", type=int, default=BATCH, help="events of an update")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    about = timing.machine()
    print(about)
    print(
        "\n| configuration | cold: first update, s | CPU | compiling | end "
        "| warm: first update, s | CPU | compiling | end | kept programs, MB |\n"
        + "|---" * 10
        + "|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for config in args.config:
            row = measured(config, args.batch, args.rounds, Path(folder))
            rows.append(row)
            print_row(row)
            if args.json:
                timing.write_json(args.json, {"machine": about, "rows": rows})


def measured(config: str, batch: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Medians of both starts of a configuration."""
    workload, _ = configured(config, [])
    events = data.prepare(workload.name, max(EVENTS, 2 * batch), folder, quiet=True)
    files = [f"data.files=[{events / 'train'}]", f"data.validation_files=[{events / 'validation'}]"]
    words = [f"train.batch_size={batch}", *definition.benchmark(workload.name).validated]
    starts: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    for number in range(rounds):
        programs = folder / f"{config.replace('/', '-')}-{number}"
        for kind in starts:
            run = folder / f"{programs.name}-{kind}"
            starts[kind].append(start(config, [*words, *files], programs, run))
    row: dict[str, Any] = {"config": config, "batch": batch}
    for kind, found in starts.items():
        for name in found[0]:
            row[f"{kind}{name}"] = statistics.median(one[name] for one in found)
    kept = sum(path.stat().st_size for path in programs.rglob("*") if path.is_file())
    return row | {"kept_bytes": kept, "samples": starts}


def start(config: str, words: list[str], programs: Path, run: Path) -> dict[str, float]:
    """One start: seconds and processor time to the first update, compiling, and to the end."""
    words = [*words, f"train.steps={UPDATES}", "train.record_every=1"]
    command = [sys.executable, "-m", "hepjax", "train", config, *words, "mesh.devices=1"]
    around = {k: v for k, v in environment().items() if k != "JAX_COMPILATION_CACHE_DIR"}
    around[VARIABLE] = str(programs)
    records = run / "metrics.jsonl"
    began = time.monotonic()
    process = subprocess.Popen(
        [*command, "--run", str(run)], env=around, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while process.poll() is None and not (records.exists() and records.stat().st_size):
            time.sleep(0.005)
        first, used = time.monotonic() - began, cpu_seconds([process.pid])
        said = process.communicate()[1]
    finally:
        process.kill()
    if process.returncode:
        sys.exit(f"{config}: {said.strip().splitlines()[-1]}")
    compiling = COMPILED.search(said)
    assert compiling, said
    found = {"_s": first, "_cpu_s": used, "_compiling_s": float(compiling[1])}
    return found | {"_end_s": time.monotonic() - began}


def print_row(row: dict[str, Any]) -> None:
    cells = [f"{row[kind + name]:.1f}" for kind in ("cold", "warm")
             for name in ("_s", "_cpu_s", "_compiling_s", "_end_s")]  # fmt: skip
    print(f"| {row['config']} | {' | '.join(cells)} | {1e-6 * row['kept_bytes']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
