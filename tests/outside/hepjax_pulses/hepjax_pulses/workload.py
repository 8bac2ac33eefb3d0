"""The height of a pulse, by a small network: the whole contract in one file.

hepjax simulate pulses --events 2000 --out data/pulses
hepjax train src/hepjax_pulses/pulses.yaml --devices 2
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.engine import optimizers
from hepjax.engine.bounds import Count
from hepjax.engine.config import RunConfig, TrainConfig
from hepjax.engine.gradient import mean_gradient
from hepjax.engine.mesh import whole
from hepjax.engine.optimizers import OptimizerConfig
from hepjax.engine.workload import (
    Answer,
    Batch,
    Benchmark,
    Clock,
    Field,
    Metrics,
    Sources,
    Spec,
    Workload,
)
from hepjax.formats.source import Source, divided
from hepjax.workloads.families import Family
from hepjax_pulses import files

CONFIG = str(Path(__file__).with_name("pulses.yaml"))


@dataclass(frozen=True)
class ModelConfig:
    """The network."""

    width: Count = 32
    """Features of the hidden layer."""


@dataclass(frozen=True)
class DataConfig:
    """Which pulses."""

    files: tuple[str, ...] = ("data/pulses",)
    """Files or folders; the last tenth is for validation."""
    validation_files: tuple[str, ...] = ()
    """Validation pulses, if not the last tenth."""


@dataclass(frozen=True)
class PulseConfig(RunConfig):
    """Everything that defines a training."""

    train: TrainConfig = field(default_factory=lambda: TrainConfig(batch_size=32, epochs=5))
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=1e-2))
    data: DataConfig = field(default_factory=DataConfig)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes."""

    params: Any
    optimizer: Any


class Network(nn.Module):
    """Pulse (n, 32) to height (n,)."""

    width: int

    @nn.compact
    def __call__(self, pulse: jax.Array) -> jax.Array:
        return nn.Dense(1)(nn.relu(nn.Dense(self.width)(pulse)))[:, 0]


def init(cfg: PulseConfig, key: jax.Array) -> State:
    """The state before the first update."""
    params = Network(cfg.model.width).init(key, jnp.zeros((1, files.SAMPLES)))["params"]
    return State(params, optimizers.init(cfg.optimizer, params))


def prepare(cfg: PulseConfig, spec: Spec, raw: Batch) -> Batch:
    """Pulses need nothing."""
    return raw


def train_step(
    cfg: PulseConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update on the mean squared error."""

    def loss(params: Any, events: Any, key: jax.Array) -> tuple[jax.Array, Metrics]:
        pulse, height = events
        found = Network(cfg.model.width).apply({"params": params}, pulse)
        value = jnp.square(found - height).mean()
        return value, {"loss": value}

    (_, metrics), gradients = mean_gradient(
        cfg, loss, state.params, (batch["pulse"], batch["height"]), key
    )
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)
    params, moments = optimizers.update(
        cfg.optimizer, state.optimizer, state.params, gradients, rate
    )
    return State(params, moments), metrics | {"learning_rate": rate}


def infer(cfg: PulseConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """Heights (n,)."""
    params = whole(cfg.mesh, optimizers.trained(cfg.optimizer, state.optimizer, state.params))
    return {"height": Network(cfg.model.width).apply({"params": params}, inputs["pulse"])}


def eval_step(cfg: PulseConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums of squared errors."""
    found = infer(cfg, state, batch, key)["height"]
    squares = jnp.square(found - batch["height"])
    return {"squares": (squares * batch["mask"]).sum(), "events": batch["mask"].sum()}


def summarise(cfg: PulseConfig, sums: dict[str, Any]) -> dict[str, Any]:
    """Root mean square error."""
    return {"rms": float(sums["squares"] / sums["events"]) ** 0.5}


def open_pulses(cfg: PulseConfig, paths: list[Path]) -> Source:
    """Pulses of these files."""
    return files.Pulses(paths)


def sources(cfg: PulseConfig) -> Sources:
    """Training and validation pulses."""
    source = open_pulses(cfg, [Path(p) for p in cfg.data.files])
    if cfg.data.validation_files:
        return Sources(source, open_pulses(cfg, [Path(p) for p in cfg.data.validation_files]))
    return Sources(*divided(source, 0.1, "pulses"))


WORKLOAD: Workload[PulseConfig, State] = Workload(
    name="pulses",
    Config=PulseConfig,
    score="rms",
    init=init,
    prepare=prepare,
    train_step=train_step,
    eval_step=eval_step,
    summarise=summarise,
    sources=sources,
    open=open_pulses,
    inputs=lambda cfg: Spec((Field("pulse", (files.SAMPLES,), "float32"),)),
    infer=infer,
    outputs=lambda cfg: Answer("table", Spec((Field("height", (), "float32"),))),
    benchmark=Benchmark(CONFIG, "pulses", events=128, complete=1024),
    simulations={"pulses": files.simulate},
    files=Family("pulses", "hepjax_pulses.files", read=files.Pulses, recognises=files.is_pulses),
)
