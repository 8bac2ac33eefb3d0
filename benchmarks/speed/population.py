"""Members of a population in one program, against one at a time: updates of members per second.

    python -m benchmarks.speed.population wgan/photons 'data.files=[data/photons]' --members 1,4,16
    python -m benchmarks.speed.population tagger/demo 'data.files=[data/jets]' --members 1,4

Each row is a compiled update of so many members on one batch of events, called again and again. The
state goes from update to update, so nothing can be left out. "times" is the rate of members over
that of the first row.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hepjax.engine import population
from hepjax.engine.begin import begin_or_restore
from hepjax.engine.mesh import make_mesh, over_data
from hepjax.engine.settings import find_config, read_settings
from hepjax.engine.step import compiled_step
from hepjax.workloads import table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="as for hepjax train")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")
    parser.add_argument("--members", default="1,4,16", metavar="N,N")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a row, at least 3 updates")
    args = parser.parse_args()
    print("| members | updates/s | members x updates/s | times | CPU s of a member's update |")
    print("|---" * 5 + "|")
    alone = 0.0
    for members in map(int, args.members.split(",")):
        wall, cpu = update_of(args.config, args.overrides, members, args.seconds)
        alone = alone or members / wall
        print(
            f"| {members} | {1 / wall:.3g} | {members / wall:.3g} | {members / wall / alone:.2f} "
            f"| {cpu / members:.2g} |",
            flush=True,
        )


def update_of(
    config: str, overrides: list[str], members: int, seconds: float
) -> tuple[float, float]:
    """Seconds on the wall and of the processor of an update of so many members."""
    settings = read_settings(find_config(config), overrides)
    key = "replicas" if settings["workload"] == "wgan" else "train.members"
    settings = read_settings(find_config(config), [*overrides, f"{key}={members}"])
    base, cfg = table.configure(settings)
    workload: Any = population.of(base, cfg)
    mesh = make_mesh(cfg.mesh, cfg.train.batch_size)
    source = workload.sources(cfg).train
    with jax.set_mesh(mesh):
        _, state, shardings = begin_or_restore(workload, cfg, mesh, Path("none"))
        step = compiled_step(workload, cfg, workload.spec(cfg, source), 1000, shardings, mesh)
        events = source[np.arange(cfg.train.batch_size) % len(source)]
        batch = jax.device_put(events, over_data(mesh))
        for _ in range(2):
            state, _ = jax.block_until_ready(step(state, batch, None))
        count, began, before = 0, time.perf_counter(), time.process_time()
        while count < 3 or time.perf_counter() - began < seconds:
            state, _ = jax.block_until_ready(step(state, batch, None))
            count += 1
        return (time.perf_counter() - began) / count, (time.process_time() - before) / count


if __name__ == "__main__":
    main()
