"""Updates of a workload as the engine compiles them, on events that lie in device memory.

    python -m benchmarks.gpu.updates --config gan3d/published --batch 256 --precision bfloat16
    python -m benchmarks.gpu.updates --config mlpf/benchmark --batch 16 --engine 3

Updates follow each other without being waited for, several times; the median counts. With
``--engine`` whole epochs of ``hepjax train`` follow on the same events: their rate over that of the
bare update says whether the loop keeps the device busy. Energy is that of the bare updates. With
``--profile`` some updates are traced last, as ``hepjax profile`` does.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from benchmarks.gpu.events import setting
from benchmarks.speed import timing
from hepjax import run
from hepjax.bench.profiled import Updates, profile
from hepjax.engine import compilation, meter, records
from hepjax.engine.host_memory import keep_memory

WARM = 2
"""Updates before the timed ones."""
PUBLISHED_SHOWERS = 180_000
"""Of an epoch of the published 3DGAN; here at the rate of the engine, without validation."""


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--config", default="gan3d/published", help="as for hepjax train")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--events", type=int, help="in memory; default: 8 batches")
    parser.add_argument("--elements", type=int, default=6400, help="of an MLPF event")
    parser.add_argument("--updates", type=int, default=10, help="in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", type=int, default=0, metavar="EPOCHS", help="2 or more")
    parser.add_argument("--profile", action="store_true", help="say where the time goes, too")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")
    args = parser.parse_args()

    began = time.perf_counter()
    keep_memory()  # as hepjax train does
    compilation.use_cache()
    overrides = [f"train.batch_size={args.batch}", f"train.precision={args.precision}"]
    overrides += ["input.resident=true", f"train.epochs={max(args.engine, 1)}"]
    overrides += ["train.record_every=1000000", *args.overrides]
    if args.config.startswith("mlpf"):
        overrides += [f"data.buckets=[{args.elements}]"]
    events = args.events or 8 * args.batch
    with tempfile.TemporaryDirectory() as folder:
        workload, cfg = setting(args.config, events, overrides, args.elements, Path(folder))
        prepared = time.perf_counter()
        row = bare(workload, cfg, args.updates, args.rounds)
        row |= {"config": args.config, "prepare_s": round(prepared - began, 2)}
        told(args.json, row)
        if args.engine:
            row |= engine(workload, cfg, Path(folder) / "run", row["events_per_second"])
            told(args.json, row)
        if args.profile:
            report = profile(workload, cfg, None, Path(folder) / "trace", args.updates)
            names = ("time_ms", "traced_ms_per_update", "kernels_per_update", "top", "bound")
            told(args.json, row | {"profile": {name: report[name] for name in names}})


def bare(workload: Any, cfg: Any, count: int, rounds: int) -> dict[str, Any]:
    """The update alone."""
    began = time.perf_counter()
    updates = Updates(workload, cfg, None)
    with jax.set_mesh(updates.mesh):
        batch = next(updates.batches(1))
        placed = time.perf_counter()
        updates.compile(batch)
        jax.block_until_ready(updates.step(batch))
        first, seconds = time.perf_counter(), list[float]()
        jax.block_until_ready([updates.step(batch) for _ in range(WARM)])
        with meter.of_training(updates.mesh.local_devices) as reading:
            for _ in range(rounds):
                start = time.perf_counter()
                for _ in range(count):
                    metrics = updates.step(batch)
                jax.block_until_ready((updates.state, metrics))
                seconds.append((time.perf_counter() - start) / count)
            resources = meter.per_event(reading.read(), rounds * count * cfg.train.batch_size)
    median = statistics.median(seconds)
    row = {
        "device": jax.devices()[0].device_kind,
        "precision": cfg.train.precision,
        "batch": cfg.train.batch_size,
        "ms_per_update": 1e3 * median,
        "events_per_second": cfg.train.batch_size / median,
        "samples_s": seconds,
        "place_s": round(placed - began, 2),
        "trace_s": round(updates.lowering, 2),
        "compile_s": round(updates.compiling, 2),
        "first_update_s": round(first - began, 2),
        "resources": resources,
    }
    if workload.name == "gan3d":
        row["tflops"] = 1e-3 * timing.step_gflop(cfg) * row["events_per_second"]
    return row


def engine(workload: Any, cfg: Any, folder: Path, bare_rate: float) -> dict[str, Any]:
    """Epochs of ``hepjax train``: events/s in its records, and of whole epochs."""
    run.train(workload, cfg, folder)
    rows = records.read(folder / "metrics.jsonl")
    rates = [row["events_per_second"] for row in rows if row["event"] == "train"][1:]
    validated = [row for row in rows if row["event"] == "validation"]
    epoch = (validated[-1]["time"] - validated[0]["time"]) / (len(validated) - 1)
    rate = statistics.median(rates)
    found = {
        "engine_events_per_second": rate,
        "engine_over_bare": rate / bare_rate,
        "epoch_events": validated[0]["step"] * cfg.train.batch_size,
        "epoch_s": epoch,
    }
    if workload.name == "gan3d":
        found["epoch_s_of_180000_showers"] = PUBLISHED_SHOWERS / rate
    return found


def told(path: Path | None, row: dict[str, Any]) -> None:
    """Print the figures, and write them at once."""
    print({name: value for name, value in row.items() if name != "samples_s"}, flush=True)
    if path is not None:
        timing.write_json(path, row)


if __name__ == "__main__":
    main()
