"""The report of a benchmark in the form of hep-score, of one copy or of several side by side.

The keys are in docs/reference/records.md and hepscore_schema.json. The score is
``mean_throughput``, because higher has to be better there.
"""

import contextlib
import os
import statistics
from pathlib import Path
from typing import Any

import jax

import hepjax
from hepjax.bench.data import checksum
from hepjax.engine.workload import Benchmark

Summary = dict[str, Any]


def summarise(
    benchmark: Benchmark, cfg: Any, measured: dict[str, Any], data_checksum: str
) -> Summary:
    """The report of one copy.

    Args:
      measured: what ``measure.measure`` returned.
      data_checksum: SHA-256 over the events.
    """
    devices = jax.devices()[: cfg.mesh.devices or None]
    threads = len(os.sched_getaffinity(0))
    measured = dict(measured)
    scores = {name: measured.pop(name) for name in ("mean_throughput", "mean_epoch_time")}
    size, steps = cfg.train.batch_size, measured["steps_per_epoch"]
    events = steps * size
    on_gpu = devices[0].platform == "gpu"
    stats = {
        **_spread([scores["mean_throughput"]]),
        "num_epochs": cfg.train.epochs,
        "train_time": round(measured["train_stop"] - measured["train_start"], 4),
        "GPU": len(devices) if on_gpu else 0,
        "CPU": threads,
        "train_set_size": events,
        "events_per_epoch": events,
        "batch_size_total": size,
        "batch_size_per_device": size // len(devices),
        "precision": cfg.train.precision,
        "seed": cfg.train.seed,
        **measured,
    }
    return {
        "run_info": {
            "copies": 1,
            "threads_per_copy": threads,
            "events_per_thread": round(events / threads, 4),
        },
        "report": {"wl-scores": scores, "wl-stats": stats, "log": "ok"},
        "app": {
            "containment": containment(),
            "version": hepjax.__version__,
            "description": f"training of {benchmark.config}, training events per second",
            "bmk_checksum": checksum_of_package(),
            "bmkdata_checksum": data_checksum,
            "cvmfs_checksum": "",
            "devices": [
                {"device_id": d.id, "name": _name(d), "platform": d.platform} for d in devices
            ],
        },
    }


def combine(copies: list[Summary]) -> Summary:
    """One report of copies that ran side by side: throughputs add, epoch times are averaged."""
    scores = [copy["report"]["wl-scores"] for copy in copies]
    rates = [score["mean_throughput"] for score in scores]
    times = [score["mean_epoch_time"] for score in scores]
    first = copies[0]
    return {
        "run_info": first["run_info"] | {"copies": len(copies)},
        "report": {
            "wl-scores": {
                "mean_throughput": round(sum(rates), 4),
                "mean_epoch_time": round(statistics.fmean(times), 4),
            },
            "wl-stats": {
                **_spread(rates),
                "per_copy": [copy["report"]["wl-stats"] for copy in copies],
            },
            "log": "ok",
        },
        "app": first["app"],
    }


def _spread(rates: list[float]) -> dict[str, float]:
    """Statistics over copies, as reports of CPU workloads have them; events/s."""
    return {
        "count": len(rates),
        "avg": round(statistics.fmean(rates), 4),
        "median": round(statistics.median(rates), 4),
        "min": min(rates),
        "max": max(rates),
    }


def _name(device: jax.Device) -> str:
    """The model of a device; jax calls every CPU "cpu", so the kernel is asked."""
    if device.platform == "cpu":
        with contextlib.suppress(OSError, StopIteration):
            lines = Path("/proc/cpuinfo").read_text().splitlines()
            return next(x for x in lines if x.startswith("model name")).partition(":")[2].strip()
    return device.device_kind


def checksum_of_package() -> str:
    """SHA-256 over the Python files of hepjax: which code was measured."""
    return checksum([Path(hepjax.__file__).parent], "*.py")


def containment(root: Path = Path("/")) -> str:
    """What kind of container this is, by the marks that each leaves at the root; else ``none``."""
    marks = {".singularity.d": "singularity", ".dockerenv": "docker", "run/.containerenv": "podman"}
    return next((kind for mark, kind in marks.items() if (root / mark).exists()), "none")
