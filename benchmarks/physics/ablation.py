"""What known improvements do to a 3DGAN, each trained for the same processor time.

    python -m benchmarks.physics.ablation --out runs/ablation [--minutes 10] [--seeds 1]
        [--config gan3d/small] [--only published "R1 and R2" ...]

Simulates showers of 25x25x25 cells from 10 to 100 GeV. For each variant a few updates are timed
(processor time of all cores), and the training has as many updates as fit into the minutes. Its
best epoch by the published score, which a user would take, is judged on showers of another seed
as in ``benchmarks.physics.ladder``. What is there is not made again, so a broken run goes on; and
``--only`` divides the work.
"""

import argparse
import itertools
import json
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

VARIANTS: dict[str, tuple[str, ...]] = {
    "published": (),
    "average of the generator": ("optimizer.average=AVERAGE",),
    "R1": ("objective.penalty_real=GAMMA",),
    "R1 and R2": ("objective.penalty_real=GAMMA", "objective.penalty_fake=GAMMA"),
    "discriminator at half the rate": ("objective.discriminator_rate=0.5",),
    "discriminator at twice the rate": ("objective.discriminator_rate=2",),
    "energy constraint": ("objective.weight_response=0.1",),
    "all": (
        "optimizer.average=AVERAGE", "objective.penalty_real=GAMMA", "objective.penalty_fake=GAMMA",
        "objective.weight_response=0.1",
    ),
}  # fmt: skip
"""Settings that each adds; of the two rates "all" has neither. GAMMA is ``--gamma``; AVERAGE
reaches over a tenth of the updates, since it begins with the initial parameters."""
COLUMNS = ("low", "low_normalised", "high", "high_boosted", "fpd", "recall")
TIMED, WINDOWS = 20, 4
"""Updates in each of the windows in which an update is timed, after as many that warm up; the
fastest counts, since other work on the machine only adds."""


def main() -> None:
    """Simulate, train, judge, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--config", default="gan3d/small", help="as for hepjax train")
    parser.add_argument("--minutes", type=float, default=10.0, help="of processor time a training")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="0 to N - 1")
    parser.add_argument("--gamma", type=float, default=GAMMA, help="of the gradient penalties")
    parser.add_argument("--train-showers", type=int, default=20_000)
    parser.add_argument("--test-showers", type=int, default=5_000)
    parser.add_argument("--classifiers", type=int, default=1, help="seeds of the classifiers")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="of all variants")
    args = parser.parse_args()
    data = {
        name: showers(args.out / "data" / name, count, seed)
        for name, count, seed in (
            ("train", args.train_showers, 1), ("test", args.test_showers, 2),
        )
    }  # fmt: skip
    for seed in range(args.seeds):
        for name in args.only:
            row(args, name, seed, data)
            print(table(found(args.out)), flush=True)


GAMMA = 0.1
"""Of a logit's slope in cells in units of 10 MeV, see data.scale."""


def showers(folder: Path, events: int, seed: int) -> Path:
    """Simulated showers of normal incidence."""
    from hepjax.cli import main as command

    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        words = ["--events", str(events), "--energy", "10:100", "--seed", str(seed)]
        code = command(["simulate", "showers", *words, "--out", str(folder), "--quiet"])
        if code:
            raise SystemExit(code)
        (folder / "done").touch()
    return folder


def row(args: argparse.Namespace, name: str, seed: int, data: dict[str, Path]) -> None:
    """Train and judge one variant, unless it is there."""
    import hepjax
    from benchmarks.physics.ladder import measured

    place = args.out / f"{name.replace(' ', '-')}-{seed}"
    if (place / "row.json").exists():
        return
    place.mkdir(parents=True, exist_ok=True)
    settings = [
        f"data.files=[{data['train']}]", "data.energy_range=[10,100]", f"train.seed={seed}",
        "data.validation_fraction=0.05", "checkpoint.keep=2", "mesh.devices=1", *args.overrides,
    ]  # fmt: skip
    if not (place / "cost.json").exists():
        (place / "cost.json").write_text(
            json.dumps(cost(args.config, settings + added(name, args.gamma), place))
        )
    seconds = json.loads((place / "cost.json").read_text())
    updates = max(int(60 * args.minutes / seconds), 1)
    more = added(name, args.gamma, updates)
    trained(args.config, [*settings, *more, f"train.steps={updates}"], place / "run")
    judged = measured(
        hepjax.load(place / "run"), [data["test"]], args.test_showers, args.classifiers, name=name
    )
    judged |= {"seed": seed, "updates": updates, "ms_an_update": 1e3 * seconds}
    (place / "row.json").write_text(json.dumps(judged, indent=1))


def added(name: str, gamma: float, updates: int = 1000) -> list[str]:
    """The settings of a variant that is trained for so many updates."""
    average = f"{1 - 10 / max(updates, 20):.6f}"
    own = VARIANTS[name]
    return [text.replace("GAMMA", str(gamma)).replace("AVERAGE", average) for text in own]


def trained(config: str, settings: list[str], run: Path, watch: Any = lambda step: None) -> None:
    """A run, made or gone on with."""
    from hepjax import run as runs
    from hepjax.engine.settings import find_config, read_settings
    from hepjax.workloads import table

    workload, cfg = table.configure(read_settings(find_config(config), settings))
    runs.train(workload, cfg, run, watch=watch)


def cost(config: str, settings: list[str], place: Path) -> float:
    """Seconds of processor time of an update."""
    at: dict[int, float] = {}

    def watch(step: int) -> None:
        at[step] = time.process_time()

    pilot = place / "pilot"
    shutil.rmtree(pilot, ignore_errors=True)
    # The host waits for the device at records, so the times after them are of what was computed.
    last = TIMED * (WINDOWS + 1) + 1
    more = [f"train.steps={last}", f"train.record_every={TIMED}"]
    trained(config, [*settings, *more], pilot, watch)
    shutil.rmtree(pilot)
    edges = [at[step] for step in range(TIMED + 1, last + 1, TIMED)]
    return min(b - a for a, b in itertools.pairwise(edges)) / TIMED


def found(folder: Path) -> list[dict[str, Any]]:
    """The rows that are there, in the order of the variants."""
    rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*/row.json"))]
    return sorted(rows, key=lambda r: (list(VARIANTS).index(r["name"]), r["seed"]))


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: means over seeds with their range; below, what two halves of the reference have."""
    head = ["variant", "seeds", "updates", "ms an update", "AUC low", "normalised", "high", "trees",
            "FPD x 1000", "recall"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in dict.fromkeys(r["name"] for r in rows):
        own = [r for r in rows if r["name"] == name]
        cells = [name, str(len(own))]
        cells += [f"{statistics.mean(r[key] for r in own):,.0f}" for key in ("updates",)]
        cells += [f"{statistics.mean(r['ms_an_update'] for r in own):.3g}"]
        cells += [spread([scaled(r[key], key) for r in own]) for key in COLUMNS]
        lines.append("| " + " | ".join(cells) + " |")
    if rows:
        halves = [scaled(rows[0][key]["halves"], key) for key in COLUMNS]
        lines.append("| two halves of the reference | | | | " + " | ".join(
            f"{value:.3g}" for value in halves) + " |")  # fmt: skip
    return "\n".join(lines)


def scaled(metric: dict[str, Any], name: str) -> float:
    """A value in the unit of its column."""
    return float(metric["value"]) * (1e3 if name == "fpd" else 1.0)


def spread(values: list[float]) -> str:
    """Mean, and the range if there is one."""
    mean = f"{statistics.mean(values):.3g}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    main()
