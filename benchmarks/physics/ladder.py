"""The ladder of shower generators: how well they pass for the simulation, against time a shower.

    python -m benchmarks.physics.ladder measure RUN --data FOLDER --out ladder.json
        [--name NAME] [--step N] [--events 20000] [--seeds 2] [--times 1,100,10000]
    python -m benchmarks.physics.ladder gate RUN --data FOLDER [--step N] [--events 20000]
        [--seeds 2]
    python -m benchmarks.physics.ladder show ladder.json [--plot ladder.png]

``measure`` generates showers at the incident energies of files that the run was not trained on,
and adds a row to the JSON: classifiers on cells (low), on cells normalised by layer, on high-level
features (a network and boosted trees), FPD, KPD, recall, each beside the same number between two
halves of the reference, and the processor time of a shower by the size of the batch on one core.
``gate`` judges stage 1 alone: the classifiers see hits, energies and moments of the layers.
"""

import argparse
import json
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

PUBLISHED = {
    "CaloINN": (2.8, 0.626, 0.638),
    "CaloFlow student": (6.1, 0.761, 0.667),
    "CaloVAE+INN": (1.2, 0.889, 0.966),
    "BoloGAN": (0.55, 0.927, 0.966),
    "CaloShower3GAN": (1.2, 0.928, 0.947),
    "CaloDiffusion": (4266.0, 0.635, 0.536),
}
"""CaloChallenge data set 1, photons (arXiv:2410.21611, files of its repository): ms a shower on a
CPU at the best batch, AUC low and high. Another machine, Geant4 of ATLAS, a larger classifier."""
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
    show = verbs.add_parser("show")
    show.add_argument("file", type=Path)
    show.add_argument("--plot", type=Path)
    args = parser.parse_args()
    if args.verb == "show":
        rows = json.loads(args.file.read_text())
        print(table(rows))
        if args.plot:
            plot(rows, args.plot)
        return
    # One core, before jax counts them.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if args.verb == "gate":
        print(json.dumps(judged(args), indent=1))
        return
    rows = json.loads(args.out.read_text()) if args.out.exists() else []
    row = measured(args)
    rows = [other for other in rows if other["name"] != row["name"]] + [row]
    args.out.write_text(json.dumps(rows, indent=1))
    print(table(rows))


def measured(args: argparse.Namespace) -> dict[str, Any]:
    """The row of a run."""
    import hepjax
    from hepjax.formats.atomic import plain
    from hepjax.physics.calorimeter import features, field

    run = hepjax.load(args.run, args.step)
    known = run.cfg.calorimeter
    source = run.workload.open(run.cfg, args.data)
    total = min(args.events, len(source))
    reference, energy = read(source, total, run)
    made = generated(run, energy, known.voxels)

    def sample(cells: np.ndarray) -> field.Sample:
        parts = [
            features.high_level(
                cells[k : k + 1000].reshape(-1, *known.shape), energy[k : k + 1000], known
            )
            for k in range(0, total, 1000)
        ]
        return field.Sample(np.concatenate([np.asarray(p) for p in parts]), cells, energy)

    settings = field.Settings(seeds=args.seeds, events=total, name="small")
    found = field.scores(sample(reference), sample(made), known, settings)
    return {
        "name": args.name or args.run, "calorimeter": known.name, "showers": total,
        "energy": [float(energy.min()), float(energy.max())],
        "parameters": parameters(run),
        "ms": {b: timed(run, int(b)) for b in args.times.split(",") if b},
        **{name: plain(value) for name, value in found.items()},
    }  # fmt: skip


def judged(args: argparse.Namespace) -> dict[str, Any]:
    """AUC of classifiers that tell the layers of stage 1 from those of the reference."""
    import hepjax
    from hepjax.physics.calorimeter import classifier

    run = hepjax.load(args.run, args.step)
    source = run.workload.open(run.cfg, args.data)
    cells, energy = read(source, min(args.events, len(source)), run)
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
    known, moments = cfg.calorimeter, cfg.model.layers.moments

    @jax.jit
    def found(incident: jax.Array, cells: jax.Array | None, key: jax.Array) -> jax.Array:
        k_noise, k_hits = jax.random.split(key)
        if cells is None:
            noise = jax.random.normal(k_noise, (len(incident), layer_flow(cfg).size))
            of = layers_of(cfg, params, stats, incident, noise)[1]
        else:
            of = layers.measured(known, to_layers(known, cells.reshape(-1, *known.shape)))
        vector = layers.to_vector(known, cfg.threshold, of, incident, k_hits, moments=moments)
        return jnp.concatenate([jnp.log(incident)[:, None], vector], axis=1)

    rows, side = [], int(cells is None)
    for start in range(0, len(energy), BATCH):
        part = slice(start, start + BATCH)
        key = jax.random.fold_in(jax.random.key(side), start)
        rows.append(found(energy[part], None if cells is None else cells[part], key))
    return np.concatenate([np.asarray(row) for row in rows])


def read(source: Any, total: int, run: Any) -> tuple[np.ndarray, np.ndarray]:
    """Cells (n, voxels) GeV above the threshold, and incident energies (n,)."""
    from hepjax.formats.showers.reader import with_cells

    cells = np.empty((total, run.cfg.calorimeter.voxels), np.float32)
    energy = np.empty(total, np.float32)
    for start in range(0, total, BATCH):
        rows = np.arange(start, min(start + BATCH, total))
        batch = with_cells(source[rows], run.cfg.calorimeter.shape)
        flat = batch["ecal"].reshape(len(rows), -1)
        cells[rows], energy[rows] = np.where(flat < run.cfg.threshold, 0, flat), batch["energy"]
    return cells, energy


def generated(run: Any, energy: np.ndarray, voxels: int) -> np.ndarray:
    """Showers at these energies, cells below the threshold 0."""
    made, done = np.empty((len(energy), voxels), np.float32), 0
    for cells in run.generated_batches({"energy": energy}, 1, BATCH):
        flat = cells.reshape(len(cells), -1)
        made[done : done + len(cells)] = np.where(flat < run.cfg.threshold, 0, flat)
        done += len(cells)
    return made


def timed(run: Any, batch: int, seconds: float = 4.0) -> float:
    """Milliseconds of processor time of a shower in batches of this size, compilation left out."""
    low, high = run.cfg.energies
    energy = np.random.default_rng(0).uniform(low, high, batch).astype(np.float32)
    run.generate(energy=energy, batch_size=batch)
    began, count = time.process_time(), 0
    while count == 0 or time.process_time() - began < seconds:
        run.generate(energy=energy, batch_size=batch, seed=count + 1)
        count += 1
    return 1e3 * (time.process_time() - began) / (count * batch)


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


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """AUC on high-level features against the time of a shower at the best batch."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for name, (ms, _, high) in PUBLISHED.items():
        axes.plot(ms, high, "x", color="0.5")
        axes.annotate(name, (ms, high), (4, 4), textcoords="offset points", color="0.4", size=8)
    for row in rows:
        if row["ms"]:
            ms = min(row["ms"].values())
            axes.plot(ms, row["high"]["value"], "o")
            axes.annotate(
                f"{row['name']}, {row['calorimeter']}", (ms, row["high"]["value"]), (4, -10),
                textcoords="offset points", size=8,
            )  # fmt: skip
    axes.axhline(0.5, color="k", lw=0.8, ls=":")
    axes.set(
        xscale="log", ylim=(0.48, 1.02), xlabel="ms a shower on a CPU core, best batch",
        ylabel="AUC of a classifier on high-level features",
        title="crosses: published, CaloChallenge photons, another machine",
    )  # fmt: skip
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
