"""An epoch of the ResNet-15 from the disk: hepjax with a packed set, PyTorch with Parquet files.

    python -m benchmarks.speed.tagger_epoch --jets 2048 --rounds 3 --out epoch.json

Both train the same network from the same weights on the same toy jets, on all cores, in one process
and in turn: hepjax reads a packed set as ``hepjax train`` does, PyTorch nested lists in one-jet row
groups with the published loader, in worker processes. The first epoch of each is not counted.
Beside it the update alone, on a batch that is there already. CPU times include the workers (Linux).
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.speed import jet_readers, timing
from benchmarks.speed.tagger_loop import DENSE, Loop
from hepjax.engine.settings import find_config, read_settings
from hepjax.workloads.table import configure
from hepjax.workloads.tagger import objective
from hepjax.workloads.tagger.config import TaggerConfig
from hepjax.workloads.tagger.workload import WORKLOAD

try:
    import torch

    from benchmarks.speed import torch_tagger
except ModuleNotFoundError:
    torch = None

CONFIGS = {1: "tagger/top", 3: "tagger/top_x3"}
Seconds = dict[str, float]


def main() -> None:
    """Write the files, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=1, choices=CONFIGS)
    parser.add_argument("--jets", type=int, default=2048, help="jets in an epoch")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the figures as JSON")
    args = parser.parse_args()
    if torch is None:
        parser.error("needs PyTorch: pip install 'hepjax[torch-bench]'")

    about = timing.machine()
    print(about)
    overrides = [f"train.batch_size={args.batch}", f"train.precision={args.precision}"]
    settings = read_settings(find_config(CONFIGS[args.resolution]), [*overrides, "mesh.devices=1"])
    cfg: TaggerConfig = configure(settings)[1]
    images, columns = jet_readers.toy_jets(args.jets, args.resolution)
    with tempfile.TemporaryDirectory() as folder:
        packed = jet_readers.write_set(Path(folder) / "set", images, columns, args.resolution)
        nested = jet_readers.write_nested(Path(folder), images, columns, args.resolution)
        forms = {
            "hepjax, packed set": hepjax_forms(cfg, packed),
            "PyTorch, Parquet loader": torch_forms(cfg, nested, args.workers),
        }
        rows = {}
        for what in ("epoch", "update"):
            runs = {name: form[what] for name, form in forms.items()}
            rows[what] = in_turn(runs, args.rounds)
            print_rows(what, rows[what])
    if args.out:
        timing.write_json(args.out, {"machine": about, "jets": args.jets, "rows": rows})


def hepjax_forms(cfg: TaggerConfig, folder: Path) -> dict[str, Callable[[], Seconds]]:
    """One epoch, and one update of the network alone."""
    spec = WORKLOAD.spec(cfg, jet_readers.packed_source(cfg, folder))
    loop, dense = Loop(WORKLOAD, cfg, spec), Loop(DENSE, cfg)
    batch = dense.put(random_batch(cfg))
    return {
        "epoch": lambda: timed(lambda: loop.run(jet_readers.packed_batches(cfg, folder))),
        "update": lambda: timed(lambda: jax.block_until_ready(dense.update(batch))),
    }


def torch_forms(cfg: TaggerConfig, path: Path, workers: int) -> dict[str, Callable[[], Seconds]]:
    """The same in PyTorch."""
    params = jax.jit(partial(objective.init, cfg))(jax.random.key(0)).params
    update = torch_tagger.make_update(cfg, params)
    jets = torch_tagger.loader(path, cfg.train.batch_size, workers)
    batch = random_batch(cfg)
    image = torch.tensor(batch["image"]).permute(0, 3, 1, 2)
    label = torch.tensor(batch["label"])

    def epoch() -> None:
        for image, label in jets:
            update(image, label)

    return {
        "epoch": lambda: timed(epoch, jets),
        "update": lambda: timed(lambda: update(image, label)),
    }


def random_batch(cfg: TaggerConfig) -> dict[str, np.ndarray]:
    """Images with 1 % of the pixels hit."""
    draw = np.random.default_rng(0)
    shape = (cfg.train.batch_size, *cfg.data.shape, len(cfg.data.names))
    image = (draw.exponential(size=shape) * (draw.random(shape) < 0.01)).astype(np.float32)
    label = np.arange(len(image), dtype=np.int32) % 2
    return {"image": image, "label": label, "weight": np.ones(len(image), np.float32)}


def timed(call: Callable[[], Any], jets: Any = None) -> Seconds:
    """Wall and CPU seconds of a call, those of the worker processes of a loader included."""
    workers = [w.pid for w in getattr(getattr(jets, "_iterator", None), "_workers", [])]
    start = time.perf_counter(), time.process_time() + cpu_seconds(workers)
    call()
    now = time.perf_counter(), time.process_time() + cpu_seconds(workers)
    return {"wall": now[0] - start[0], "cpu": now[1] - start[1]}


def cpu_seconds(processes: list[int]) -> float:
    """CPU time that processes have used until now."""
    used = 0
    for number in processes:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")


def in_turn(runs: dict[str, Callable[[], Seconds]], rounds: int) -> dict[str, list[Seconds]]:
    """Samples of each form, after one that is not counted."""
    samples: dict[str, list[Seconds]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name in sorted(runs, reverse=bool(number % 2)):
            time.sleep(timing.PAUSE)
            found = runs[name]()
            if number:
                samples[name].append(found)
    return samples


def print_rows(what: str, samples: dict[str, list[Seconds]]) -> None:
    """Medians, and the median over the rounds of the ratio to hepjax."""
    ours = samples["hepjax, packed set"]
    print(f"\n| {what} | wall, s | CPU, s | slower by, wall | CPU |\n" + "|---" * 5 + "|")
    for name, found in samples.items():
        cells = [f"{statistics.median(s[clock] for s in found):.3f}" for clock in ("wall", "cpu")]
        for clock in ("wall", "cpu"):
            ratios = [s[clock] / o[clock] for s, o in zip(found, ours, strict=True)]
            cells.append(f"{statistics.median(ratios):.2f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
