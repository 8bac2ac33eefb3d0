"""Two data-parallel programs side by side: partitioned by the compiler, and written per device.

    hepjax simulate showers --events 768 --out showers
    python -m benchmarks.scaling.data_parallel --data showers --json data_parallel.json

For the 3DGAN on virtual devices of this CPU: collectives and memory of the compiled update,
processor time (rounds in turn), agreement of gradients, and what a short training from the same
state on the same batches comes to. Virtual devices share the cores: times are those of the work,
not of a cluster. The explicit program draws noise device by device, so only what has none agrees.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec as P

EXPLICIT = "mesh.program=explicit"
VARIANTS: dict[str, list[str]] = {
    "partitioned": [],
    "explicit, global batch norm": [EXPLICIT],
    "explicit, local batch norm": [EXPLICIT, "mesh.batch_norm=local"],
    "partitioned, {parts} parts": ["train.accumulate={parts}"],
    "explicit, global batch norm, {parts} parts": [EXPLICIT, "train.accumulate={parts}"],
}
VALIDATION = 256
"""The last showers, which no variant is trained on."""
Raw = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="showers of 25x25x25 cells")
    parser.add_argument("--config", default="gan3d/demo", help="a configuration of gan3d")
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--batch", type=int, default=16, help="showers an update")
    parser.add_argument("--parts", type=int, default=2, help="of the variants that accumulate")
    parser.add_argument("--rounds", type=int, default=7, help="samples of the processor time")
    parser.add_argument("--epochs", type=int, default=2, help="of the training")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers")
    args = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", args.devices)

    from benchmarks.speed import timing

    programs = {}
    for name, given in VARIANTS.items():
        settings = [f"mesh.devices={args.devices}", f"train.batch_size={args.batch}", *given]
        programs[name.format(parts=args.parts)] = Program(
            args.config, [s.format(parts=args.parts) for s in settings]
        )
        print(f"{name.format(parts=args.parts)}: compiled", flush=True)
    first = programs["partitioned"]
    batches, judged = read_showers(first, args.data, args.batch)
    state, judge = beginning(first), judge_of(first, judged)
    wanted = first.gradient(batches[0])
    rows: dict[str, dict[str, Any]] = {}
    for name, program in programs.items():
        difference = relative(program.gradient(batches[0]), wanted)
        program.begin(state)
        for index in order(len(batches), args.epochs):
            program.update(batches[index])
        scores = judge(jax.device_get(program.state.model))
        rows[name] = program.numbers | {"gradient_differs_by": difference, "scores": scores}
        print(f"{name}: trained", flush=True)
    runs = {name: partial(p.update, batches[0]) for name, p in programs.items()}
    times = timing.paired(runs, args.rounds, "cpu")
    for name, row in rows.items():
        row["cpu_s"] = timing.summary(times[name])
        row["cpu_over_partitioned"] = timing.speed(times, "partitioned", name)
    print_table(rows)
    if args.json:
        about = {k: str(v) for k, v in vars(args).items() if k != "json"}
        timing.write_json(args.json, about | {"machine": timing.machine(), "rows": rows})


class Program:
    """The compiled update of one variant, and the state it trains."""

    def __init__(self, config: str, settings: list[str]) -> None:
        from benchmarks.scaling import ahead
        from hepjax.engine.mesh import make_mesh
        from hepjax.engine.settings import find_config, read_settings
        from hepjax.workloads.table import configure

        self.workload, self.cfg = configure(read_settings(find_config(config), settings))
        train = self.cfg.train
        self.mesh = make_mesh(self.cfg.mesh, train.batch_size, train.accumulate)
        devices, raw = jax.devices(), ahead.raw_batch("gan3d", self.cfg)
        self.compiled = ahead.compile_step(self.workload, self.cfg, devices, raw)
        self.numbers = ahead.numbers(self.compiled, self.compiled.as_text(), len(devices))
        self.state: Any = None

    def begin(self, state: Any) -> None:
        """Set the state, a tree of arrays of the host."""
        from hepjax.engine.mesh import replicated

        self.state = jax.device_put(state, replicated(self.mesh))

    def update(self, raw: Raw) -> None:
        """One update on the showers of ``raw``."""
        from hepjax.engine.mesh import over_data

        with jax.set_mesh(self.mesh):
            spread = jax.device_put(raw, over_data(self.mesh))
            self.state, metrics = self.compiled(self.state, spread, None)
        jax.block_until_ready(metrics)

    def gradient(self, raw: Raw) -> np.ndarray:
        """Size of the gradient of each parameter of the untrained discriminator on real showers.

        Without dropout and wrong labels; from the squares that RMSprop averages.
        """
        from hepjax.engine.mesh import DATA, over_data
        from hepjax.engine.workload import Spec
        from hepjax.workloads.gan3d import objective

        cfg = replace(
            self.cfg, model=replace(self.cfg.model, dropout=0.0),
            objective=replace(self.cfg.objective, label_flip=0.0),
        )  # fmt: skip

        def squares(raw: Any) -> Any:
            key, batch = jax.random.key(0), objective.prepare(cfg, Spec(), raw)
            network = objective.init(cfg, key).discriminator
            truth, still = objective.truth_of(batch), jax.numpy.float32(0)
            return objective.train_discriminator(
                cfg, network, batch["shower"], objective.REAL, truth, still, key
            )[0].optimizer.nu

        if cfg.mesh.program == "explicit":
            squares = jax.shard_map(squares, in_specs=P(DATA), out_specs=P(), check_vma=False)
        with jax.set_mesh(self.mesh):
            found = jax.jit(squares)(jax.device_put(raw, over_data(self.mesh)))
        leaves = [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(jax.device_get(found))]
        return np.sqrt(np.concatenate(leaves) / (1 - cfg.optimizer.beta2))


def read_showers(program: Program, folder: Path, batch: int) -> tuple[list[Raw], Raw]:
    """Batches to train on, and the showers to judge by."""
    source = program.workload.open(program.cfg, [folder])
    trained = (len(source) - VALIDATION) // batch
    if trained < 1:
        raise SystemExit(f"{folder}: expected {VALIDATION + batch} showers, found {len(source)}")
    batches = [source[np.arange(i * batch, (i + 1) * batch)] for i in range(trained)]
    return batches, source[np.arange(len(source) - VALIDATION, len(source))]


def order(batches: int, epochs: int) -> list[int]:
    """The batches of all epochs, shuffled in each: the same for every variant."""
    rng = np.random.default_rng(0)
    return [int(i) for _ in range(epochs) for i in rng.permutation(batches)]


def beginning(program: Program) -> Any:
    """The state of a new run."""
    from hepjax.engine.step import init_state

    return jax.device_get(jax.jit(partial(init_state, program.workload, program.cfg))())


def judge_of(program: Program, showers: Raw) -> Callable[[Any], dict[str, float]]:
    """From a model state to the validation metrics on ``showers``, on one device."""
    from hepjax.engine.config import MeshConfig
    from hepjax.engine.workload import Spec

    workload, cfg = program.workload, replace(program.cfg, mesh=MeshConfig(devices=1))
    raw = showers | {"mask": np.ones(len(showers["energy"]), np.float32)}

    @jax.jit
    def sums(model: Any, raw: Any) -> Any:
        batch = workload.prepare(cfg, Spec(), raw)
        return workload.eval_step(cfg, model, batch, jax.random.key(1))

    return lambda model: workload.summarise(cfg, jax.device_get(sums(model, raw)))


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    """Norm of the difference over the norm of what is wanted."""
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def print_table(rows: dict[str, dict[str, Any]]) -> None:
    """One line a variant."""
    heads = ["program", "collectives", "sent by a device MB", "memory of a device MiB",
             "CPU s/update", "over the first", "gradient differs by",
             "sampling fraction MRE", "shapes"]  # fmt: skip
    print("\n| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for name, row in rows.items():
        kinds, scores = row["collectives"], row["scores"]
        cells = [
            name,
            " + ".join(f"{entry['count']} {kind}" for kind, entry in kinds.items()),
            f"{sum(entry['sent_bytes'] for entry in kinds.values()) / 1e6:.3f}",
            f"{sum(row['memory_bytes'].values()) / 2**20:.1f}",
            f"{row['cpu_s']['median_s']:.3f}",
            f"{row['cpu_over_partitioned']:.2f}",
            f"{row['gradient_differs_by']:.1e}",
            f"{scores['sampling_fraction_mre']:.3f}",
            f"{scores['shapes']:.3f}",
        ]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
