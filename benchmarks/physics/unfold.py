"""Each iteration of an unfolding of Gaussians beside its exact answer: a table of all members.

python -m benchmarks.physics.unfold --events 100000 --members 2 --iterations 4
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import hepjax
from hepjax.physics.unfolding.exact import gaussian_recursion
from hepjax.simulate.unfolding.files import write_toy
from hepjax.simulate.unfolding.gaussian import NATURE, SIMULATION
from hepjax.workloads.unfold.answer import BATCH, pushes
from hepjax.workloads.unfold.data import spec


def moments(values, weights):
    """Mean and width of weighted values."""
    mean = np.average(values, weights=weights)
    return mean, np.sqrt(np.average((values - mean) ** 2, weights=weights))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--bootstraps", type=int, default=0)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--batch-size", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder) / "data", Path(folder) / "run"
        write_toy(data, "gaussian", args.events, args.seed, lambda n: None)
        began, used = time.monotonic(), time.process_time()
        hepjax.train("unfold/gaussian", run, **{
            "data.measured": [data / "measured"], "data.simulation": [data / "simulation"],
            "train.members": args.members, "unfold.bootstraps": args.bootstraps,
            "unfold.iterations": args.iterations, "unfold.epochs": args.epochs,
            "train.seed": args.seed, "train.batch_size": args.batch_size,
        })  # fmt: skip
        print(
            f"{args.members} members, {args.events:,} events, {args.iterations} iterations: "
            f"{time.monotonic() - began:.0f} s, {time.process_time() - used:.0f} s of processors"
        )
        opened = hepjax.load(run)
        source = opened.judged([])[0]
        function = pushes(opened.cfg, spec(opened.cfg, source))
        answers = opened.model.placed.over(function, source, BATCH)
        found = np.concatenate([answer["push"] for _, answer in answers])
        x = source.samples["simulation"].arrays["gen"][:, 0]
    known = gaussian_recursion(SIMULATION[:2], NATURE[:2], SIMULATION.smearing, args.iterations)
    for k, (mean, width) in enumerate(known):
        each = [moments(x, found[:, m, k]) for m in range(args.members)]
        said = ", ".join(f"{a:.4f} {b:.4f}" for a, b in each)
        print(f"iteration {k + 1}: exact {mean:.4f} {width:.4f}; members {said}")
        spread = np.std(each, axis=0)
        print(f"  mean of members {np.mean(each, axis=0).round(4)}, spread {spread.round(4)}")


if __name__ == "__main__":
    main()
