"""Speed of the whole 3DGAN update in hepjax and in PyTorch, paired in one process.

    python -m benchmarks.speed.train_step --batch 8 32 128 --precision float32 --json step.json
    taskset -c 1 python -m benchmarks.speed.train_step --batch 4 --clock cpu   where others work too

One update is the published one: discriminator on real and on fake showers, generator twice. Both
sides start from the same weights and do the same work (benchmarks/speed/torch_gan3d.py); reading
showers is not in it. PyTorch runs with channels_last_3d, eager and, with --compile, compiled too.
GFLOP an event is the analytic count of ``timing.step_gflop``.
"""

import argparse
import itertools
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.speed import timing
from hepjax.engine.settings import find_config, read_settings
from hepjax.engine.workload import Clock, Spec
from hepjax.workloads.gan3d import objective
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.table import configure

try:
    import torch

    from benchmarks.speed import torch_gan3d
except ModuleNotFoundError:
    torch = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="gan3d/published", help="as for hepjax train")
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--compile", action="store_true", help="PyTorch compiled as well as eager")
    parser.add_argument("--no-torch", action="store_true", help="hepjax alone")
    parser.add_argument("--clock", choices=timing.CLOCKS, default="wall")
    parser.add_argument("--json", type=Path, help="also write all samples to this file")
    args = parser.parse_args()
    with_torch = torch is not None and not args.no_torch
    forms = ["hepjax"] + ["torch eager"] * with_torch
    forms += ["torch compiled"] * (with_torch and args.compile)

    about = timing.machine()
    rates = timing.matmul_rates(args.clock)
    print(about)
    print("matrix product, GFLOP/s:", timing.rounded(rates))
    print(
        "\n| precision | batch | form | ms/update | events/s | ms/event | GFLOP/event | GFLOP/s "
        "| of matrix product | hepjax faster by |\n" + "|---" * 10 + "|"
    )
    rows: list[dict[str, Any]] = []
    for precision in args.precision:
        for batch in args.batch:
            cfg = settings(args.config, batch, precision)
            times = timing.paired(
                {form: make(form, cfg) for form in forms}, args.rounds, args.clock
            )
            for form in forms:
                row = judge(cfg, times, form, max(rates[precision].values()))
                rows.append(row)
                print_row(row)
    if args.json:
        content = {"config": args.config, "clock": args.clock, "machine": about}
        content |= {"matmul_gflops": rates, "rows": rows}
        timing.write_json(args.json, content)


def settings(name: str, batch: int, precision: str) -> Gan3DConfig:
    """The configuration ``name`` at this batch size and precision."""
    overrides = [f"train.batch_size={batch}", f"train.precision={precision}", "mesh.devices=1"]
    return configure(read_settings(find_config(name), overrides))[1]


def make(form: str, cfg: Gan3DConfig) -> Callable[[], Any]:
    """A function that does one update and waits for its results; compiled now if ever."""
    print(f"preparing {form}, {cfg.train.precision}, {cfg.train.batch_size}", file=sys.stderr)
    state = jax.jit(partial(objective.init, cfg))(jax.random.key(0))
    batch = jax.jit(partial(objective.prepare, cfg, Spec()))(showers(cfg, cfg.train.batch_size))
    if form == "hepjax":
        return hepjax_update(cfg, state, batch)
    gan = torch_gan3d.make_gan(cfg, state, compiled=form == "torch compiled")
    arrays = batch | {"shower": batch["shower"].transpose(0, 4, 1, 2, 3)}
    tensors = {name: torch.tensor(np.array(array)) for name, array in arrays.items()}
    return lambda: torch_gan3d.train_step(gan, tensors)


def hepjax_update(
    cfg: Gan3DConfig, state: objective.State, batch: objective.Batch
) -> Callable[[], Any]:
    """As the engine compiles it: one function, its state donated."""

    def step(state: objective.State, batch: objective.Batch, number: int) -> Any:
        key = jax.random.fold_in(jax.random.key(1), number)
        return objective.train_step(cfg, state, batch, key, Clock(jnp.float32(0), jnp.int32(0)))

    compiled = jax.jit(step, donate_argnums=0)
    numbers, kept = itertools.count(), [state]

    def update() -> Any:
        kept[0], metrics = compiled(kept[0], batch, next(numbers))
        return jax.block_until_ready((kept[0], metrics))

    return update


def showers(cfg: Gan3DConfig, n: int) -> dict[str, jax.Array]:
    """Cells, energies (GeV) and angles of ``n`` events with the sparsity of showers; the speed
    depends on nothing else."""
    draw = np.random.default_rng(0)
    energy = draw.uniform(10, 500, n).astype(np.float32)
    shape = (n, *cfg.calorimeter.shape)
    cells = draw.exponential(size=shape) * (draw.random(shape) < 0.1)
    cells *= (0.02 * energy / cells.sum((1, 2, 3)))[:, None, None, None]
    theta = draw.uniform(1.05, 2.09, n).astype(np.float32)
    return {"ecal": jnp.asarray(cells, jnp.float32), "energy": energy, "theta": theta}


def judge(cfg: Gan3DConfig, times: timing.Times, form: str, ceiling: float) -> dict[str, Any]:
    """One row of the table; ``ceiling`` in GFLOP/s."""
    batch, gflop = cfg.train.batch_size, timing.step_gflop(cfg)
    seconds = statistics.median(times[form])
    return {
        "precision": cfg.train.precision,
        "batch": batch,
        "form": form,
        "events_per_second": batch / seconds,
        "gflop_per_event": gflop,
        "gflops": batch * gflop / seconds,
        "of_matmul": batch * gflop / seconds / ceiling,
        "hepjax_faster_by": timing.speed(times, "hepjax", form),
    } | timing.summary(times[form])


def print_row(row: dict[str, Any]) -> None:
    ms = 1e3 * row["median_s"]
    ratio = "" if row["form"] == "hepjax" else f"{row['hepjax_faster_by']:.2f}"
    print(
        f"| {row['precision']} | {row['batch']} | {row['form']} | {ms:.0f} "
        f"| {row['events_per_second']:.1f} | {ms / row['batch']:.2f} "
        f"| {row['gflop_per_event']:.2f} | {row['gflops']:.0f} | {row['of_matmul']:.2f} "
        f"| {ratio} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
