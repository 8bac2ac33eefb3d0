"""The same search by hepjax and by Ray Tune: best score against time and device-hours.

    python -m benchmarks.physics.search_tools mlpf/demo 'data.files=[data/events]' \
        --space space.yaml --trials 12 --workers 2 --out studies/tools --figure tools.png

Both draw as many trials from the same space, train each to its end, and run as many at a time.
``hepjax tune`` keeps a process for each worker; Ray Tune starts each trial as a workflow system
would, ``hepjax train --params in.json --result out.json``. With ``--sampler tpe`` both take the
one of Optuna. Needs ``pip install 'hepjax[ray]'``; ``--tools hepjax`` does not.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.speed import timing
from hepjax.engine.settings import find_config, override, read_settings
from hepjax.studies import space as spaces
from hepjax.studies import study as studies


class Ended(NamedTuple):
    """A trial that ended well."""

    when: float
    """Seconds since 1970."""
    score: float
    held: float
    """Seconds for which it held its share of the devices."""


class Found(NamedTuple):
    """What a tool found."""

    began: float
    """Seconds since 1970."""
    ended: list[Ended]
    """In the order of time."""
    failed: int
    seconds: float
    """Of the whole command."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="as for hepjax train")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="of all trials")
    parser.add_argument("--space", type=Path, required=True, metavar="FILE")
    parser.add_argument("--trials", type=int, default=12, metavar="N")
    parser.add_argument("--workers", type=int, default=2, metavar="K", help="trials at a time")
    parser.add_argument("--sampler", choices=["random", "tpe"], default="tpe")
    parser.add_argument("--tools", nargs="+", choices=list(TOOLS), default=list(TOOLS))
    parser.add_argument("--out", type=Path, default=Path("studies/tools"), metavar="DIR")
    parser.add_argument("--figure", type=Path, metavar="FILE")
    args = parser.parse_args()
    print(timing.machine())
    found = {tool: measured(TOOLS[tool], args) for tool in args.tools}
    print_table(found)
    if args.figure:
        draw(found, args.figure)


def measured(search: Callable[..., list[Ended | None]], args: Any) -> Found:
    """Run a search and take its time."""
    began = time.time()
    ended = search(args)
    finished = sorted(one for one in ended if one is not None)
    return Found(began, finished, ended.count(None), time.time() - began)


def by_hepjax(args: Any) -> list[Ended | None]:
    """``hepjax tune``, its trials; None for one that failed."""
    folder = args.out / "hepjax"
    subprocess.run(
        [sys.executable, "-m", "hepjax", "tune", args.config, *args.overrides,
         "--space", args.space, "--trials", str(args.trials), "--sampler", args.sampler,
         "--workers", str(args.workers), "--out", folder, "--quiet"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    trials = studies.trials(studies.stored_study(folder))
    return [
        None if t.score is None else Ended(t.last["time"], t.score, t.last["seconds"])
        for t in trials
    ]


def by_ray(args: Any) -> list[Ended | None]:
    """Ray Tune, in a process of its own so that what it started is gone before it is timed."""
    own = [sys.executable, "-m", "benchmarks.physics.search_tools", RAY, json.dumps({
        "config": args.config, "overrides": args.overrides, "space": str(args.space.resolve()),
        "trials": args.trials, "workers": args.workers, "sampler": args.sampler,
        "out": str((args.out / "ray").resolve()), "here": os.getcwd(),
    })]  # fmt: skip
    answer = subprocess.run(own, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [one and Ended(*one) for one in json.loads(answer.splitlines()[-1])]


TOOLS = {"hepjax": by_hepjax, "ray": by_ray}
RAY = "--in-ray"
"""First argument of the process in which Ray Tune runs."""


def search_in_ray(asked: dict[str, Any]) -> list[Ended | None]:
    """All trials by Ray Tune, each a ``hepjax train`` that is told its point by a file."""
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    settings = read_settings(find_config(asked["config"]), [])
    override(settings, asked["overrides"])
    axes = {axis.key: axis for axis in spaces.read(Path(asked["space"]), settings)}

    def trial(shares: dict[str, float]) -> None:
        point = {key: axes[key].inside(share) for key, share in shares.items()}
        folder = Path(tune.get_context().get_trial_dir())
        (folder / "in.json").write_text(json.dumps(point))
        began = time.time()
        subprocess.run(
            [sys.executable, "-m", "hepjax", "train", asked["config"], *asked["overrides"],
             "--params", folder / "in.json", "--result", folder / "out.json",
             "--run", folder / "run", "--quiet"],
            check=True, cwd=asked["here"],
        )  # fmt: skip
        result = json.loads((folder / "out.json").read_text())
        tune.report({"score": result["score"], "when": time.time(), "held": time.time() - began})

    os.environ.setdefault("RAY_worker_niceness", "0")  # or every trial runs at 15, hepjax's do not
    ray.init(num_cpus=asked["workers"], include_dashboard=False, log_to_driver=False)
    results = tune.Tuner(
        tune.with_resources(trial, {"cpu": 1}),
        param_space={key: tune.uniform(0.0, 1.0) for key in axes},
        tune_config=tune.TuneConfig(
            metric="score", mode="min", num_samples=asked["trials"],
            max_concurrent_trials=asked["workers"],
            search_alg=OptunaSearch() if asked["sampler"] == "tpe" else None,
        ),
        run_config=tune.RunConfig(name="search", storage_path=asked["out"], verbose=0),
    ).fit()  # fmt: skip
    good = [result.metrics if not result.error else None for result in results]
    return [m and Ended(m["when"], m["score"], m["held"]) for m in good]


def print_table(found: dict[str, Found]) -> None:
    print("\n| tool | trials finished | failed | best score | found after s | all after s "
          "| device-seconds |\n" + "|---" * 7 + "|")  # fmt: skip
    for tool, it in found.items():
        best = min(it.ended, key=lambda one: one.score)
        held = sum(one.held for one in it.ended)
        print(f"| {tool} | {len(it.ended)} | {it.failed} | {best.score:.4g} "
              f"| {best.when - it.began:.0f} | {it.seconds:.0f} | {held:.0f} |")  # fmt: skip


def draw(found: dict[str, Found], path: Path) -> None:
    """Best score so far against seconds and against device-seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axis, words in zip(figure.subplots(1, 2), ("seconds", "device-seconds"), strict=True):
        for tool, it in found.items():
            best = np.minimum.accumulate([one.score for one in it.ended])
            held = np.cumsum([one.held for one in it.ended])
            passed = np.array([one.when - it.began for one in it.ended])
            axis.step(
                passed if words == "seconds" else held, best, where="post", marker="o", label=tool
            )
        axis.set(xlabel=words, ylabel="best score so far")
        axis.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    if sys.argv[1:2] == [RAY]:
        print(json.dumps(search_in_ray(json.loads(sys.argv[2]))))
    else:
        main()
