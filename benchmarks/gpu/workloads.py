"""Updates of the other workloads, and generation by the packaged generator, on simulated events.

    python -m benchmarks.gpu.workloads --config calo/shape
    python -m benchmarks.gpu.workloads --config wgan/photons replicas=300

The host simulates a few events first. What is timed are updates as in ``benchmarks.gpu.updates``;
of a population an event counts once for each member.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax

import hepjax
from benchmarks.gpu.updates import bare, told
from benchmarks.physics.ladder import timed
from hepjax.cli import main as command
from hepjax.engine import compilation, population
from hepjax.engine.host_memory import keep_memory
from hepjax.run import configured


class Task(NamedTuple):
    """How events are made, and what makes a training of them."""

    simulate: tuple[str, ...]
    settings: tuple[str, ...]


SHOWERS = ("showers", "--events", "1024", "--energy", "10:100")
TASKS = {
    "calo/shape": Task(SHOWERS, ("data.energy_range=[10,100]", "objective.statistics=1",
                                 "data.validation_fraction=0.1")),
    "calo/flow": Task(("showers", "--geometry", "atlas-photons", "--events", "1024"),
                      ("objective.statistics=1", "data.validation_fraction=0.1")),
    "wgan/photons": Task(("showers", "--geometry", "atlas-photons", "--energy", "4.096:4194.304",
                          "--events", "2048"), ()),
    "tracking/published": Task(("hits", "--events", "8", "--particles", "2000"), ()),
    "unfold/demo": Task(("unfolding", "--events", "20000"), ()),
    "waveforms/conv": Task(("waveforms", "--events", "4000"), ()),
    "fields/published": Task(("boxes", "--boxes", "4", "--cells", "64"), ()),
}  # fmt: skip
GENERATED = "pretrained/showers-25"


def main() -> None:
    """Simulate, compile, time, print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--config", choices=[*TASKS, GENERATED], default="calo/shape")
    parser.add_argument("--batches", type=int, nargs="+", default=[100, 1000, 10000],
                        help=f"of {GENERATED}")  # fmt: skip
    parser.add_argument("--updates", type=int, default=10, help="in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")
    args = parser.parse_args()
    keep_memory()
    compilation.use_cache()
    if args.config == GENERATED:
        told(args.json, generation(args.batches))
        return
    with tempfile.TemporaryDirectory() as folder:
        row = update(args.config, args.overrides, Path(folder), args.updates, args.rounds)
    told(args.json, row)


def update(
    config: str, overrides: list[str], folder: Path, updates: int, rounds: int
) -> dict[str, Any]:
    """The row of a configuration, on events that are simulated into ``folder``."""
    task = TASKS[config]
    began = time.perf_counter()
    if command(["simulate", *task.simulate, "--out", str(folder / "events"), "--quiet"]):
        raise SystemExit(1)
    files = _files(config, folder / "events")
    base, cfg = configured(config, [*files, *task.settings, "mesh.devices=1", *overrides])
    members = max(getattr(cfg.train, "members", 0), getattr(cfg, "replicas", 0), 1)
    prepared = time.perf_counter() - began
    workload: Any = population.of(base, cfg)
    row = bare(workload, cfg, updates, rounds)
    rate = members * row["events_per_second"]
    return row | {
        "config": config, "members": members, "member_events_per_second": rate,
        "prepare_s": round(prepared, 2),
    }  # fmt: skip


def _files(config: str, folder: Path) -> list[str]:
    """The settings that name the events."""
    if config.startswith("unfold"):
        return [f"data.{part}=[{folder / part}]" for part in ("measured", "simulation")]
    if config.startswith("waveforms"):
        return [f"data.{key}=[{folder / part}]"
                for key, part in (("files", "train"), ("test_files", "test"))]  # fmt: skip
    return [f"data.files=[{folder}]"]


def generation(batches: list[int]) -> dict[str, Any]:
    """Wall-clock milliseconds of a shower of the packaged generator, by the size of the batch."""
    run = hepjax.load(GENERATED)
    ms = {str(batch): timed(run, batch, clock=time.perf_counter) for batch in batches}
    return {
        "device": jax.devices()[0].device_kind, "config": GENERATED, "ms_a_shower": ms,
        "showers_per_second": 1e3 / min(ms.values()),
    }  # fmt: skip


if __name__ == "__main__":
    main()
