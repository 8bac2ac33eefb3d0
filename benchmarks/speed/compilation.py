"""Size and compile time of the programs of a training: initial state, update, validation.

    python -m benchmarks.speed.compilation
    python -m benchmarks.speed.compilation --config mlpf/benchmark --elements 6400 --batch 1
    python -m benchmarks.speed.compilation --products --config mlpf/benchmark --elements 6400

Nothing is run and no data is read. Counts are instructions of the StableHLO that jax hands to XLA
and of the optimised HLO that XLA compiles; seconds are processor time of this process, all threads.
With ``--products`` nothing is compiled: it counts the matrix products and convolutions of the
update, and how many differ, each of which a compiler for GPUs tunes once.
"""

import argparse
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax

from hepjax.engine import begin, settings
from hepjax.engine.mesh import make_mesh, state_shardings
from hepjax.engine.step import compiled_step, init_state, validation_step
from hepjax.engine.workload import Batch, Spec
from hepjax.run import configured

CONFIGS = {"gan3d/demo": 16, "gan3d/published": 16, "tagger/demo": 16, "tagger/top": 16,
           "mlpf/demo": 8, "mlpf/additive": 1, "mlpf/benchmark": 1}  # fmt: skip
"""Packaged configurations and the events of an update."""
PRODUCT = re.compile(r"stablehlo\.(dot_general|dot|convolution)\b.*")
SHOWN = 12


def raw_batch(workload: str, cfg: Any, events: int, elements: int) -> Batch:
    """Shapes of a raw batch, on which nothing is computed."""

    def field(*shape: int, dtype: str = "float32") -> Any:
        return jax.ShapeDtypeStruct((events, *shape), dtype)

    if workload == "gan3d":
        return {"ecal": field(25, 25, 25), "energy": field()}
    if workload == "mlpf":
        arrays = {"X": 12, "ygen": 7, "ycand": 7}
        fields = {name: field(elements, width) for name, width in arrays.items()}
        return fields | {"n": field(dtype="int32")}
    cells = {"cell": field(1280, dtype="int32"), "value": field(1280)}
    return cells | {"label": field(dtype="int32"), "weight": field()}


def programs(name: str, events: int, elements: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The programs of a configuration by name, each as a function that lowers it."""
    size = [f"train.batch_size={events}", "mesh.devices=1"]
    workload, cfg = configured(name, size)
    mesh = make_mesh(cfg.mesh, events)
    raw = raw_batch(workload.name, cfg, events, elements)
    channels = len(cfg.data.names) if workload.name == "tagger" else 0
    spec = Spec((), (("coarsenings", (1,) * channels),))
    abstract = jax.eval_shape(lambda: init_state(workload, cfg))
    shardings = state_shardings(cfg.mesh, mesh, abstract)
    with jax.set_mesh(mesh):
        yield "init", jax.jit(lambda: init_state(workload, cfg), out_shardings=shardings).lower
        update = compiled_step(workload, cfg, spec, 10, shardings, mesh)
        yield "update", lambda: update.lower(abstract, raw, None)
        judged = raw | {"mask": jax.ShapeDtypeStruct((events,), "float32")}
        index = jax.ShapeDtypeStruct((), "int32")
        step = jax.jit(validation_step(workload, cfg, spec))
        yield "validation", lambda: step.lower(abstract.model, judged, index)


def measured(name: str, events: int, elements: int, quick: bool) -> Iterator[str]:
    """A line of the table for each program; ``quick``: the initial state as a CPU compiles it."""
    for label, lower in programs(name, events, elements):
        began = time.process_time()
        lowered = lower()
        traced = time.process_time()
        lower_level = quick and label == "init" and jax.default_backend() == "cpu"
        compiled = lowered.compile(compiler_options=begin.QUICK if lower_level else None)
        ended = time.process_time()
        counts = [text.count(" = ") for text in (lowered.as_text(), compiled.as_text())]
        yield (
            f"{name:18} {label:11} {counts[0]:9,} {counts[1]:9,} "
            f"{traced - began:8.1f} {ended - traced:9.1f}"
        )


def products(text: str) -> Counter[str]:
    """Matrix products and convolutions of a StableHLO text, by operands, axes and result."""
    found: Counter[str] = Counter()
    for line in text.splitlines():
        if (one := PRODUCT.search(line)) is not None:
            found[re.sub(r"%\w+(#\d+)?,? ?", "", one[0])] += 1
    return found


def print_products(name: str, events: int, elements: int) -> None:
    """How many products the update of a configuration has; the most frequent ones."""
    for label, lower in programs(name, events, elements):
        if label != "update":
            continue
        found = products(lower().as_text())
        print(f"{name}: {found.total()} products and convolutions, {len(found)} distinct")
        for what, count in found.most_common(SHOWN):
            print(f"{count:5} {what}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--config", help="packaged name; default: some of each workload")
    parser.add_argument("--batch", type=int, help="events of an update")
    parser.add_argument("--elements", type=int, default=1280, help="of an MLPF event")
    parser.add_argument(
        "--default-level", action="store_true", help="compile the initial state as the rest"
    )
    parser.add_argument(
        "--products", action="store_true", help="count what a compiler for GPUs has to tune"
    )
    args = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)
    chosen = CONFIGS if args.config is None else {args.config: CONFIGS.get(args.config, 16)}
    if args.products:
        for name, events in chosen.items():
            print_products(name, args.batch or events, args.elements)
        return
    print(f"{'configuration':18} {'program':11} StableHLO       HLO  trace s compile s")
    for name, events in chosen.items():
        settings.find_config(name)
        for line in measured(name, args.batch or events, args.elements, not args.default_level):
            print(line, flush=True)


if __name__ == "__main__":
    main()
