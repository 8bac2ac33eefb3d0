"""Defects that are planted in sound showers, and which metrics of a comparison see them.

    python -m benchmarks.physics.planted [--showers 2000] [--geometry clic-25] [--out DIR]

Simulates two independent samples, plants each defect in the second, and compares it with the
first. Prints one table, score over the noise between two halves of the reference, and writes
planted.json. A metric "sees" a defect by the rule of ``seen``.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hepjax.formats.atomic import plain
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.calorimeters import calorimeter as by_name
from hepjax.physics.calorimeter import field
from hepjax.physics.calorimeter.report import report_on
from hepjax.physics.calorimeter.samples import of_arrays
from hepjax.physics.calorimeter.summary import differs

Defect = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""(cells (n, x, y, layer) GeV, incident energies (n,) GeV, rng) -> cells."""
NEIGHBOURS = 20
"""Showers of about one energy that are exchanged or made alike."""
NOISE_SHARE, NOISE_GEV = 0.02, (1e-6, 1e-5)
"""Cells with noise, and its energies: above the threshold of a cell, far below that of a hit."""
SIGMAS = 3.0
"""A metric of the field counts as seen so many errors beyond the halves."""


def nothing(cells: np.ndarray, energy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sample as it is: independent of the reference."""
    return cells


def scale(cells: np.ndarray, energy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All cells 5 % up."""
    return cells * np.float32(1.05)


def widths(cells: np.ndarray, energy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distances from the axis along x and y 5 % up: whole cells move out by one, at random."""
    event, x, y, layer = np.nonzero(cells)
    wider = np.zeros_like(cells)
    place = []
    for index, size in zip((x, y), cells.shape[1:3], strict=True):
        off = index - (size - 1) / 2
        moves = rng.random(len(off)) < 0.05 * np.abs(off)
        place.append(np.clip(index + np.where(moves, np.sign(off), 0).astype(int), 0, size - 1))
    np.add.at(wider, (event, place[0], place[1], layer), cells[event, x, y, layer])
    return wider


def dead_layer(cells: np.ndarray, energy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The middle layer empty."""
    dead = cells.copy()
    dead[..., cells.shape[3] // 2] = 0
    return dead


def lost_correlations(
    cells: np.ndarray, energy: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Each layer from another shower of about the same energy: what a layer holds stays."""
    order = np.argsort(energy, kind="stable")
    mixed = np.empty_like(cells)
    for layer in range(cells.shape[3]):
        for start in range(0, len(order), NEIGHBOURS):
            group = order[start : start + NEIGHBOURS]
            mixed[group, ..., layer] = cells[rng.permutation(group), ..., layer]
    return mixed


def collapse(cells: np.ndarray, energy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mode collapse: showers of about one energy are one shower, scaled to each energy."""
    order = np.argsort(energy, kind="stable")
    alike = np.empty_like(cells)
    for start in range(0, len(order), NEIGHBOURS):
        group = order[start : start + NEIGHBOURS]
        one = rng.choice(group)
        alike[group] = cells[one] * (energy[group] / energy[one])[:, None, None, None]
    return alike


def noise(cells: np.ndarray, energy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise in 2 % of the empty cells, 1 to 10 keV: far below the threshold of a hit."""
    chosen = (cells == 0) & (rng.random(cells.shape, np.float32) < NOISE_SHARE)
    low, high = np.log10(NOISE_GEV)
    level = 10 ** rng.uniform(low, high, int(chosen.sum()))
    noisy = cells.copy()
    noisy[chosen] = level
    return noisy


DEFECTS: dict[str, Defect] = {
    "nothing": nothing, "energy scale +5 %": scale, "widths +5 %": widths,
    "dead layer": dead_layer, "lost correlations": lost_correlations, "mode collapse": collapse,
    "noise below threshold": noise,
}  # fmt: skip
SHOULD_SEE = {
    "nothing": (),
    "energy scale +5 %": (
        *("tests", "sampling_fraction", "response", "energy_fit", "total"),
        *("high", "high_boosted"),
    ),
    "widths +5 %": ("tests", "profile_x", "profile_y", "width_x", "width_r", "high_boosted"),
    "dead layer": (
        *("tests", "profile_z", "shapes", "layers", "sparsity by layer"),
        *("low", "high", "high_boosted", "fpd", "kpd"),
    ),
    "lost correlations": ("slices", "high", "high_boosted"),
    "mode collapse": ("diversity", "ssim", "recall", "coverage"),
    "noise below threshold": (
        *("tests", "sparsity", "cell_spectrum", "sparsity by layer", "high_boosted"),
    ),
}
"""Which metrics have to see a defect; others may."""
CLASSIFIERS = field.TESTS
MANIFOLD = ("precision", "recall", "density", "coverage")


def judged(
    reference: np.ndarray, generated: np.ndarray, energies: tuple[np.ndarray, np.ndarray],
    calorimeter: Calorimeter, settings: field.Settings,
) -> dict[str, Any]:  # fmt: skip
    """The scores of a comparison, with the metrics of the field."""
    pair = [of_arrays(c, e) for c, e in zip((reference, generated), energies, strict=True)]
    return report_on(
        pair[0], pair[1], labels=("reference", "generated"), calorimeter=calorimeter, more=settings
    ).scores


def metrics_of(scores: dict[str, Any]) -> dict[str, tuple[float, float, float, bool]]:
    """By metric: value, error, value between halves, and whether a difference is seen."""
    found = {}
    groups = (
        ("families", scores["noise_floor"], lambda n: n),
        ("separation", scores["noise_floor_separation"],
         lambda n: "sparsity by layer" if n == "sparsity" else n),
    )  # fmt: skip
    for key, floor, renamed in groups:
        for name, value in scores[key].items():
            error, below = scores["errors"][key].get(name, 0.0), floor.get(name, np.nan)
            found[renamed(name)] = (value, error, below, differs(value, below, error))
    tests = scores["tests"]
    found["tests"] = (float(tests["rejected"]), 0.0, 0.0, tests["rejected"] > 0)
    for name, metric in scores["field"].items():
        if not isinstance(metric, dict):
            continue
        halves = metric["halves"]
        away = metric["value"] - halves["value"]
        away = abs(away) if name in MANIFOLD else away
        sigma = float(np.hypot(metric["error"], halves["error"]))
        found[name] = (metric["value"], metric["error"], halves["value"], away > SIGMAS * sigma)
    return found


def simulated(calorimeter: Calorimeter, showers: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells after the threshold and energies, flat over the calorimeter's range."""
    import jax

    from hepjax.simulate.showers.showers import simulate_showers

    energy = np.random.default_rng(seed).uniform(*calorimeter.energy, showers).astype(np.float32)
    cells = simulate_showers(calorimeter, energy, np.pi / 2, "electron", jax.random.key(seed))
    return np.where(cells < calorimeter.threshold, np.float32(0), cells), energy


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown: a row a metric, a column a defect; bold is seen, a star says that it has to be."""
    names = list(next(iter(results.values()))["metrics"])
    head = "| metric | " + " | ".join(results) + " |\n|" + "---|" * (len(results) + 1)
    rows = []
    for name in names:
        cells = []
        for defect, result in results.items():
            value, _, floor, seen = result["metrics"][name]
            if name in CLASSIFIERS or name in MANIFOLD:
                text = f"{value:.3f}"
            elif name == "tests":
                text = f"{value:.0f}"
            else:
                text = f"{value / floor:.1f}" if floor and np.isfinite(floor) else "-"
            text = f"**{text}**" if seen else text
            cells.append(text + ("*" if name in SHOULD_SEE[defect] else ""))
        rows.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join([head, *rows])


def main() -> None:
    """Plant, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--showers", type=int, default=2000, help="of each sample")
    parser.add_argument("--geometry", default="clic-25", help="a box")
    parser.add_argument("--out", type=Path, default=Path("planted"))
    args = parser.parse_args()
    calorimeter = by_name(args.geometry)
    reference, energy = simulated(calorimeter, args.showers, 1)
    sound, other = simulated(calorimeter, args.showers, 2)
    results: dict[str, dict[str, Any]] = {}
    args.out.mkdir(parents=True, exist_ok=True)
    for name, plant in DEFECTS.items():
        planted = plant(sound, other, np.random.default_rng(3))
        scores = judged(reference, planted, (energy, other), calorimeter, field.SMALL)
        results[name] = {"metrics": metrics_of(scores), "tests": scores["tests"]["count"]}
        missed = [m for m in SHOULD_SEE[name] if not results[name]["metrics"][m][3]]
        print(f"{name}: not seen by {', '.join(missed) or 'none that should'}", flush=True)
        content = {"showers": args.showers, "results": results}
        (args.out / "planted.json").write_text(json.dumps(plain(content), indent=1))
    print(table(results))


if __name__ == "__main__":
    main()
