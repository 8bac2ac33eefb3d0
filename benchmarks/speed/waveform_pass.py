"""A single pass over shards of waveforms: what reading, scoring and training cost a core.

python -m benchmarks.speed.waveform_pass FOLDER --shards 8 --pulses 65536

FOLDER gets shards of noise pulses the first time; what is in them does not matter for the speed.
Prints pulses/s and GB/s of each stage, as wall clock over the threads that jax and the readers use,
and per second of processor time, which is what a core does when it has nothing else to do.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.engine.config import InputConfig, MeshConfig, TrainConfig
from hepjax.engine.input import training_batches
from hepjax.engine.workload import Clock
from hepjax.formats.waveforms.hdf5 import Meaning
from hepjax.formats.waveforms.layout import DETECTOR, EVENT
from hepjax.formats.waveforms.pack import write_manifest
from hepjax.formats.waveforms.packed import Set, describe_shard, read_set, read_shard
from hepjax.formats.waveforms.writer import write_waveforms
from hepjax.workloads.waveforms import data, objective
from hepjax.workloads.waveforms.config import DataConfig, WaveformsConfig

MONTH = 30 * 86400
PETABYTES = 5e15


def make(folder, shards, pulses):
    """Shards of noise, unless they are there."""
    if (folder / "manifest.json").exists():
        return read_set([folder])
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    waveform = rng.normal(100, 19, (pulses, DETECTOR.samples)).astype(np.int16)
    made = []
    for k in range(shards):
        path = folder / f"shard-{k:06d}.h5"
        event = k * pulses + np.arange(pulses)
        write_waveforms(path, {"waveform": waveform, EVENT: event}, DETECTOR.count, 20.0)
        made.append(describe_shard(path, pulses))
    meaning = Meaning(DETECTOR.samples, "int16", DETECTOR.count, (EVENT,))
    write_manifest(folder, Set(meaning, 20.0, tuple(made)), "")
    return read_set([folder])


def timed(name, found, work):
    """Run ``work``, which returns a number of pulses, and print what it cost."""
    wall, processor = time.monotonic(), time.process_time()
    pulses = work()
    wall, processor = time.monotonic() - wall, time.process_time() - processor
    size = found.bytes / found.events
    print(
        f"{name}: {pulses:,} pulses, {pulses / wall:,.0f} pulses/s wall clock, "
        f"{pulses / processor:,.0f} pulses/s ({pulses * size / processor / 1e9:.3f} GB/s) a core"
    )
    return pulses / processor


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--pulses", type=int, default=65536, help="of a shard")
    parser.add_argument("--updates", type=int, default=200, help="of the training that is timed")
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--lanes", type=int, default=4)
    args = parser.parse_args()
    found = make(args.folder, args.shards, args.pulses)
    cfg = WaveformsConfig(
        train=TrainConfig(batch_size=args.batch_size, epochs=1),
        input=InputConfig(window=args.lanes * args.pulses), mesh=MeshConfig(devices=1),
        data=DataConfig(files=(str(args.folder),), single_pass=True, lanes=args.lanes),
    )  # fmt: skip
    timed("shards, checked", found, lambda: sum(
        len(read_shard(shard, found.meaning)[EVENT]) for shard in found.shards))  # fmt: skip
    stream = data.open_pass(cfg)
    total = stream.updates(args.batch_size)

    def batches():
        read = training_batches(stream, cfg.input, args.batch_size, 0, 0, total)
        return sum(int(batch["there"].sum()) for batch in read)

    reading = timed("batches of the pass", found, batches)
    spec = data.spec(cfg, stream)
    raw = stream.batch(0, args.batch_size, cfg.input.window, 0, 0, 1)
    batch = objective.prepare(cfg, spec, {k: jnp.asarray(v) for k, v in raw.items() if k != EVENT})
    state = jax.jit(lambda: objective.init(cfg, jax.random.key(0)))()
    clock = Clock(jnp.float32(0.5), jnp.int32(0))
    step = jax.jit(lambda s, b, k: objective.train_step(cfg, s, b, k, clock)[0], donate_argnums=0)
    state = jax.block_until_ready(step(state, batch, jax.random.key(0)))

    def train():
        nonlocal state
        for k in range(args.updates):
            state = step(state, batch, jax.random.key(k))
        jax.block_until_ready(state)
        return args.updates * args.batch_size

    training = timed("training", found, train)
    plain = replace(cfg, data=replace(cfg.data, single_pass=False))
    score = jax.jit(lambda p, w: objective.scores(plain, p, w)["chi2"])
    jax.block_until_ready(score(state.params, batch["waveform"]))

    def judge():
        for _ in range(args.updates):
            last = score(state.params, batch["waveform"])
        jax.block_until_ready(last)
        return args.updates * args.batch_size

    scoring = timed("scoring", found, judge)
    size = found.bytes / found.events
    needed = PETABYTES / size / MONTH
    print(
        f"5 PB in 30 days: {PETABYTES / MONTH / 1e9:.2f} GB/s, {needed:,.0f} pulses/s of "
        f"{size:,.0f} bytes; cores to read {needed / reading:,.1f}, to score "
        f"{needed / scoring:,.1f}, to train {needed / training:,.1f}"
    )


if __name__ == "__main__":
    main()
