"""How a variable-angle run answers to energy and angle, beside the showers that it is judged on.

    python -m benchmarks.physics.angle_response runs/angle --figure angle_response.png
    python -m benchmarks.physics.angle_response runs/fine --data HELD_OUT.h5

Each shower is generated at the energy and angle of one of the run's validation showers, or of those
of ``--data``. Angles are measured from the cells of both in the same way (``measured_angle``), in
the window of cells of the run.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from hepjax.physics.calorimeter import measured_angle, sampling_fraction
from hepjax.run import Run, load
from hepjax.workloads.gan3d.answer import asked_of, read_showers

BINS = 6
Sample = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--data", type=Path, nargs="+", help="default: validation showers")
    parser.add_argument("--step", type=int, help="checkpoint; default: the best epoch")
    parser.add_argument("--figure", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers")
    args = parser.parse_args()
    run = load(args.run, args.step)
    reference, generated = samples(run, args.data)
    cfg = run.cfg
    low, high = np.degrees(cfg.angles)
    found = {
        "epoch": run.epoch, "showers": len(reference["energy"]),
        "energy": profile(reference, generated, "energy", "fraction", *cfg.energies),
        "angle": profile(reference, generated, "degrees", "measured", low, high),
        "mean_relative_error": {
            name: float(np.mean([abs(r["difference"]) / r["reference"] for r in rows]))
            for name, rows in (
                ("sampling fraction", profile(reference, generated, "energy", "fraction",
                                              *cfg.energies)),
                ("measured angle", profile(reference, generated, "degrees", "measured", low, high)),
            )
        },
    }  # fmt: skip
    print(f"{args.run}: epoch {run.epoch:g}, {found['showers']} showers")
    print_table("incident energy, GeV", "sampling fraction, %", found["energy"], 100)
    print_table("polar angle, degrees", "measured angle, degrees", found["angle"], 1)
    print("\nmean relative error:", found["mean_relative_error"])
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    if args.figure:
        draw(found, args.figure)


def samples(run: Run, paths: list[Path] | None) -> tuple[Sample, Sample]:
    """Reference and generated showers as energy, angle and what was measured of each."""
    cfg = run.cfg
    source = run.workload.open(cfg, paths) if paths else run.workload.sources(cfg).validation
    reference = read_showers(source, cfg.calorimeter.shape, "read", quiet=True)
    reference["ecal"] = np.where(reference["ecal"] < cfg.threshold, 0, reference["ecal"])
    asked = asked_of(cfg, reference)
    made = run.generate(**asked, batch_size=128)
    return quantities(reference["ecal"], asked), quantities(made, asked)


def quantities(cells: np.ndarray, asked: Sample) -> Sample:
    """Of each shower, angles in degrees; an empty shower has none."""
    parts = [np.degrees(measured_angle(cells[i : i + 256])) for i in range(0, len(cells), 256)]
    measured = np.concatenate(parts)
    return {
        "energy": asked["energy"], "degrees": np.degrees(asked["theta"]),
        "fraction": np.asarray(sampling_fraction(cells, asked["energy"])),
        "measured": np.where(measured > 180, np.nan, measured),
    }  # fmt: skip


def profile(
    reference: Sample, generated: Sample, against: str, what: str, low: float, high: float
) -> list[dict[str, Any]]:
    """Mean and spread of a quantity in equal bins of what was asked for."""
    edges = np.linspace(low, high, BINS + 1)
    bins = np.clip(np.digitize(reference[against], edges) - 1, 0, BINS - 1)
    rows = []
    for k in range(BINS):
        r, g = (s[what][(bins == k) & np.isfinite(s[what])] for s in (reference, generated))
        error = float(np.hypot(r.std() / np.sqrt(len(r)), g.std() / np.sqrt(max(len(g), 1))))
        rows.append({
            "low": float(edges[k]), "high": float(edges[k + 1]), "showers": len(r),
            "reference": float(r.mean()), "generated": float(g.mean()),
            "difference": float(g.mean() - r.mean()), "error": error,
            "reference_spread": float(r.std()), "generated_spread": float(g.std()),
        })  # fmt: skip
    return rows


def print_table(against: str, what: str, rows: list[dict[str, Any]], scale: float) -> None:
    print(
        f"\n| {against} | showers | {what}: Monte Carlo | 3DGAN | difference | spread: Monte Carlo "
        "| 3DGAN |\n" + "|---" * 7 + "|"
    )
    for row in rows:
        r, g, d, e, sr, sg = (
            scale * row[name]
            for name in ("reference", "generated", "difference", "error", "reference_spread",
                         "generated_spread")
        )  # fmt: skip
        print(
            f"| {row['low']:.0f} to {row['high']:.0f} | {row['showers']} | {r:.2f} | {g:.2f} "
            f"| {d:+.2f} ± {e:.2f} | {sr:.2f} | {sg:.2f} |"
        )


def draw(found: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, name, label, unit, scale in (
        (axes[0], "energy", "incident energy, GeV", "sampling fraction, %", 100),
        (axes[1], "angle", "polar angle, degrees", "measured angle, degrees", 1),
    ):
        rows = found[name]
        x = np.array([(row["low"] + row["high"]) / 2 for row in rows])
        width = (rows[0]["high"] - rows[0]["low"]) / 12
        for kind, shift, legend in (
            ("reference", -width, "Monte Carlo"), ("generated", width, "3DGAN"),
        ):  # fmt: skip
            mean = scale * np.array([row[kind] for row in rows])
            spread = scale * np.array([row[f"{kind}_spread"] for row in rows])
            axis.errorbar(x + shift, mean, spread, fmt="o", label=legend)
        axis.set(xlabel=label, ylabel=f"{unit}: mean and spread")
    axes[0].legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
