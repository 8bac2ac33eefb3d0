"""Compare simulated particle-flow events with Pythia + Delphes (C++) events of the same processes.

    HEPJAX_REFERENCE_DATA=... python -m benchmarks.physics.event_model [--out DIR] [--figures DIR]

As many events as the reference has, from Pythia through our detector response, and from the toy.
Prints one table per process and pile-up, writes them as event_model.json, and draws the figure of
docs/studies/collisions.md.
"""

import argparse
import json
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from benchmarks import setting
from hepjax.simulate.collisions.events import simulate_events

SAMPLES = (("ttbar", 0), ("ttbar", 50), ("ttbar", 200), ("qcd", 0))
GROUPS = 10
"""Events are split in so many groups for the statistical errors."""
NAMES = {
    "tracks": ("tracks per event", 1),
    "towers": ("towers per event", 1),
    "unassociated": ("unassociated true particles", 0),
    "track_pt": ("median track pT (GeV)", 3),
    "tower_et": ("median tower ET (GeV)", 3),
    "tower_energy": ("sum of tower E (GeV)", 0),
    "ecal_share": ("ECAL share of it", 3),
    "charged": ("true E: charged", 3),
    "photon": ("true E: photons", 3),
    "neutral": ("true E: neutral hadrons", 3),
    "electrons": ("tracks: electrons", 4),
    "muons": ("tracks: muons", 4),
    "tower_none": ("towers: none", 3),
    "tower_charged": ("towers: charged hadron", 3),
    "tower_neutral": ("towers: neutral hadron", 3),
    "efficiency": ("neutral-hadron efficiency", 3),
    "fake": ("neutral-hadron fake rate", 3),
    "resolution": ("neutral-hadron E resolution", 3),
    "charged_resolution": ("charged pT resolution", 3),
}
COLOURS = {"Delphes": "black", "Pythia": "#c8452e", "toy": "#7a9ccc"}


@dataclass(frozen=True)
class Sample:
    """Elements of several events, one after the other: event i is ``first[i]:first[i + 1]``."""

    X: np.ndarray
    ygen: np.ndarray
    ycand: np.ndarray
    unassociated: np.ndarray  # (events,)
    first: np.ndarray

    def part(self, start: int, stop: int) -> "Sample":
        """The events from one number up to another."""
        rows = slice(self.first[start], self.first[stop])
        return Sample(
            self.X[rows], self.ygen[rows], self.ycand[rows],
            self.unassociated[start:stop], self.first[start : stop + 1] - self.first[start],
        )  # fmt: skip


def read_reference(path: Path) -> Sample:
    """Events of one file of the reference data."""
    with h5py.File(path) as file:
        arrays = (file[key][:].astype(np.float64) for key in ("X", "ygen", "ycand"))
        return Sample(*arrays, file["n_unassociated_gen"][:], file["offsets"][:])


def simulate(process: str, pileup: float, events: int, *, toy: bool) -> Sample:
    """Events of ours, and their rate on standard output."""
    began = time.monotonic()
    made = list(simulate_events(process, events, pileup, seed=1, toy=toy))
    rate = events / (time.monotonic() - began)
    print(f"{process}, pile-up {pileup:g}, {'toy' if toy else 'Pythia'}: {rate:.1f} events/s")
    return Sample(
        *(np.concatenate([getattr(e, key) for e in made]) for key in ("X", "ygen", "ycand")),
        np.array([e.unassociated for e in made]),
        np.cumsum([0, *(len(e.X) for e in made)]),
    )


def quantities(sample: Sample) -> dict[str, float]:
    """What is compared; classes: 1 charged hadron, 2 neutral hadron, 3 photon, 4 e, 5 mu."""
    X, true, found = sample.X, sample.ygen, sample.ycand
    events = len(sample.unassociated)
    track, tower = X[:, 0] == 2, X[:, 0] == 1
    energy = {k: true[true[:, 0] == k, 6].sum() for k in range(1, 6)}
    neutral, candidate = true[:, 0] == 2, found[:, 0] == 2
    both = neutral & candidate
    charged = track & (true[:, 0] == 1)
    return {
        "tracks": track.sum() / events,
        "towers": tower.sum() / events,
        "unassociated": sample.unassociated.mean(),
        "track_pt": np.median(X[track, 1]),
        "tower_et": np.median(X[tower, 1]),
        "tower_energy": X[tower, 5].sum() / events,
        "ecal_share": X[tower, 6].sum() / X[tower, 5].sum(),
        "charged": (energy[1] + energy[4] + energy[5]) / sum(energy.values()),
        "photon": energy[3] / sum(energy.values()),
        "neutral": energy[2] / sum(energy.values()),
        "electrons": (true[track, 0] == 4).mean(),
        "muons": (true[track, 0] == 5).mean(),
        "tower_none": (true[tower, 0] == 0).mean(),
        "tower_charged": (true[tower, 0] == 1).mean(),
        "tower_neutral": (true[tower, 0] == 2).mean(),
        "efficiency": both.sum() / neutral.sum(),
        "fake": 1.0 - both.sum() / candidate.sum(),
        "resolution": spread(found[both, 6] / true[both, 6]),
        "charged_resolution": spread(found[charged, 2] / true[charged, 2]),
    }


def spread(ratio: np.ndarray) -> float:
    """Distance of the quartiles over 1.35: a standard deviation that tails do not move."""
    return float(np.subtract(*np.quantile(ratio, (0.75, 0.25))) / 1.35)


def with_errors(sample: Sample) -> dict[str, tuple[float, float]]:
    """Quantities of the sample and their statistical errors, from groups of events."""
    edges = np.linspace(0, len(sample.unassociated), GROUPS + 1).astype(int)
    groups = [quantities(sample.part(a, b)) for a, b in pairwise(edges)]
    return {
        key: (float(value), float(np.std([g[key] for g in groups], ddof=1) / np.sqrt(GROUPS)))
        for key, value in quantities(sample).items()
    }


def print_table(columns: dict[str, dict[str, tuple[float, float]]]) -> None:
    """As Markdown, with statistical errors in units of the last digit."""
    print("\n| | " + " | ".join(columns) + " |")
    print("|" + "---|" * (1 + len(columns)))
    for key, (name, digits) in NAMES.items():
        cells = []
        for column in columns.values():
            value, error = column[key]
            cells.append(f"{value:.{digits}f}({max(1, round(error * 10**digits))})")
        print(f"| {name} | " + " | ".join(cells) + " |")
    print()


def draw(samples: dict[str, Sample], path: Path) -> None:
    """Spectra of tracks, towers and neutral hadrons, with ratios to the reference."""
    panels = {
        "track pT (GeV)": (np.geomspace(0.2, 100, 31), lambda s: s.X[s.X[:, 0] == 2, 1]),
        "track eta": (np.linspace(-2.5, 2.5, 26), lambda s: s.X[s.X[:, 0] == 2, 2]),
        "tower ET (GeV)": (np.geomspace(0.3, 100, 31), lambda s: s.X[s.X[:, 0] == 1, 1]),
        "tower eta": (np.linspace(-5, 5, 41), lambda s: s.X[s.X[:, 0] == 1, 2]),
        "neutral hadron true E (GeV)": (
            np.geomspace(9, 3000, 25), lambda s: s.ygen[s.ygen[:, 0] == 2, 6],
        ),
        "neutral hadron E, rule-based / true": (
            np.linspace(0, 2.5, 26),
            lambda s: (s.ycand[:, 6] / np.maximum(s.ygen[:, 6], 1e-9))[
                (s.ygen[:, 0] == 2) & (s.ycand[:, 0] == 2)
            ],
        ),
    }  # fmt: skip
    figure, axes = plt.subplots(
        4, 3, figsize=(12, 8.4), height_ratios=(3, 1, 3, 1), layout="constrained"
    )
    upper, lower = axes[[0, 2]].ravel(), axes[[1, 3]].ravel()
    for (label, (edges, values)), top, bottom in zip(panels.items(), upper, lower, strict=True):
        truth = None
        for name, sample in samples.items():
            counts = np.histogram(values(sample), edges)[0]
            events = len(sample.unassociated)
            top.stairs(counts / events, edges, color=COLOURS[name], label=name, lw=1.4)
            truth = counts / events if truth is None else truth
            seen = (counts > 0) & (truth > 0)
            ratio = counts[seen] / events / truth[seen]
            centres = 0.5 * (edges[1:] + edges[:-1])[seen]
            error = ratio / np.sqrt(counts[seen])
            bottom.errorbar(centres, ratio, error, fmt=".", color=COLOURS[name], ms=4, lw=1)
        scale = "log" if edges[0] > 0 else "linear"
        top.set(ylabel="per event", xscale=scale, yscale=scale, xticklabels=[])
        bottom.set(xlabel=label, xscale=scale, ylim=(0.5, 1.5), ylabel="ratio")
        bottom.axhline(1.0, color="black", lw=0.6)
    upper[0].legend(frameon=False)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    args = parser.parse_args()
    folder = setting.reference_data()
    args.out.mkdir(parents=True, exist_ok=True)
    args.figures.mkdir(parents=True, exist_ok=True)

    tables = {}
    for process, pileup in SAMPLES:
        reference = read_reference(Path(folder, f"mlpf_{process}_pu{pileup}.h5"))
        events = len(reference.unassociated)
        samples = {"Delphes": reference}
        for name in ("Pythia", "toy"):
            samples[name] = simulate(process, pileup, events, toy=name == "toy")
        columns = {name: with_errors(sample) for name, sample in samples.items()}
        tables[f"{process}, pile-up {pileup}"] = columns
        print(f"\n{process}, pile-up {pileup}, {events} events each")
        print_table(columns)
        if (process, pileup) == ("ttbar", 200):
            draw(samples, args.figures / "event_model.png")
    (args.out / "event_model.json").write_text(json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main()
