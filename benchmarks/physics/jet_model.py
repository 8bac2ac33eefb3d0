"""Compare simulated jets with those of Pythia and Delphes themselves, in the same images.

    hepjax simulate jets --task top --events 10000 --out SETS/top
    hepjax simulate jets --task quark-gluon --events 10000 --out SETS/quark-gluon
    HEPJAX_REFERENCE_DATA=... python -m benchmarks.physics.jet_model SETS [--out DIR]

Nothing is tuned on them. Prints, for each task, means of each class and the area under the ROC
curve of the jet mass and of the number of track pixels, of Delphes, of these sets and of as many
jets of the toy; writes jet_model.json.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import rankdata

from benchmarks import setting
from hepjax.formats.images import SparseImages
from hepjax.formats.packed.reader import open_packed
from hepjax.simulate.jets.images import jet_grid
from hepjax.simulate.jets.jets import TASKS
from hepjax.simulate.jets.toy import simulate_toy_jets

FILES = {"top": "jets_top_qcd_sparse.parquet", "quark-gluon": "jets_gluon_quark_sparse.parquet"}
GRID = jet_grid(1)
PIXELS = 125 * 125
AT_A_TIME = 1000
ROWS = (
    "pt", "mass", "pT pixels", "ECAL pixels", "HCAL pixels", "BPIX1 pixels",
    "pT sum", "|d0| sum", "|dz| sum", "ECAL sum", "HCAL sum", "BPIX1 sum",
)  # fmt: skip
AREAS = ("mass", "pT pixels")

Quantities = dict[str, np.ndarray]


def of_reference(path: Path) -> Quantities:
    """Of each jet of a file with (idx, val) pairs: pt, mass, and pixels and sums by channel."""
    table = pq.read_table(path).combine_chunks()
    cells = table["idx"].combine_chunks()
    first = cells.offsets.to_numpy()
    channel = cells.flatten().to_numpy() // PIXELS
    value = table["val"].combine_chunks().flatten().to_numpy()
    jet = np.repeat(np.arange(len(table)), np.diff(first))
    columns = {"label": "label", "pt": "pt", "mass": "m"}
    found = {name: table[column].to_numpy() for name, column in columns.items()}
    return found | _by_channel(len(table), jet, channel, np.ones(len(jet)), value)


def of_packed(folder: Path) -> Iterator[tuple[SparseImages, Quantities]]:
    """The images of a packed set and their columns, some at a time."""
    source = open_packed([folder])
    for start in range(0, len(source), AT_A_TIME):
        batch = source[np.arange(start, min(start + AT_A_TIME, len(source)))]
        kept = batch["cell"] < source.grid.size
        first = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
        yield SparseImages(first, batch["cell"][kept], batch["value"][kept]), batch


def of_simulated(batches: Iterable[tuple[SparseImages, Quantities]]) -> Quantities:
    """The same of simulated jets."""
    parts = []
    pixels = np.array([channel.coarsening**2 for channel in GRID.channels])
    for images, columns in batches:
        channel = np.searchsorted(GRID.starts, images.cell, side="right") - 1
        jet = np.repeat(np.arange(len(images)), np.diff(images.first))
        fills = pixels[channel]
        of_channel = _by_channel(len(images), jet, channel, fills, images.value * fills)
        parts.append({name: columns[name] for name in ("label", "pt", "mass")} | of_channel)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _by_channel(
    jets: int, jet: np.ndarray, channel: np.ndarray, pixels: np.ndarray, value: np.ndarray
) -> Quantities:
    found = {}
    for k, name in enumerate(GRID.names):
        rows = channel == k
        signed = name in ("d0", "dz")
        summed = np.abs(value[rows]) if signed else value[rows]
        found[f"{name} pixels"] = np.bincount(jet[rows], pixels[rows], minlength=jets)
        title = f"|{name}| sum" if signed else f"{name} sum"
        found[title] = np.bincount(jet[rows], summed, minlength=jets)
    return found


def area(values: np.ndarray, one: np.ndarray) -> float:
    """Area under the ROC curve of jets with label 1 against those with 0."""
    rank = rankdata(values)
    n1, n0 = one.sum(), (~one).sum()
    return float((rank[one].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def summary(jets: Quantities) -> dict[str, dict[str, float]]:
    """Means of each class with their errors, medians of pt and mass, and areas."""
    one = jets["label"] == 1
    result: dict[str, dict[str, float]] = {}
    for label, rows in ((0, ~one), (1, one)):
        for name in ROWS:
            values = jets[name][rows]
            result[f"{label} {name}"] = {
                "mean": float(values.mean()),
                "error": float(values.std() / np.sqrt(len(values))),
            }
        for name in ("pt", "mass"):
            result[f"{label} median {name}"] = {"mean": float(np.median(jets[name][rows]))}
    for name in AREAS:
        result[f"AUC {name}"] = {"mean": area(jets[name], one)}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", type=Path, help="folder with the packed sets top and quark-gluon")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    data = setting.reference_data()
    results = {}
    for task, file in FILES.items():
        ours = of_simulated(of_packed(args.sets / task))
        found = {
            "Delphes": summary(of_reference(data / file)),
            "hepjax": summary(ours),
            "toy": summary(of_simulated(simulate_toy_jets(task, len(ours["pt"]), 0))),
        }
        results[task] = found
        print_table(TASKS[task].labels, found)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "jet_model.json").write_text(json.dumps(results, indent=1) + "\n")


def print_table(labels: dict[int, str], found: dict[str, dict[str, dict[str, float]]]) -> None:
    """One line for each quantity, one column for each class and maker."""
    columns = [(label, who) for label in labels for who in found]
    print("| mean of | " + " | ".join(f"{labels[k]}, {who}" for k, who in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name in (*ROWS, "median pt", "median mass"):
        cells = []
        for label, who in columns:
            entry = found[who][f"{label} {name}"]
            error = f" ± {entry['error']:.2g}" if "error" in entry else ""
            cells.append(f"{entry['mean']:.4g}{error}")
        print(f"| {name} | " + " | ".join(cells) + " |")
    for name in AREAS:
        areas = ", ".join(f"{who} {found[who][f'AUC {name}']['mean']:.3f}" for who in found)
        print(f"AUC of {name}: {areas}")
    print()


if __name__ == "__main__":
    main()
