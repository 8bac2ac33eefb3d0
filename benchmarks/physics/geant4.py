"""Compare showers from Geant4 with EGSnrc, and the shower model with Geant4 in other calorimeters.

    HEPJAX_REFERENCE_DATA=... python -m benchmarks.physics.geant4 [--showers N] [--workers N]

Each of N reference showers at normal incidence, and N at angles, is simulated once with its own
energy and angle; the first table is their comparison. The second shoots electrons of one energy
through the plates of the calorimeters that are not CLIC, with Geant4 and with the shower model.
Prints Markdown, writes geant4.json. Needs the extra geant4.
"""

import argparse
import json
from pathlib import Path

import h5py
import jax
import numpy as np

from benchmarks import setting
from benchmarks.physics.shower_model import ENERGY_BINS, quantities
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.calorimeters import calorimeter
from hepjax.simulate.showers.geant4.pool import simulate
from hepjax.simulate.showers.showers import simulate_showers

FILES = {"normal": ("ecal_e_10_100_25.h5", "clic-25"), "angle": ("ecal_e_angle_51.h5", "clic-51")}
FIRST = 520
"""Showers before this one set constants of the shower model."""
HIT_GEV = 3e-4
OTHERS = ("lead-scintillator", "par04", "atlas-photons")
OTHER_GEV = (2.0, 10.0)
NAMES = {
    "visible": "visible/E", "spread": "its rms", "layer": "mean layer", "layer_rms": "its rms",
    "radius": "mean r (mm)", "hits": "hits", "hottest_share": "hottest cell / sum",
}  # fmt: skip
DIGITS = dict(zip(NAMES, (5, 4, 2, 2, 2, 1, 4), strict=True))
Measured = tuple[float, float]
"""A mean and its statistical error."""


def geant4(
    of: Calorimeter, energy: np.ndarray, theta: np.ndarray, particle: str, seed: int, workers: int
) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """Cells, processor seconds of each shower, and what made them."""
    with simulate(of, energy, theta, particle, seed, workers=workers) as simulation:
        parts = [fields for _, fields in simulation.batches()]
        about = simulation.about
    cells, seconds = (
        np.concatenate([part[key] for part in parts]) for key in ("ecal", "cpu_seconds")
    )
    return cells, seconds, about


def numbers(cells: np.ndarray, energy: np.ndarray, cell_mm: float) -> dict[str, np.ndarray]:
    """(n,) of each quantity of showers in a box."""
    found = quantities(cells, energy, cell_mm)
    total = found["visible"] * energy
    return {
        "visible": found["visible"], "layer": found["layer"], "radius": found["radius"],
        "hits": (cells > HIT_GEV).sum((1, 2, 3)).astype(float),
        "hottest_share": found["hottest"] / total,
    }  # fmt: skip


def summary(found: dict[str, np.ndarray], energy: np.ndarray) -> dict[str, Measured]:
    """Means with errors; the rms of the visible fraction is about its trend with the energy."""
    n = len(energy)
    relative = found["visible"] / found["visible"].mean()
    if np.ptp(energy) > 1e-3 * energy.mean():
        log_energy = np.log(energy)
        trend = np.polyfit(log_energy, found["visible"], 1)
        relative = found["visible"] / np.polyval(trend, log_energy)
    rms = {"spread": relative.std(), "layer_rms": found["layer"].std()}
    return {
        name: (float(rms[name]), float(rms[name] / np.sqrt(2 * n)))
        if name in rms
        else (float(found[name].mean()), float(found[name].std() / np.sqrt(n)))
        for name in NAMES
        if name in rms or name in found
    }


def ratio(ours: Measured, theirs: Measured) -> Measured:
    """With the error of both."""
    value = ours[0] / theirs[0]
    return value, float(value * np.hypot(ours[1] / ours[0], theirs[1] / theirs[0]))


def against_egsnrc(kind: str, folder: Path, showers: int, workers: int) -> list[dict[str, object]]:
    """Rows of the first table: bins of energy, each with both simulations and their ratio."""
    name, of = FILES[kind][0], calorimeter(FILES[kind][1])
    with h5py.File(folder / name) as file:
        rows = slice(FIRST, FIRST + showers) if kind == "normal" else slice(showers)
        cells, energy, theta = (file[key][rows] for key in ("ECAL", "energy", "theta"))
    if kind == "angle":
        cells = cells.transpose(0, 2, 1, 3)  # the reference tilts along x, hepjax along y
    ours, seconds, about = geant4(of, energy, theta, "electron", 1, workers)
    print(
        f"\n{name}, {len(energy)} showers; {about['engine']}, {about['physics']}; {about['tables']}"
    )
    print(f"{1e3 * seconds.sum() / energy.sum():.2f} ms of processor time per GeV\n")
    samples = {
        label: numbers(image, energy, of.cell_mm[0])
        for label, image in {"EGSnrc": cells, "Geant4": ours}.items()
    }
    made: list[dict[str, object]] = []
    for low, high in ENERGY_BINS:
        inside = (energy >= low) & (energy < high)
        if inside.sum() < 2:
            continue
        both = {
            label: summary({k: v[inside] for k, v in found.items()}, energy[inside])
            for label, found in samples.items()
        }
        for label, values in both.items():
            made.append(
                {"energy": f"{low}-{high}", "n": int(inside.sum()), "sample": label, **values}
            )
        ratios = {k: ratio(both["Geant4"][k], both["EGSnrc"][k]) for k in NAMES}
        made.append({"energy": f"{low}-{high}", "n": "", "sample": "ratio", **ratios})
    return made


def cylinder(of: Calorimeter, cells: np.ndarray, energy: np.ndarray) -> dict[str, np.ndarray]:
    """(n,) of each quantity of showers in rings: the radius is that of the middle of a ring."""
    total = cells.sum(1)
    layer, radius = [], []
    for number, part in enumerate(of.layers):
        rings = np.asarray(part.rings)
        middle = np.tile(0.5 * (rings[1:] + rings[:-1]), part.sectors)
        layer += [number] * part.voxels
        radius += middle.tolist()
    return {
        "visible": total / energy, "layer": cells @ np.asarray(layer) / total,
        "radius": cells @ np.asarray(radius) / total,
        "hits": (cells > of.hit).sum(1).astype(float), "hottest_share": cells.max(1) / total,
    }  # fmt: skip


def model_against_geant4(name: str, showers: int, workers: int) -> list[dict[str, object]]:
    """Rows of the second table for one calorimeter."""
    of = calorimeter(name)
    made: list[dict[str, object]] = []
    for gev in OTHER_GEV:
        energy = np.full(showers, gev, np.float32)
        theta = np.full_like(energy, np.pi / 2)
        full, seconds, _ = geant4(of, energy, theta, of.particle, 1, workers)
        fast = simulate_showers(of, energy, theta, of.particle, jax.random.key(1))
        both = {}
        for label, cells in {"Geant4": full, "model": fast}.items():
            if of.box:
                found = numbers(cells, energy, of.cell_mm[0])
                found["hits"] = (cells > of.hit).sum((1, 2, 3)).astype(float)
            else:
                found = cylinder(of, cells, energy)
            both[label] = summary(found, energy)
            made.append({"energy": f"{gev:g}", "n": showers, "sample": label, **both[label]})
        ratios = {k: ratio(both["model"][k], both["Geant4"][k]) for k in NAMES}
        made.append({"energy": f"{gev:g}", "n": "", "sample": "ratio", **ratios})
    print(f"\n{name}, {of.particle}s; Geant4: {1e3 * seconds.mean() / gev:.2f} ms per GeV\n")
    return made


def print_table(rows: list[dict[str, object]]) -> None:
    """As Markdown, each value with its statistical error in units of the last digit."""
    print("| E (GeV) | n | sample | " + " | ".join(NAMES.values()) + " |")
    print("|" + "---|" * (3 + len(NAMES)))
    for row in rows:
        cells = []
        for key, places in DIGITS.items():
            value, error = row[key]  # type: ignore[misc]
            places = 3 if row["sample"] == "ratio" else places
            cells.append(f"{value:.{places}f}({max(1, round(error * 10**places))})")
        print(f"| {row['energy']} | {row['n']} | {row['sample']} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--showers", type=int, default=400, help="of each reference file")
    parser.add_argument("--others", type=int, default=200, help="of each energy elsewhere; 0: none")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    tables = {}
    if args.showers:
        folder = setting.reference_data()
        for kind in FILES:
            tables[kind] = against_egsnrc(kind, folder, args.showers, args.workers)
            print_table(tables[kind])
    for name in OTHERS if args.others else ():
        tables[name] = model_against_geant4(name, args.others, args.workers)
        print_table(tables[name])
    (args.out / "geant4.json").write_text(json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main()
