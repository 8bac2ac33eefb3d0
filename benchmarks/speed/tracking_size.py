"""Time, memory and tracks of a trained run against the hits of an event, up to a full one.

    python -m benchmarks.speed.tracking_size runs/tracks --particles 400 1000 3000 9000 \
        --set data.slope=4e-4 data.offset=0.01 data.z0=150

One simulated event each; seconds of the processor for graph, network (compiled, the second of two
passes) and tracks. Memory is what XLA plans for the network: arguments, results and temporaries.
Particles above ``--min-pt`` are to be found.
"""

import argparse
import time
from dataclasses import replace
from typing import Any

import jax
import numpy as np

import hepjax
from benchmarks.speed.timing import machine
from hepjax.engine.settings import build, override, to_settings
from hepjax.physics.tracking.metrics import track_scores
from hepjax.physics.tracking.tracks import tracks
from hepjax.simulate.hits.events import simulate_event
from hepjax.workloads.tracking import answer
from hepjax.workloads.tracking.config import TrackingConfig
from hepjax.workloads.tracking.graphs import known, padded
from hepjax.workloads.tracking.stages import graph_of

SEED = 77


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="of tracking/demo or another interaction network")
    parser.add_argument("--particles", type=int, nargs="+", default=[400, 1000, 3000, 9000])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings")
    parser.add_argument("--min-pt", type=float, default=1.0, help="GeV")
    args = parser.parse_args()
    run = hepjax.load(args.run)
    settings = to_settings(run.cfg)
    override(settings, args.set)
    cfg: TrackingConfig = build(TrackingConfig, settings)
    print(machine())
    heads = (
        "hits", "edges", "graph s", "network s", "tracks s", "us an edge", "plan MiB",
        "graph keeps", "purity", "double majority", "fake rate",
    )  # fmt: skip
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for count in args.particles:
        print("| " + " | ".join(row(cfg, run.state, count, args.min_pt)) + " |", flush=True)


def row(cfg: TrackingConfig, state: Any, count: int, min_pt: float) -> list[str]:
    """What one event takes, and how well its particles are found."""
    event = simulate_event(count, SEED)
    assert event.identifier is not None
    began = time.process_time()
    graph = graph_of(cfg, event)
    for_graph = time.process_time() - began
    sizes = tuple(1000 * (n // 1000 + 1) for n in (len(event), len(graph.senders)))
    cfg = replace(cfg, data=replace(cfg.data, hits=sizes[:1], edges=sizes[1:]))
    raw = padded(cfg, 0, [known(cfg, event, graph)])
    batch = {name: raw[name] for name in ("xyz", "surface", "senders", "receivers")}
    keys = jax.random.split(jax.random.key(0), 1)
    program = jax.jit(lambda batch: answer.infer(cfg, state, batch, keys)).lower(batch).compile()
    plan = program.memory_analysis()
    for _ in range(2):
        began = time.process_time()
        score = np.asarray(program(batch)["score"])[0, : len(graph.senders)]
        for_network = time.process_time() - began
    began = time.process_time()
    ends = graph.senders, graph.receivers
    made = tracks(len(event), *ends, score, cfg.tracks.cut, cfg.tracks.how, cfg.tracks.add)
    for_tracks = time.process_time() - began
    hard = event.of_hits(event.pt) >= min_pt
    found, lost = (graph.true & hard[graph.senders]).sum(), hard[graph.missed[:, 0]].sum()
    scores = track_scores(made, event.particle, event.identifier[event.pt >= min_pt], event.weight)
    planned = plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes
    return [
        f"{len(event):,}", f"{len(score):,}", f"{for_graph:.2f}", f"{for_network:.2f}",
        f"{for_tracks:.2f}", f"{1e6 * for_network / len(score):.1f}", f"{planned / 2**20:,.0f}",
        f"{100 * found / (found + lost):.1f} %", f"{100 * graph.true.mean():.1f} %",
        f"{scores['double_majority']:.3f}", f"{scores['fake_rate']:.3f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
