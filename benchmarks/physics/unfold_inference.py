"""Learnt density ratios beside the exact ones: errors, bias and coverage on the same toys.

python -m benchmarks.physics.unfold_inference --events 60000 --toys 2000
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import hepjax
from hepjax.physics.unfolding import inference
from hepjax.simulate.mixture.toy import (
    BACKGROUND,
    SIGNAL,
    log_densities,
    mixture_samples,
    write_mixture,
)
from hepjax.workloads.nsbi.answer import BATCH, each

POOL = 400_000
"""Events of each process from which toys are drawn; networks have seen none of them."""
GRID = jnp.linspace(0.0, 2.5, 51)
MIXTURE = inference.Mixture(
    jnp.array([[0.0, 0, 1], [1, 0, 0]]), jnp.array([SIGNAL, BACKGROUND])
)  # fmt: skip
PROCESSES = "signal", "background"


def trained(folder, args):
    """A run on signal and background alone."""
    data, run = folder / "data", folder / "run"
    write_mixture(data, args.events, args.seed)
    began, used = time.monotonic(), time.process_time()
    hepjax.train("nsbi/demo", run, **{
        "data.reference": [data / "reference.npz"], "data.processes": list(PROCESSES),
        "data.files": [data / f"{name}.npz" for name in PROCESSES],
        "data.coefficients": [[0, 0, 1], [1, 0, 0]], "data.signed": [], "data.systematics": [],
        "data.varied": [], "data.up": [], "data.down": [], "train.members": args.members,
        "bootstraps": args.members, "train.epochs": args.epochs,
    })  # fmt: skip
    print(
        f"{args.members} members, {2 * args.members} networks: {time.monotonic() - began:.0f} s, "
        f"{time.process_time() - used:.0f} s of processors"
    )
    return hepjax.load(run)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=60_000, help="of each sample to learn from")
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--toys", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    made = mixture_samples(POOL, args.seed + 1)
    x = np.concatenate([
        np.stack([made[name]["sim_x0"], made[name]["sim_x1"]], axis=1) for name in PROCESSES
    ])  # fmt: skip
    known = log_densities(x.astype(float))
    exact = np.stack([known[name] - known["reference"] for name in PROCESSES], axis=1)
    with tempfile.TemporaryDirectory() as folder:
        opened = trained(Path(folder), args)
        given = {"x": x, "theta": np.zeros((len(x), 0), np.float32)}
        answers = opened.model.placed.given(each(opened.cfg), given, BATCH)
        found = np.concatenate([answer["log_ratio"] for answer in answers])
    upto, total = inference.cumulative(np.repeat([SIGNAL, BACKGROUND], POOL) / POOL)
    run = jax.jit(partial(inference.toys, MIXTURE, count=args.toys, most=inference.room(total)))
    for name, log_ratio in {
        "exact": exact, "mean of the logs": found.mean(axis=1), "one member": found[:, 0],
    }.items():  # fmt: skip
        toys = run(log_ratio.astype(np.float32), upto, total, 1.0, GRID, jax.random.key(args.seed))
        (one, e1), (two, e2) = inference.coverage(np.asarray(toys.statistic))
        # Half of the pool is signal and half background, as of the reference.
        rms = np.sqrt(((log_ratio - exact) ** 2).mean(axis=0))
        means = np.exp(log_ratio).mean(axis=0)
        print(
            f"{name}: rms of log r {rms.round(3)}, expectation {means.round(4)}, strength "
            f"{toys.estimate.mean():.3f} +- {toys.estimate.std() / np.sqrt(args.toys):.3f}, width "
            f"{toys.estimate.std():.3f}, coverage {100 * one:.1f} +- {100 * e1:.1f} %, "
            f"{100 * two:.1f} +- {100 * e2:.1f} %"
        )


if __name__ == "__main__":
    main()
