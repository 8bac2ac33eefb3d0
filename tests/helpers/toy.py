"""The smallest workload: a line fitted with momentum. As a script it trains, to be killed.

Its data say how the engine treats any workload, in milliseconds instead of minutes.
"""

import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.engine.checkpoint import restore
from hepjax.engine.config import (
    CheckpointConfig,
    InputConfig,
    MeshConfig,
    RunConfig,
    TrainConfig,
)
from hepjax.engine.mesh import average
from hepjax.engine.step import init_state
from hepjax.engine.workload import Answer, Field, Sources, Spec, Workload
from hepjax.formats.source import Part


@dataclass(frozen=True)
class ToyConfig(RunConfig):
    train: TrainConfig = field(default_factory=lambda: TrainConfig(batch_size=8, epochs=4))
    mesh: MeshConfig = field(default_factory=lambda: MeshConfig(devices=1))
    input: InputConfig = field(default_factory=lambda: InputConfig(window=16))
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    poison: int = -1
    """This event is NaN."""
    noise: float = 0.01
    delay: float = 0.0
    """Seconds that reading a batch takes."""


class Line:
    """64 events on y = 3 mean(x) with a little noise."""

    def __init__(self, poison: int = -1, delay: float = 0.0, n: int = 64) -> None:
        rng = np.random.default_rng(7)
        self.x = rng.normal(size=(n, 32)).astype(np.float32)
        self.y = (3 * self.x.mean(1) + 0.1 * rng.normal(size=n)).astype(np.float32)
        if poison >= 0:
            self.y[poison] = np.nan
        self.delay = delay

    @property
    def blocks(self):
        return np.arange(0, len(self.x) + 1, 4)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, indices):
        time.sleep(self.delay)
        return {"x": self.x[indices], "y": self.y[indices]}


def init(cfg, key):
    return {"w": 0.1 * jax.random.normal(key, (32, 64)), "v": jnp.zeros((32, 64))}


def losses(cfg, w, batch, key):
    noise = cfg.noise * jax.random.normal(key, batch["x"].shape)
    return jnp.square(((batch["x"] + noise) @ w).mean(1) - batch["y"])


def gradient(cfg, w, batch, key):
    """The mean loss and its gradient."""
    differentiated = jax.value_and_grad(lambda w: losses(cfg, w, batch, key).mean())
    return average(cfg.mesh, differentiated(w))


def train_step(cfg, state, batch, key, clock):
    loss, grad = gradient(cfg, state["w"], batch, key)
    v = 0.9 * state["v"] + grad
    return {"w": state["w"] - 0.3 * v, "v": v}, {"loss": loss}


def eval_step(cfg, state, batch, key):
    loss = losses(cfg, state["w"], batch, key)
    return {"loss": (loss * batch["mask"]).sum(), "n": batch["mask"].sum()}


def summarise(cfg, sums):
    return {"loss": float(sums["loss"] / sums["n"]), "n": float(sums["n"])}


def sources(cfg):
    line = Line(cfg.poison, cfg.delay)
    return Sources(Part(line, 0, 52), Part(line, 52, 64))


TOY = Workload(
    name="toy",
    Config=ToyConfig,
    score="loss",
    init=init,
    prepare=lambda cfg, spec, raw: raw,
    train_step=train_step,
    eval_step=eval_step,
    summarise=summarise,
    sources=sources,
    open=lambda cfg, paths: Line(delay=cfg.delay),
    inputs=lambda cfg: Spec((Field("x", (32,), "float32"),)),
    infer=lambda cfg, state, inputs, keys: {"y": (inputs["x"] @ state["w"]).mean(1)},
    outputs=lambda cfg: Answer("table", Spec((Field("y", (), "float32"),)), at_once=16),
)


def in_the_table(monkeypatch, *named: str) -> None:
    """Let the table of workloads have this one, as if another package had added it.

    Args:
      named: ``name = module:object`` of further ones.
    """
    from hepjax.workloads import table

    texts = ("toy = helpers.toy:TOY", *named)
    points = [EntryPoint(*text.split(" = "), table.GROUP) for text in texts]
    monkeypatch.setattr(table, "entry_points", lambda group: points)
    table._load.cache_clear()


TOTAL = 4 * (52 // 8)
"""Updates of a run of ``ToyConfig()``."""


def final_state(run: Path, step: int = TOTAL, workload: Workload = TOY, cfg=None):
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    cfg = ToyConfig() if cfg is None else cfg
    abstract = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here),
        jax.eval_shape(lambda: init_state(workload, cfg)),
    )
    return jax.device_get(restore(run / "checkpoints", step, abstract))


if __name__ == "__main__":
    from hepjax.engine.group.processes import interruption, join, leaving_at_once
    from hepjax.engine.train import train

    processes, folder = join(), Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    toy = ToyConfig(
        TrainConfig(batch_size=8, epochs=4, record_every=2),
        MeshConfig(devices=processes),
        checkpoint=CheckpointConfig(every_steps=4),
        delay=float(sys.argv[2]),
    )
    with leaving_at_once():
        train(TOY, toy, folder, quiet=True, interrupted=interruption([]))
