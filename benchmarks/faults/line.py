"""The smallest training on real shower files; as a script the ``hepjax`` command that knows it.

A linear fit of the energy from the sums of the layers, to be killed by campaign.py:
the command, the engine and the readers are those of any training, the compilation takes a second.
"""

import sys
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import cli
from hepjax.cli import launch
from hepjax.engine.config import (
    CheckpointConfig,
    InputConfig,
    MeshConfig,
    RunConfig,
    TrainConfig,
)
from hepjax.engine.mesh import average
from hepjax.engine.workload import Answer, Field, Sources, Spec, Workload
from hepjax.formats.showers.reader import open_showers
from hepjax.formats.showers.writer import write_showers
from hepjax.formats.source import Part
from hepjax.workloads import table

LAYERS, COPIES = 25, 16
EVENTS, VALIDATION = 96, 16


@dataclass(frozen=True)
class DataConfig:
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class LineConfig(RunConfig):
    """40 updates, 10 an epoch, saved every 4."""

    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(batch_size=8, epochs=4, record_every=1)
    )
    mesh: MeshConfig = field(default_factory=MeshConfig)
    input: InputConfig = field(default_factory=lambda: InputConfig(window=32))
    checkpoint: CheckpointConfig = field(default_factory=lambda: CheckpointConfig(every_steps=4))
    data: DataConfig = field(default_factory=DataConfig)


# ``COPIES`` linear fits side by side, by gradient descent with momentum and noise.


def init(cfg, key):
    shape = (LAYERS, COPIES)
    return {"weight": 0.1 * jax.random.normal(key, shape), "velocity": jnp.zeros(shape)}


def prepare(cfg, spec, raw):
    return raw | {"layers": raw["ecal"].sum((1, 2)), "energy": raw["energy"] / 100}


def losses(weight, batch, key):
    noise = 0.01 * jax.random.normal(key, batch["layers"].shape)
    return jnp.square(((batch["layers"] + noise) @ weight).mean(1) - batch["energy"])


def train_step(cfg, state, batch, key, clock):
    loss_of = jax.value_and_grad(lambda w: losses(w, batch, key).mean())
    loss, grad = average(cfg.mesh, loss_of(state["weight"]))
    velocity = 0.9 * state["velocity"] + grad
    return {"weight": state["weight"] - 0.02 * velocity, "velocity": velocity}, {"loss": loss}


def eval_step(cfg, state, batch, key):
    loss = losses(state["weight"], batch, key)
    return {"loss": (loss * batch["mask"]).sum(), "n": batch["mask"].sum()}


def open_files(cfg, paths):
    return open_showers(paths, cache_bytes=0)  # every batch goes to the files


def sources(cfg):
    source = open_files(cfg, list(map(Path, cfg.data.files)))
    split = len(source) - VALIDATION
    return Sources(Part(source, 0, split), Part(source, split, len(source)))


WORKLOAD = Workload(
    name="line",
    Config=LineConfig,
    score="loss",
    init=init,
    prepare=prepare,
    train_step=train_step,
    eval_step=eval_step,
    summarise=lambda cfg, sums: {"loss": float(sums["loss"] / sums["n"])},
    sources=sources,
    open=open_files,
    inputs=lambda cfg: Spec((Field("layers", (LAYERS,), "float32", "GeV"),)),
    infer=lambda cfg, state, inputs, keys: {"energy": (inputs["layers"] @ state["weight"]).mean(1)},
    outputs=lambda cfg: Answer("table", Spec((Field("energy", (), "float32", "100 GeV"),))),
)


def write_data(folder: Path) -> Path:
    """Made-up showers in two files of the published layout."""
    rng = np.random.default_rng(1)
    energy = rng.uniform(10, 500, EVENTS).astype(np.float32)
    ecal = rng.gamma(0.1, 0.01, (EVENTS, 25, 25, LAYERS)).astype(np.float32)
    ecal *= (0.02 * energy / ecal.sum((1, 2, 3)))[:, None, None, None]
    batch = {"ecal": ecal, "energy": energy}
    write_showers(folder, [batch], layout="fixed", events_per_file=EVENTS // 2)
    return folder


def main(argv: list[str]) -> int:
    """The command line of hepjax where another package has added this workload."""
    point = EntryPoint("line", "benchmarks.faults.line:WORKLOAD", table.GROUP)
    table.entry_points = lambda group: [point]
    launch.HEPJAX = [sys.executable, "-m", "benchmarks.faults.line"]
    return cli.main(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
