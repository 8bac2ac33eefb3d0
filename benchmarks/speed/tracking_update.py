"""Updates of the interaction network, paired with PyTorch in one process, against hits.

    python -m benchmarks.speed.tracking_update --particles 300 1000 3000 --json tracking.json

One simulated event an update. hepjax pads its graph to the next thousand edges, PyTorch does not
(benchmarks/speed/torch_tracking.py). hepjax computes rounds of messages again in the backward pass,
PyTorch keeps their activations. Both start from the same weights.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax

from benchmarks.speed import timing, torch_tracking
from hepjax.engine.host_memory import keep_memory
from hepjax.engine.settings import find_config, read_settings
from hepjax.engine.workload import Clock, Spec
from hepjax.simulate.hits.events import simulate_event
from hepjax.workloads.table import configure
from hepjax.workloads.tracking import objective
from hepjax.workloads.tracking.config import TrackingConfig
from hepjax.workloads.tracking.graphs import known, padded
from hepjax.workloads.tracking.stages import graph_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="tracking/published", help="as for hepjax train")
    parser.add_argument("--particles", type=int, nargs="+", default=[300, 1000, 3000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=timing.CLOCKS, default="wall")
    parser.add_argument("--json", type=Path, help="also write all samples to this file")
    args = parser.parse_args()
    keep_memory()
    timing.use_all_cores()
    about, rows = timing.machine(), []
    print(about)
    print("| hits | edges | hepjax ms | PyTorch ms | hepjax faster by |\n" + "|---" * 5 + "|")
    for particles in args.particles:
        cfg, raw = event_of(args.config, particles)
        times = timing.paired(forms(cfg, raw), args.rounds, args.clock)
        row: dict[str, Any] = {name: int(raw[name][0]) for name in ("hits", "edges")} | {
            "faster_by": timing.speed(times, "hepjax", "torch"),
            **{form: timing.summary(times[form]) for form in times},
        }
        rows.append(row)
        ms = [1e3 * row[form]["median_s"] for form in ("hepjax", "torch")]
        print(
            f"| {row['hits']:,} | {row['edges']:,} | {ms[0]:.0f} | {ms[1]:.0f} "
            f"| {row['faster_by']:.2f} |",
            flush=True,
        )  # fmt: skip
    if args.json:
        timing.write_json(args.json, {"clock": args.clock, "machine": about, "rows": rows})


def event_of(config: str, particles: int) -> tuple[TrackingConfig, dict[str, Any]]:
    """The configuration with sizes that fit an event, and the event as a batch."""
    cfg: TrackingConfig = configure(read_settings(find_config(config), ["mesh.devices=1"]))[1]
    event = simulate_event(particles, 0)
    graph = graph_of(cfg, event)
    sizes = tuple(1000 * (count // 1000 + 1) for count in (len(event), len(graph.senders)))
    cfg = replace(cfg, data=replace(cfg.data, hits=sizes[:1], edges=sizes[1:]))
    return cfg, padded(cfg, 0, [known(cfg, event, graph)])


def forms(cfg: TrackingConfig, raw: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Both sides as functions that do one update and wait."""
    state = jax.jit(partial(objective.init, cfg))(jax.random.key(0))
    batch = objective.prepare(cfg, Spec(), raw)
    clock, key = Clock(jax.numpy.float32(0), jax.numpy.int32(0)), jax.random.key(1)
    step = jax.jit(lambda state: objective.train_step(cfg, state, batch, key, clock))
    kept = [state]

    def update() -> Any:
        kept[0], metrics = step(kept[0])
        return jax.block_until_ready((kept[0], metrics))

    graph = torch_tracking.graph(raw)
    return {"hepjax": update, "torch": torch_tracking.make_update(cfg, state.params, graph)}


if __name__ == "__main__":
    main()
