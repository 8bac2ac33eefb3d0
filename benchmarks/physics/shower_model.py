"""Compare the embedded shower model with full Monte Carlo (EGSnrc) showers it was not tuned on.

    HEPJAX_REFERENCE_DATA=... python -m benchmarks.physics.shower_model [--out DIR] [--figures DIR]

Each reference shower is simulated once with its own energy and angle, with the published constants
and with the tuned ones. Prints one table per reference file, writes them as shower_model.json, and
draws the figures of docs/studies/showers.md.
"""

import argparse
import json
import time
from pathlib import Path

import h5py
import jax
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from benchmarks import setting
from hepjax.formats.showers.angle import measured_angle
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.calorimeters import calorimeter as by_name
from hepjax.simulate.showers.model import PUBLISHED, TUNED
from hepjax.simulate.showers.showers import simulate_showers

FIRST_JUDGED = 520
"""Showers of the normal-incidence file before this one set the tuned constants."""
AT_A_TIME = 250
ENERGY_BINS = ((10, 30), (30, 70), (70, 100))
SPECTRUM_EDGES = np.linspace(-7.0, 0.0, 36)  # log10 of the cell energy in GeV
RADIUS_EDGES = np.linspace(0.0, 60.0, 25)  # mm
NAMES = {
    "visible": "visible/E",
    "spread": "rms about trend",
    "layer": "mean layer",
    "layer_rms": "its rms",
    "radius": "mean r (mm)",
    "occupancy_1e-6": "occ >1e-6",
    "occupancy_1e-4": "occ >1e-4",
    "hottest": "hottest cell (GeV)",
    "tower": "hottest tower",
}
COLOURS = {"EGSnrc": "black", "published": "#7a9ccc", "tuned": "#c8452e"}


def quantities(showers: np.ndarray, energy: np.ndarray, cell_mm: float) -> dict[str, np.ndarray]:
    """Per shower: the scalars of the table, and its profiles (as sums over its cells)."""
    nx, ny, nz = showers.shape[1:]
    total = showers.sum((1, 2, 3), dtype=np.float64)
    by_layer = showers.sum((1, 2))
    tower = showers.sum(3)
    x, y = np.arange(nx)[:, None], np.arange(ny)[None, :]
    x0 = (tower * x).sum((1, 2)) / total
    y0 = (tower * y).sum((1, 2)) / total
    radius = cell_mm * np.hypot(x - x0[:, None, None], y - y0[:, None, None])
    lateral = [
        np.histogram(r, RADIUS_EDGES, weights=w)[0] for r, w in zip(radius, tower, strict=True)
    ]
    spectrum = [np.histogram(np.log10(s[s > 0]), SPECTRUM_EDGES)[0] for s in showers]
    return {
        "energy": energy,
        "visible": total / energy,
        "layer": by_layer @ np.arange(nz) / total,
        "radius": (tower * radius).sum((1, 2)) / total,
        "occupancy_1e-6": (showers > 1e-6).mean((1, 2, 3)),
        "occupancy_1e-4": (showers > 1e-4).mean((1, 2, 3)),
        "hottest": showers.max((1, 2, 3)),
        "tower": tower.max((1, 2)) / total,
        "longitudinal": by_layer / total[:, None],
        "lateral": np.asarray(lateral) / total[:, None],
        "spectrum": np.asarray(spectrum),
        "measured_theta": measured_angle(showers),
    }


def compare(
    path: Path, first: int, stop: int, calorimeter: Calorimeter
) -> dict[str, dict[str, np.ndarray]]:
    """Quantities of the reference showers and of ours with the same energies and angles."""
    parts: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in COLOURS}
    seconds = 0.0
    with h5py.File(path) as file:
        theta = file["theta"][:stop]
        energy = file["energy"][:stop]
        # The reference tilts along x, the published data set and ours along y.
        tilted = np.ptp(theta) > 1e-3
        for start in range(first, len(energy), AT_A_TIME):
            rows = slice(start, min(start + AT_A_TIME, len(energy)))
            showers = {"EGSnrc": file["ECAL"][rows]}
            if tilted:
                showers["EGSnrc"] = showers["EGSnrc"].transpose(0, 2, 1, 3)
            for seed, (name, tuning) in enumerate({"published": PUBLISHED, "tuned": TUNED}.items()):
                began = time.monotonic()
                showers[name] = simulate_showers(
                    calorimeter, energy[rows], theta[rows], "electron", jax.random.key(seed),
                    first=start, tuning=tuning,
                )  # fmt: skip
                seconds += time.monotonic() - began
            for name, ecal in showers.items():
                found = quantities(ecal, energy[rows], calorimeter.cell_mm[0])
                parts[name].append({**found, "theta": theta[rows]})
    n = sum(len(part["energy"]) for part in parts["tuned"])
    print(f"\n{path.name}, showers {first} to {first + n - 1}; {2 * n / seconds:.0f} showers/s")
    return {
        name: {key: np.concatenate([part[key] for part in found]) for key in found[0]}
        for name, found in parts.items()
    }


def table(samples: dict[str, dict[str, np.ndarray]]) -> list[dict[str, object]]:
    """Mean and its standard error of every quantity, per energy bin and sample."""
    rows: list[dict[str, object]] = []
    for low, high in ENERGY_BINS:
        for name, sample in samples.items():
            inside = (sample["energy"] >= low) & (sample["energy"] < high)
            n = int(inside.sum())
            trend = np.polyfit(np.log(sample["energy"]), sample["visible"], 1)
            relative = sample["visible"] / np.polyval(trend, np.log(sample["energy"]))
            row: dict[str, object] = {"energy": f"{low}-{high}", "n": n, "sample": name}
            for key in NAMES:
                if key in ("spread", "layer_rms"):
                    values = relative[inside] if key == "spread" else sample["layer"][inside]
                    row[key] = (float(values.std()), float(values.std() / np.sqrt(2 * n)))
                else:
                    values = sample[key][inside]
                    row[key] = (float(values.mean()), float(values.std() / np.sqrt(n)))
            rows.append(row)
    return rows


def print_table(rows: list[dict[str, object]]) -> None:
    """As Markdown, each value with its statistical error in units of the last digit."""
    decimals = dict(zip(NAMES, (5, 4, 2, 2, 2, 4, 4, 4, 4), strict=True))
    print("| E (GeV) | n | sample | " + " | ".join(NAMES.values()) + " |")
    print("|" + "---|" * (3 + len(NAMES)))
    for row in rows:
        cells = []
        for key, digits in decimals.items():
            value, error = row[key]  # type: ignore[misc]
            cells.append(f"{value:.{digits}f}({max(1, round(error * 10**digits))})")
        print(f"| {row['energy']} | {row['n']} | {row['sample']} | " + " | ".join(cells) + " |")


def draw_profiles(samples: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    """Longitudinal and lateral profile and cell spectrum of 30-70 GeV, with ratios to EGSnrc."""
    panels = {
        "longitudinal": (np.arange(-0.5, 25), "layer", "share of visible energy"),
        "lateral": (RADIUS_EDGES, "distance from barycentre (mm)", "share of visible energy"),
        "spectrum": (SPECTRUM_EDGES, "log10 (cell energy / GeV)", "cells per shower"),
    }
    figure, axes = plt.subplots(
        2, 3, figsize=(12, 4.8), sharex="col", height_ratios=(3, 1), layout="constrained"
    )
    for (key, (edges, xlabel, ylabel)), upper, lower in zip(panels.items(), *axes, strict=True):
        inside = (samples["EGSnrc"]["energy"] >= 30) & (samples["EGSnrc"]["energy"] < 70)
        truth = samples["EGSnrc"][key][inside].mean(0)
        for name, colour in COLOURS.items():
            values = samples[name][key][inside]
            mean, error = values.mean(0), values.std(0) / np.sqrt(len(values))
            upper.stairs(mean, edges, color=colour, label=name, lw=1.4)
            ratio = np.divide(mean, truth, out=np.full(len(mean), np.nan), where=truth > 0)
            spread = np.divide(error, truth, out=np.zeros(len(mean)), where=truth > 0)
            lower.errorbar(
                0.5 * (edges[1:] + edges[:-1]), ratio, spread, fmt=".", color=colour, ms=4, lw=1
            )
        upper.set(yscale="log", ylabel=ylabel)
        lower.set(xlabel=xlabel, ylim=(0.4, 1.6))
        lower.axhline(1.0, color="black", lw=0.6)
    axes[1, 0].set_ylabel("ratio to EGSnrc")
    axes[0, 0].legend(frameon=False, title="electrons, 30-70 GeV")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_angle(samples: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    """Measured minus true polar angle, and visible energy against the angle."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    edges = np.linspace(60, 120, 11)
    for name, colour in COLOURS.items():
        sample = samples[name]
        theta = np.degrees(sample["theta"])
        off = np.degrees(sample["measured_theta"]) - theta
        left.hist(off, np.linspace(-12, 12, 49), histtype="step", color=colour, label=name, lw=1.4)
        which = np.digitize(theta, edges) - 1
        groups = [sample["visible"][which == k] for k in range(len(edges) - 1)]
        right.errorbar(
            0.5 * (edges[1:] + edges[:-1]), [g.mean() for g in groups],
            [g.std() / np.sqrt(len(g)) for g in groups], fmt="o-", ms=3, lw=1, color=colour,
        )  # fmt: skip
    left.set(xlabel="measured - true polar angle (degrees)", ylabel="showers")
    left.legend(frameon=False, fontsize="small")
    right.set(xlabel="polar angle (degrees)", ylabel="visible/E")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    parser.add_argument("--angle-showers", type=int, default=1000)
    args = parser.parse_args()
    folder = setting.reference_data()
    args.out.mkdir(parents=True, exist_ok=True)
    args.figures.mkdir(parents=True, exist_ok=True)

    normal = compare(Path(folder, "ecal_e_10_100_25.h5"), FIRST_JUDGED, 10**9, by_name("clic-25"))
    tables = {"normal": table(normal)}
    print_table(tables["normal"])
    draw_profiles(normal, args.figures / "shower_model_profiles.png")
    angle = compare(Path(folder, "ecal_e_angle_51.h5"), 0, args.angle_showers, by_name("clic-51"))
    tables["angle"] = table(angle)
    print_table(tables["angle"])
    draw_angle(angle, args.figures / "shower_model_angle.png")
    for name, sample in angle.items():
        tilt, off = sample["theta"] - np.pi / 2, sample["measured_theta"] - sample["theta"]
        trend = np.polyfit(tilt, off, 1)
        spread = np.degrees((off - np.polyval(trend, tilt)).std())
        print(f"{name}: measured tilt {1 + trend[0]:.3f} of the true one, rms {spread:.2f} degrees")
    (args.out / "shower_model.json").write_text(json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main()
