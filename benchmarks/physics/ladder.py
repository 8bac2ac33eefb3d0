"""The ladder of shower generators: how well they pass for the simulation, against time a shower.

    python -m benchmarks.physics.ladder measure RUN --data FOLDER --out ladder.json
        [--name NAME] [--step N] [--events 20000] [--seeds 2] [--times 1,100,10000]
    python -m benchmarks.physics.ladder gate RUN --data FOLDER [--step N] [--events 20000]
        [--seeds 2]
    python -m benchmarks.physics.ladder times RUN [--cores 2] [--times 1,100,10000]
    python -m benchmarks.physics.ladder show ladder.json [--plot ladder.png]

``measure`` takes a run that makes showers (calo, gan3d). It generates at the conditions of files
that the run was not trained on, and adds a row to the JSON: classifiers on cells (low), on cells
normalised by layer, on high-level features (a network and boosted trees), FPD, KPD, recall, each
beside the same number between two halves of the reference, and the processor time of a shower by
the size of the batch on one core.
``gate`` judges stage 1 alone: the classifiers see hits, energies and moments of the layers.
``times`` prints wall-clock times of a shower on several cores, which have to be free.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = ("low", "low_normalised", "high", "high_boosted", "fpd", "kpd", "recall")
BATCH = 256


def main() -> None:
    """One row measured, or the table of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    measure = verbs.add_parser("measure")
    measure.add_argument("run")
    measure.add_argument("--data", type=Path, nargs="+", required=True)
    measure.add_argument("--out", type=Path, required=True)
    measure.add_argument("--name")
    measure.add_argument("--step", type=int, help="checkpoint; default: the best epoch")
    measure.add_argument("--events", type=int, default=20_000)
    measure.add_argument("--seeds", type=int, default=2)
    measure.add_argument("--times", default="1,100,10000", help="batches that are timed; '' none")
    gate = verbs.add_parser("gate")
    gate.add_argument("run")
    gate.add_argument("--data", type=Path, nargs="+", required=True)
    gate.add_argument("--step", type=int, help="checkpoint; default: the best epoch")
    gate.add_argument("--events", type=int, default=20_000)
    gate.add_argument("--seeds", type=int, default=2)
    times = verbs.add_parser("times")
    times.add_argument("run")
    times.add_argument("--cores", type=int, default=2)
    times.add_argument("--times", default="1,100,10000", help="batches that are timed")
    show = verbs.add_parser("show")
    show.add_argument("file", type=Path)
    show.add_argument("--plot", type=Path)
    args = parser.parse_args()
    if args.verb == "show":
        rows = json.loads(args.file.read_text())
        print(table(rows))
        if args.plot:
            from benchmarks.physics.ladder_plot import plot

            plot(rows, args.plot)
        return
    # Before jax counts the cores.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: getattr(args, "cores", 1)])
    if args.verb == "gate":
        print(json.dumps(judged(args), indent=1))
        return
    import hepjax

    batches = [int(batch) for batch in args.times.split(",") if batch]
    if args.verb == "times":
        run = hepjax.load(args.run)
        print(json.dumps({b: timed(run, b, clock=time.perf_counter) for b in batches}))
        return
    rows = json.loads(args.out.read_text()) if args.out.exists() else []
    run = hepjax.load(args.run, args.step)
    row = measured(run, args.data, args.events, args.seeds, batches, args.name)
    rows = [other for other in rows if other["name"] != row["name"]] + [row]
    args.out.write_text(json.dumps(rows, indent=1))
    print(table(rows))


def measured(
    run: Any, paths: list[Path], events: int, seeds: int, times: Sequence[int] = (), name: str = ""
) -> dict[str, Any]:
    """The row of a run of any workload that makes showers.

    Args:
      paths: showers that it was not trained on; the first ``events`` are the reference.
      seeds: of the classifiers.
      times: sizes of the batches that are timed.
    """
    from hepjax.formats.atomic import plain
    from hepjax.physics.calorimeter import features, field

    known = run.cfg.calorimeter
    source = run.workload.open(run.cfg, paths)
    total = min(events, len(source))
    reference, asked = read(source, total, run)
    energy = asked["energy"]

    def sample(cells: np.ndarray) -> field.Sample:
        parts = [
            features.high_level(
                cells[k : k + 1000].reshape(-1, *known.shape), energy[k : k + 1000], known
            )
            for k in range(0, total, 1000)
        ]
        return field.Sample(np.concatenate([np.asarray(p) for p in parts]), cells, energy)

    settings = field.Settings(seeds=seeds, events=total, name="small")
    made = sample(generated(run, asked, known.voxels))
    found = field.scores(sample(reference), made, known, settings)
    return {
        "name": name or str(run.directory), "calorimeter": known.name, "showers": total,
        "energy": [float(energy.min()), float(energy.max())],
        "parameters": parameters(run),
        "ms": {str(b): timed(run, b) for b in times},
        **{name: plain(value) for name, value in found.items()},
    }  # fmt: skip


def judged(args: argparse.Namespace) -> dict[str, Any]:
    """AUC of classifiers that tell the layers of stage 1 from those of the reference."""
    import hepjax
    from hepjax.physics.calorimeter import classifier

    run = hepjax.load(args.run, args.step)
    source = run.workload.open(run.cfg, args.data)
    cells, asked = read(source, min(args.events, len(source)), run)
    energy = asked["energy"]
    reference, made = (own_variables(run, energy, c) for c in (cells, None))

    def auc(one: np.ndarray, other: np.ndarray) -> dict[str, list[float]]:
        small = partial(classifier.network, settings=classifier.SMALL)
        tests: dict[str, classifier.Classify] = {"network": small, "trees": classifier.boosted}
        return {
            name: [round(v, 4) for v in classifier.over_seeds(test, one, other, args.seeds)[:2]]
            for name, test in tests.items()
        }

    return {
        "showers": len(energy), "components": reference.shape[1] - 1,
        "auc": auc(reference, made), "halves": auc(reference[::2], reference[1::2]),
    }  # fmt: skip


def own_variables(run: Any, energy: np.ndarray, cells: np.ndarray | None) -> np.ndarray:
    """Log of the incident energy and the vector of stage 1, absent components 0: of showers with
    these cells (n, voxels), or of generated ones."""
    import jax
    import jax.numpy as jnp

    from hepjax.workloads.calo import layers
    from hepjax.workloads.calo.generator import layers_of
    from hepjax.workloads.calo.geometry import to_layers
    from hepjax.workloads.calo.model import layer_flow
    from hepjax.workloads.calo.objective import trained

    cfg, params, stats = run.cfg, trained(run.cfg, run.state), run.state.stats
    known, groups = cfg.calorimeter, cfg.model.layers.moments

    @jax.jit
    def found(incident: jax.Array, cells: jax.Array | None, key: jax.Array) -> jax.Array:
        k_noise, k_hits = jax.random.split(key)
        if cells is None:
            noise = jax.random.normal(k_noise, (len(incident), layer_flow(cfg).size))
            of = layers_of(cfg, params, stats, incident, noise)[1]
        else:
            there = to_layers(known, cells.reshape(-1, *known.shape))
            of = layers.measured(known, there, groups)
        vector = layers.to_vector(known, cfg.threshold, of, incident, k_hits)
        return jnp.concatenate([jnp.log(incident)[:, None], vector], axis=1)

    rows, side = [], int(cells is None)
    for start in range(0, len(energy), BATCH):
        part = slice(start, start + BATCH)
        key = jax.random.fold_in(jax.random.key(side), start)
        rows.append(found(energy[part], None if cells is None else cells[part], key))
    return np.concatenate([np.asarray(row) for row in rows])


def read(source: Any, total: int, run: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Cells (n, voxels) GeV above the threshold, and what the run asks for showers like these:
    incident energies (n,) GeV, and polar angles (n,) rad where it has them."""
    from hepjax.formats.showers.reader import with_cells

    cells = np.empty((total, run.cfg.calorimeter.voxels), np.float32)
    names = run.workload.inputs(run.cfg).names
    asked = {name: np.empty(total, np.float32) for name in names}
    for start in range(0, total, BATCH):
        rows = np.arange(start, min(start + BATCH, total))
        batch = with_cells(source[rows], run.cfg.calorimeter.shape)
        flat = batch["ecal"].reshape(len(rows), -1)
        cells[rows] = np.where(flat < run.cfg.threshold, 0, flat)
        for name, values in asked.items():
            values[rows] = batch[name]
    return cells, asked


def generated(run: Any, asked: dict[str, np.ndarray], voxels: int) -> np.ndarray:
    """Showers under these conditions, cells below the threshold 0."""
    made, done = np.empty((len(asked["energy"]), voxels), np.float32), 0
    for cells in run.generated_batches(asked, 1, BATCH):
        flat = cells.reshape(len(cells), -1)
        made[done : done + len(cells)] = np.where(flat < run.cfg.threshold, 0, flat)
        done += len(cells)
    return made


def timed(
    run: Any, batch: int, seconds: float = 4.0, clock: Callable[[], float] = time.process_time
) -> float:
    """Milliseconds of a shower in batches of this size, compilation left out."""
    random = np.random.default_rng(0)
    asked = {
        name: random.uniform(low, high, batch).astype(np.float32)
        for name, (low, high, _) in run.workload.ranges(run.cfg).items()
    }
    run.generate(batch_size=batch, **asked)
    began, count = clock(), 0
    while count == 0 or clock() - began < seconds:
        run.generate(batch_size=batch, seed=count + 1, **asked)
        count += 1
    return 1e3 * (clock() - began) / (count * batch)


def parameters(run: Any) -> int:
    """Of the generator."""
    import jax

    state = run.state
    own = state.params if hasattr(state, "params") else state.generator.params
    return int(sum(np.size(p) for p in jax.tree.leaves(own)))


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: each metric and, in brackets, the same between halves of the reference."""
    batches = sorted({b for row in rows for b in row["ms"]}, key=int)
    head = ["generator", "cells of", "parameters", "AUC low", "normalised", "high", "trees"]
    head += ["FPD x 1000", "KPD x 1000", "recall", *(f"ms at {b}" for b in batches)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [row["name"], row["calorimeter"], f"{row['parameters']:,}"]
        for name in COLUMNS:
            scale = 1e3 if name in ("fpd", "kpd") else 1.0
            value, floor = (scale * v for v in (row[name]["value"], row[name]["halves"]["value"]))
            cells.append(f"{value:.3g} ({floor:.3g})")
        cells += [f"{row['ms'][b]:.3g}" if b in row["ms"] else "-" for b in batches]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
