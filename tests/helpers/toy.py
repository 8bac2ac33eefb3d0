"""The smallest workload: a line fitted with momentum. As a script it trains, to be killed.

Its data say how the engine treats any workload, in milliseconds instead of minutes.
"""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.engine.checkpoint import restore
from hepjax.engine.config import CheckpointConfig, InputConfig, MeshConfig, TrainConfig
from hepjax.engine.mesh import average
from hepjax.engine.train import init_state
from hepjax.engine.workload import Sources
from hepjax.formats.source import Part


@dataclass(frozen=True)
class ToyConfig:
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


class Toy:
    name, Config, score = "toy", ToyConfig, "loss"

    def init(self, cfg, key):
        return {"w": 0.1 * jax.random.normal(key, (32, 64)), "v": jnp.zeros((32, 64))}

    def prepare(self, cfg, raw):
        return raw

    def _loss(self, cfg, w, batch, key):
        noise = cfg.noise * jax.random.normal(key, batch["x"].shape)
        return jnp.square(((batch["x"] + noise) @ w).mean(1) - batch["y"])

    def train_step(self, cfg, state, batch, key, epoch):
        differentiated = jax.value_and_grad(lambda w: self._loss(cfg, w, batch, key).mean())
        loss, grad = average(cfg.mesh, differentiated(state["w"]))
        v = 0.9 * state["v"] + grad
        return {"w": state["w"] - 0.3 * v, "v": v}, {"loss": loss}

    def eval_step(self, cfg, state, batch, key):
        loss = self._loss(cfg, state["w"], batch, key)
        return {"loss": (loss * batch["mask"]).sum(), "n": batch["mask"].sum()}

    def summarise(self, cfg, sums):
        return {"loss": float(sums["loss"] / sums["n"]), "n": float(sums["n"])}

    def failure(self, cfg, step, metrics):
        return None

    def sources(self, cfg):
        line = Line(cfg.poison, cfg.delay)
        return Sources(Part(line, 0, 52), Part(line, 52, 64))


TOTAL = 4 * (52 // 8)
"""Updates of a run of ``ToyConfig()``."""


def final_state(run: Path, step: int = TOTAL):
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here),
        jax.eval_shape(lambda: init_state(Toy(), ToyConfig())),
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
        train(Toy(), toy, folder, quiet=True, interrupted=interruption([]))
