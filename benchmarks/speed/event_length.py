"""Time and memory of MLPF against the length of an event, paired with PyTorch in one process.

    python -m benchmarks.speed.event_length --elements 1280 6400 12800 --batch 1 4 --json mlpf.json
    python -m benchmarks.speed.event_length --config mlpf/sparse --what inference --plot a.png
    taskset -c 1 python -m benchmarks.speed.event_length --clock cpu        where others work too

Events are random, full to the last slot; both sides start from the same weights and do the same
work (benchmarks/speed/torch_mlpf.py). Memory is what XLA plans for the compiled program: arguments,
results and temporaries. As in ``hepjax train``, the process keeps its memory
(engine/host_memory.py), PyTorch's as well. The last column is the published inference time of the
sparse model on a GPU (EPJC 81 (2021) 381, batch 1, read from the figure to 0.5 ms).
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
from hepjax.engine.host_memory import keep_memory
from hepjax.engine.settings import find_config, read_settings
from hepjax.engine.workload import Clock, Spec
from hepjax.workloads.mlpf import objective
from hepjax.workloads.mlpf.config import MLPFConfig
from hepjax.workloads.table import configure

try:
    import torch

    from benchmarks.speed import torch_mlpf
except ModuleNotFoundError:
    torch = None

PUBLISHED_MS = {
    1280: 18, 2560: 24, 3840: 32, 5120: 40, 6400: 49,
    7680: 58, 8960: 66, 10240: 75, 11520: 83, 12800: 93,
}  # fmt: skip
"""Milliseconds an event by elements: sparse model, batch 1, RTX 2060 Super."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="mlpf/benchmark", help="as for hepjax train")
    parser.add_argument("--what", nargs="+", default=["training", "inference"])
    parser.add_argument("--elements", type=int, nargs="+", default=list(PUBLISHED_MS))
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--precision", nargs="+", default=["float32"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="PyTorch compiled as well as eager")
    parser.add_argument("--no-torch", action="store_true", help="hepjax alone")
    parser.add_argument("--clock", choices=timing.CLOCKS, default="wall")
    parser.add_argument("--json", type=Path, help="also write all samples to this file")
    parser.add_argument("--plot", type=Path, help="also draw time and memory to this file")
    args = parser.parse_args()
    keep_memory()
    with_torch = torch is not None and not args.no_torch
    forms = ["hepjax"] + ["torch eager"] * with_torch
    forms += ["torch compiled"] * (with_torch and args.compile)

    about = timing.machine()
    print(about)
    print(
        "\n| what | precision | batch | elements | form | ms/event | events/s | MiB "
        "| hepjax faster by | published ms |\n" + "|---" * 10 + "|"
    )
    rows: list[dict[str, Any]] = []
    for what, precision, batch, elements in itertools.product(
        args.what, args.precision, args.batch, args.elements
    ):
        cfg = settings(args.config, batch, precision)
        made = {form: make(form, cfg, what, elements) for form in forms}
        times = timing.paired(
            {form: run for form, (run, _) in made.items()}, args.rounds, args.clock
        )
        for form in forms:
            row = {
                "what": what, "precision": precision, "batch": batch, "elements": elements,
                "form": form, "mib": made[form][1],
                "hepjax_faster_by": timing.speed(times, "hepjax", form),
            } | timing.summary(times[form])  # fmt: skip
            rows.append(row)
            print_row(row)
    print_slopes(rows)
    if args.json:
        content = {"config": args.config, "clock": args.clock, "machine": about, "rows": rows}
        timing.write_json(args.json, content)
    if args.plot:
        plot(args.plot, args.config, args.clock, rows)


def settings(name: str, batch: int, precision: str) -> MLPFConfig:
    """The configuration ``name`` at this batch size and precision."""
    overrides = [f"train.batch_size={batch}", f"train.precision={precision}", "mesh.devices=1"]
    return configure(read_settings(find_config(name), overrides))[1]


def make(
    form: str, cfg: MLPFConfig, what: str, elements: int
) -> tuple[Callable[[], Any], float | None]:
    """A function that runs once and waits, and the MiB that its program needs."""
    print(f"preparing {form}, {what}, {elements}", file=sys.stderr)
    state = jax.jit(partial(objective.init, cfg))(jax.random.key(0))
    batch = objective.prepare(cfg, Spec(), events(cfg.train.batch_size, elements))
    if form == "hepjax":
        return (update if what == "training" else inference)(cfg, state, batch)
    tensors = {name: torch.tensor(np.array(array)) for name, array in batch.items()}
    build = torch_mlpf.make_update if what == "training" else torch_mlpf.make_inference
    return build(cfg, state, tensors, compiled=form == "torch compiled"), None


def update(
    cfg: MLPFConfig, state: objective.State, batch: objective.Batch
) -> tuple[Callable[[], Any], float]:
    """As the engine compiles it: one function, its state donated."""

    def step(state: objective.State, batch: objective.Batch, number: int) -> Any:
        key = jax.random.fold_in(jax.random.key(1), number)
        return objective.train_step(cfg, state, batch, key, Clock(jnp.float32(0), jnp.int32(0)))

    compiled = jax.jit(step, donate_argnums=0).lower(state, batch, 0).compile()
    numbers, kept = itertools.count(), [state]

    def run() -> Any:
        kept[0], metrics = compiled(kept[0], batch, next(numbers))
        return jax.block_until_ready((kept[0], metrics))

    return run, mebibytes(compiled)


def inference(
    cfg: MLPFConfig, state: objective.State, batch: objective.Batch
) -> tuple[Callable[[], Any], float]:
    """The network alone."""
    apply = jax.jit(partial(objective.apply, cfg))
    compiled = apply.lower(state.params, state.codebooks, batch).compile()

    def run() -> Any:
        return jax.block_until_ready(compiled(state.params, state.codebooks, batch))

    return run, mebibytes(compiled)


def mebibytes(compiled: Any) -> float:
    """Memory of a compiled program; donated arguments count once."""
    m = compiled.memory_analysis()
    held = m.argument_size_in_bytes + m.output_size_in_bytes - m.alias_size_in_bytes
    return (held + m.temp_size_in_bytes) / 2**20


def events(n: int, elements: int) -> objective.Batch:
    """Random events in the published columns; the speed depends on nothing else."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(n, elements, 12))
    X[..., 0] = draw.integers(1, 3, (n, elements))
    X[..., [1, 5]] = draw.exponential(5.0, (n, elements, 2))
    y = draw.normal(size=(n, elements, 7))
    y[..., 0] = draw.integers(0, 6, (n, elements))
    y[..., [2, 6]] = draw.exponential(5.0, (n, elements, 2))
    rows = {"X": jnp.asarray(X, jnp.float32), "ygen": jnp.asarray(y, jnp.float32)}
    return rows | {"n": jnp.full(n, elements)}


def print_row(row: dict[str, Any]) -> None:
    ms = 1e3 * row["median_s"] / row["batch"]
    ratio = "" if row["form"] == "hepjax" else f"{row['hepjax_faster_by']:.2f}"
    memory = "" if row["mib"] is None else f"{row['mib']:.0f}"
    print(
        f"| {row['what']} | {row['precision']} | {row['batch']} | {row['elements']} "
        f"| {row['form']} | {ms:.0f} | {1e3 / ms:.3g} | {memory} | {ratio} "
        f"| {PUBLISHED_MS.get(row['elements'], '')} |",
        flush=True,
    )


def print_slopes(rows: list[dict[str, Any]]) -> None:
    """How time grows with elements: the power p of elements^p that fits each series best."""
    print()
    keys = ("what", "precision", "batch", "form")
    for name, group in itertools.groupby(
        sorted(rows, key=lambda r: [str(r[k]) for k in keys]), key=lambda r: [r[k] for k in keys]
    ):
        points = [(row["elements"], statistics.median(row["samples_s"])) for row in group]
        if len(points) > 1:
            power = np.polyfit(*np.log(np.array(points)).T, 1)[0]
            print(f"{', '.join(map(str, name))}: time grows as elements^{power:.2f}")


def plot(path: Path, config: str, clock: str, rows: list[dict[str, Any]]) -> None:
    """Time of each series, with the published curve, and memory of hepjax, against elements."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (time, memory) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name, group in itertools.groupby(rows, key=lambda r: [r[k] for k in ("what", "precision")]):
        points = list(group)
        for batch, form in sorted({(r["batch"], r["form"]) for r in points}):
            series = [r for r in points if (r["batch"], r["form"]) == (batch, form)]
            x = [r["elements"] for r in series]
            label = f"{form}, {' '.join(name)}, batch {batch}"
            time.plot(x, [1e3 * r["median_s"] / batch for r in series], "o-", label=label)
            if form == "hepjax":
                memory.plot(x, [r["mib"] for r in series], "o-", label=label)
    published = "published: sparse, inference, RTX 2060 Super"
    time.plot(list(PUBLISHED_MS), list(PUBLISHED_MS.values()), "k--", label=published)
    time.set(yscale="log", ylabel=f"{clock} time, ms an event", title=config)
    low, high = time.get_ylim()
    time.set_ylim(low, high * (high / low) ** 0.6)  # room for the legend
    memory.set(ylabel="memory of the program, MiB")
    for axes in (time, memory):
        axes.set_xlabel("elements in an event")
        axes.legend(fontsize="small", loc="upper left")
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
