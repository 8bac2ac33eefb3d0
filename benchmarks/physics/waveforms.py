"""Anomalous waveforms: efficiencies at small backgrounds, and what anomalies in training cost.

python -m benchmarks.physics.waveforms tail RUN --normal 10000000
python -m benchmarks.physics.waveforms contamination data/contamination --shares 0 0.001 0.01 0.1

``tail`` makes pulses on the device, scores them there and keeps the scores alone: 240 MB of 10
million normal pulses. ``contamination`` simulates and trains for each share.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import hepjax
from hepjax.formats.waveforms.layout import DETECTOR, KINDS
from hepjax.physics.waveforms import scores
from hepjax.simulate.waveforms.pulses import pulses
from hepjax.workloads.waveforms import objective

AT_ONCE = 4096
SEED = 77
ANOMALIES_FROM = 2**30
"""Number of the first anomaly: normal pulses never get there."""


@partial(jax.jit, static_argnums=0)
def scored(cfg, params, number, kind):
    """Scores of simulated pulses; the waveforms never leave the device."""
    made = pulses(jnp.int32(SEED), number, kind)
    waveform = made.waveform.astype(jnp.float32) * DETECTOR.count
    return objective.scores(cfg, params, waveform)


def all_scores(run, kind, count, first):
    """Scores and ``area`` of so many pulses of a kind."""
    params, parts = objective.trained(run.cfg, run.state), []
    for low in range(0, count, AT_ONCE):
        number = jnp.arange(first + low, first + low + AT_ONCE, dtype=jnp.int32)
        parts.append(scored(run.cfg, params, number, jnp.full(AT_ONCE, kind, jnp.int32)))
        if len(parts) > 2:
            parts[-3] = jax.device_get(parts[-3])
    parts = jax.device_get(parts)
    return {name: np.concatenate([p[name] for p in parts])[:count] for name in parts[0]}


def values(found, known):
    """All scores combined, and each alone; more is more anomalous."""
    alone = {name: -np.log(p) for name, p in scores.p_values(known, found).items()}
    return {"combined": scores.combined(known, found)} | alone


def tail(args):
    run = hepjax.load(args.run)
    began = time.monotonic()
    normal = all_scores(run, 0, args.normal, 0)
    rate = args.normal / (time.monotonic() - began)
    print(f"{args.normal:,} normal pulses on {jax.devices()[0].device_kind}: {rate:,.0f} pulses/s")
    half = min(args.normal // 2, 200_000)
    known = scores.backgrounds({n: v[:half] for n, v in normal.items()})
    background = values({n: v[half:] for n, v in normal.items()}, known)
    left = args.normal - half
    shares = [b for b in (1e-2, 1e-3, 1e-4, 1e-5) if b * left >= args.above]
    print("score, background | " + " | ".join(KINDS[1:]))
    anomalies = {
        kind: values(all_scores(run, k, args.anomalies, ANOMALIES_FROM), known)
        for k, kind in enumerate(KINDS) if k
    }  # fmt: skip
    for name, normal_values in background.items():
        for share in shares:
            cut = scores.threshold(normal_values, share)
            cells = [scores.efficiency(anomalies[kind][name], cut) for kind in KINDS[1:]]
            texts = " | ".join(f"{e:.3f} ± {d:.3f}" for e, d in cells)
            print(f"{name}, {share:g} | {texts}")


def contamination(args):
    from hepjax.simulate.waveforms.events import write_sets

    for share in args.shares:
        folder = args.folder / f"{share:g}"
        if not (folder / "pulses").exists():
            write_sets(folder / "pulses", args.events, 0, lambda n: None, share)
        settings = {
            "data.files": [str(folder / "pulses/train")],
            "data.test_files": [str(folder / "pulses/test")], "train.epochs": args.epochs,
        }  # fmt: skip
        run = hepjax.train("waveforms/demo", folder / "run", quiet=True, **settings)
        found = run.evaluate([], folder / "run/report")
        for background, kinds in found["efficiency"][args.score].items():
            cells = " | ".join(f"{k} {e:.3f} ± {d:.3f}" for k, (e, d) in kinds.items())
            print(f"contamination {share:g}, background {background} | {cells}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("tail")
    verb.add_argument("run", type=Path)
    verb.add_argument("--normal", type=int, default=10_000_000)
    verb.add_argument("--anomalies", type=int, default=8192, help="of each kind")
    verb.add_argument("--above", type=int, default=100, help="normal pulses above a threshold")
    verb.set_defaults(do=tail)
    verb = verbs.add_parser("contamination")
    verb.add_argument("folder", type=Path)
    verb.add_argument("--shares", nargs="+", type=float, default=[0, 0.001, 0.01, 0.1])
    verb.add_argument("--events", type=int, default=24_000)
    verb.add_argument("--epochs", type=int, default=20)
    verb.add_argument("--score", default="combined")
    verb.set_defaults(do=contamination)
    args = parser.parse_args()
    args.do(args)


if __name__ == "__main__":
    main()
