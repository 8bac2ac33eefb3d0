"""Large batches at a fixed number of epochs: the visible energy of low- and high-energy showers.

    python -m benchmarks.physics.large_batch --runs runs/large --figure large_batch.png

Trains ``gan3d/demo`` on simulated showers with one recipe after another, each in a run directory;
what is there is not made again, so a call that was stopped goes on. Batches above ``PART`` events
are cut into parts of ``PART``: all but the smallest have batch statistics of as many events, like
the local batch norm of a data-parallel run, and differ in the number of updates and the rate alone.
"""

import argparse
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.speed import timing
from hepjax import TrainingError
from hepjax.engine import rundir
from hepjax.engine.settings import find_config, read_settings, to_settings
from hepjax.engine.train import train
from hepjax.physics.calorimeter import metrics, observables
from hepjax.run import load
from hepjax.workloads import table

PART = 32
REFERENCE = 16
"""Events an update at which the rate of the preset, 1e-3, holds."""
VALIDATION = 256
BANDS = {"10 to 50 GeV": (10.0, 50.0), "200 to 500 GeV": (200.0, 500.0)}
BINS_OF_A_BAND = 4


@dataclass(frozen=True)
class Recipe:
    """An effective batch and what is done about it."""

    batch: int
    name: str
    settings: tuple[str, ...] = ()


def plain(batch: int) -> Recipe:
    """The rate of the preset whatever the batch."""
    return Recipe(batch, "plain", (f"optimizer.reference_batch={batch}",))


def scaled(batch: int) -> Recipe:
    """Linear scaling, reached over the first half epoch (Goyal et al., 2017)."""
    return Recipe(batch, "linear", (f"optimizer.reference_batch={REFERENCE}",))


def lamb(batch: int) -> Recipe:
    """LAMB with a rate that grows with the root of the batch (You et al., 2020)."""
    rate = 0.01 * (batch / 128) ** 0.5
    return Recipe(
        batch, "lamb",
        ("optimizer.name=lamb", f"optimizer.learning_rate={rate:g}",
         f"optimizer.reference_batch={batch}"),
    )  # fmt: skip


RECIPES = (
    *(plain(batch) for batch in (8, 32, 128, 512, 2048)),
    *(scaled(batch) for batch in (128, 512, 2048)),
    *(lamb(batch) for batch in (512, 2048)),
)
LABELS = {
    "plain": "RMSprop, rate 0.001",
    "linear": "RMSprop, linear scaling, warm-up",
    "lamb": "LAMB, rate $\\propto\\sqrt{\\mathrm{batch}}$",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/large_batch"), metavar="DIR")
    parser.add_argument("--events", type=int, default=2048, help="training showers")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--judged", type=int, default=400, help="test showers of a band of energy")
    parser.add_argument("--figure", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers")
    args = parser.parse_args()

    # Recipes share programs: what one has compiled the next one reads, also after a stop.
    jax.config.update("jax_compilation_cache_dir", str(args.runs / "programs"))
    data = showers(args.runs / "data", args.events, args.judged)
    rows = []
    for recipe in RECIPES:
        rows.append(row := result(args.runs, recipe, data, args.epochs))
        print(one_line(row), flush=True)
    print_table(rows)
    if args.json:
        timing.write_json(args.json, {"rows": rows, "machine": timing.machine()})
    if args.figure:
        draw(rows, args.figure)


def showers(folder: Path, events: int, judged: int) -> dict[str, Path]:
    """Simulated showers for training and validation, and those of each band to judge by."""
    from hepjax.cli import main as hepjax

    wanted = {
        f"train-{events}": (events, "10:500"), "validation": (VALIDATION, "10:500"),
        **{f"test-{low:g}-{judged}": (judged, f"{low:g}:{high:g}") for low, high in BANDS.values()},
    }  # fmt: skip
    for seed, (name, (count, energy)) in enumerate(wanted.items(), 1):
        if not (folder / name).exists():
            hepjax(["simulate", "showers", "--events", str(count), "--energy", energy,
                    "--out", str(folder / name), "--seed", str(seed), "--quiet"])  # fmt: skip
    keys = ("train", "validation", *BANDS)
    return dict(zip(keys, (folder / name for name in wanted), strict=True))


def result(runs: Path, recipe: Recipe, data: dict[str, Path], epochs: int) -> dict[str, Any]:
    """What came of a recipe: from its folder if it is there, else trained and judged now."""
    run = runs / f"{recipe.name}-{recipe.batch}"
    finished = run / "result.json"
    if finished.exists():
        return json.loads(finished.read_text())
    overrides = [
        f"data.files=[{data['train']}]", f"data.validation_files=[{data['validation']}]",
        f"train.batch_size={recipe.batch}", f"train.accumulate={max(1, recipe.batch // PART)}",
        f"train.epochs={epochs}", "mesh.devices=1", "optimizer.warmup_epochs=0.5",
        f"optimizer.drops=[[{0.8 * epochs:g},0.1]]", *recipe.settings,
    ]  # fmt: skip
    workload, cfg = table.configure(read_settings(find_config("gan3d/demo"), overrides))
    row: dict[str, Any] = {
        "recipe": recipe.name, "batch": recipe.batch, "parts": cfg.train.accumulate,
        "epochs": epochs, "failure": None,
    }  # fmt: skip
    try:
        with rundir.locked(run):
            rundir.open_for_training(run, {"workload": workload.name} | to_settings(cfg))
            row["updates"] = train(workload, cfg, run, quiet=True).step
        row |= judge(run, row["updates"], data)
    except TrainingError as error:
        row["failure"] = str(error)
    timing.write_json(finished, row)
    return row


def judge(run: Path, step: int, data: dict[str, Path]) -> dict[str, Any]:
    """Sampling fraction of generated over simulated showers, by band, after the last update."""
    opened, found = load(run, step), {}
    for band, limits in BANDS.items():
        source = opened.workload.open(opened.cfg, [data[band]])
        events = source[np.arange(len(source))]
        energy = events["energy"]
        generated = opened.generate(energy=energy, seed=5, batch_size=100)
        edges = np.linspace(*limits, BINS_OF_A_BAND + 1)
        bins = (limits, *itertools.pairwise(edges))
        sums = {
            name: np.asarray(
                metrics.binned_sums(observables.sampling_fraction(cells, energy), energy, bins),
                float,
            )
            for name, cells in (("simulated", events["ecal"]), ("generated", generated))
        }
        ratio, error = ratio_of_means(sums["simulated"][0], sums["generated"][0])
        mre, mre_error = metrics.mean_relative_error(*(s[1:] for s in sums.values()))
        found[band] = {"ratio": ratio, "ratio_error": error, "mre": mre, "mre_error": mre_error}
    return {"bands": found}


def ratio_of_means(reference: np.ndarray, generated: np.ndarray) -> tuple[float, float]:
    """Ratio of two means and its statistical error, of (count, sum, sum of squares) each."""
    means = [s[1] / s[0] for s in (reference, generated)]
    errors = [
        (s[2] / s[0] - mean**2) ** 0.5 / s[0] ** 0.5
        for s, mean in zip((reference, generated), means, strict=True)
    ]
    ratio = means[1] / means[0]
    # In absolute terms, so that empty generated showers have a ratio of 0 and an error too.
    error = np.hypot(errors[1] / means[0], ratio * errors[0] / means[0])
    return float(ratio), float(error)


def one_line(row: dict[str, Any]) -> str:
    """A row of the table."""
    head = f"| {row['recipe']} | {row['batch']:,} "
    if row["failure"]:
        return head + f"| failed: {row['failure']} | | | | |"
    numbers = [
        text
        for band in row["bands"].values()
        for text in (
            f"{band['ratio']:.3f} ± {band['ratio_error']:.3f}",
            f"{band['mre']:.3f} ± {band['mre_error']:.3f}",
        )
    ]
    return head + f"| {row['updates']:,} | " + " | ".join(numbers) + " |"


def print_table(rows: list[dict[str, Any]]) -> None:
    """All rows under their heads."""
    heads = [f"{what}, {band}" for band in BANDS for what in ("GAN/MC", "MRE")]
    print("\n| recipe | batch | updates | " + " | ".join(heads) + " |\n" + "|---" * 7 + "|")
    for row in rows:
        print(one_line(row))


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Ratio and mean relative error against the batch, low energies left, high ones right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(BANDS), figsize=(10, 7), sharex=True, sharey="row")
    for column, band in enumerate(BANDS):
        for marker, (recipe, label) in zip("osD", LABELS.items(), strict=True):
            shown = [r for r in rows if r["recipe"] == recipe and not r["failure"]]
            for axis, key in zip(axes[:, column], ("ratio", "mre"), strict=True):
                axis.errorbar(
                    [r["batch"] for r in shown], [r["bands"][band][key] for r in shown],
                    [r["bands"][band][f"{key}_error"] for r in shown],
                    marker=marker, capsize=2, label=label,
                )  # fmt: skip
        axes[0, column].set_title(band)
        axes[0, column].axhline(1, color="grey", linewidth=0.8)
        axes[1, column].set_xlabel("effective batch (showers an update)")
        for row in axes[:, column]:
            row.set_yscale("log")
    axes[0, 0].set_ylabel("sampling fraction, 3DGAN / simulation")
    axes[1, 0].set_ylabel("mean relative error of the sampling fraction")
    batches = sorted({r["batch"] for r in rows})
    axes[0, 0].set_xscale("log")
    axes[0, 0].set_xticks(batches, map(str, batches))
    axes[0, 0].minorticks_off()
    axes[0, 0].legend()
    figure.tight_layout()
    part = path.with_name(path.name + ".part")
    figure.savefig(part, format="png", dpi=110)
    part.replace(path)


if __name__ == "__main__":
    main()
