"""Likelihood, divergence and the update, as pure functions of state, batch and key."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine import optimizers
from hepjax.engine.gradient import mean_gradient
from hepjax.engine.mesh import average, whole
from hepjax.engine.workload import Batch, Clock, Metrics, Spec
from hepjax.physics.waveforms.noise import deviations, negative_log_likelihood
from hepjax.workloads.waveforms import single_pass
from hepjax.workloads.waveforms.config import WaveformsConfig
from hepjax.workloads.waveforms.model import Autoencoder, area_of


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes."""

    params: Any
    optimizer: Any
    seen: single_pass.Seen | None = None
    """Of a single pass: what was read and how the held-out pulses score."""


def init(cfg: WaveformsConfig, key: jax.Array) -> State:
    """The state before the first update."""
    samples = cfg.data.samples
    params = Autoencoder(cfg.model).init(
        key, jnp.ones((1, samples)), jnp.zeros((1, cfg.model.latent))
    )["params"]
    seen = single_pass.nothing(cfg.data.most_shards) if cfg.data.single_pass else None
    return State(params, optimizers.init(cfg.optimizer, params), seen)


def prepare(cfg: WaveformsConfig, spec: Spec, raw: Batch) -> Batch:
    """Waveforms (n, samples) in photoelectrons; of a single pass also which rows train."""
    batch = {"waveform": raw["waveform"].astype(jnp.float32) * spec.fact("scale")}
    if "shard" in raw:
        shards = spec.fact("shards")
        batch["period"] = raw["shard"] * single_pass.PERIODS // shards
    names = ("mask", "shard", "lost", "there", "held")
    return batch | {name: raw[name] for name in names if name in raw}


def reconstructed(
    cfg: WaveformsConfig, params: Any, waveform: jax.Array, noise: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Expected waveforms (n, samples) and the divergence of the latents (n,).

    Args:
      noise: (n, latent) normal; without it the latents are the means.
    """
    if noise is None:
        noise = jnp.zeros((waveform.shape[0], cfg.model.latent), waveform.dtype)
    expected, mean, spread = Autoencoder(cfg.model).apply({"params": params}, waveform, noise)
    # exp(s) - 1 alone would leave no digits of a small divergence.
    divergence = 0.5 * (mean**2 + jnp.expm1(spread) - spread).sum(-1)
    return expected, divergence


def losses(cfg: WaveformsConfig, params: Any, waveform: jax.Array, key: jax.Array) -> jax.Array:
    """Negative evidence lower bound of each pulse (n,), a sample of the latents each; per sample
    of the waveform."""
    noise = jax.random.normal(key, (len(waveform), cfg.model.latent))
    expected, divergence = reconstructed(cfg, params, waveform, noise)
    o = cfg.objective
    terms = negative_log_likelihood(waveform, expected, o.excess, o.noise)
    return (terms + o.beta * divergence) / waveform.shape[1]


def scores(cfg: WaveformsConfig, params: Any, waveform: jax.Array) -> dict[str, jax.Array]:
    """Of each pulse (n,): the scores of ``noise.deviations``, ``kl`` in nats and ``area`` in
    photoelectrons."""
    expected, divergence = reconstructed(cfg, params, waveform)
    found = deviations(waveform, expected, cfg.objective.excess, cfg.objective.noise)
    return found | {"kl": divergence, "area": area_of(waveform)}


def train_step(
    cfg: WaveformsConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update; of a single pass only rows that have a pulse which is not held out train."""
    waveform, seen = batch["waveform"], state.seen
    weight = jnp.ones(waveform.shape[0])
    if seen is not None:
        weight = (batch["there"] & ~batch["held"]).astype(jnp.float32)
    total = jnp.maximum(average(cfg.mesh, weight.sum()) / cfg.train.accumulate, 1.0)

    def loss(params: Any, events: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
        terms = losses(cfg, params, events["waveform"], key)
        return (events["weight"] * terms).sum() / total, {}

    events = {"waveform": waveform, "weight": weight}
    (value, _), gradients = mean_gradient(cfg, loss, state.params, events, key)
    metrics = {"loss": value}
    if seen is not None:
        rows = single_pass.held_rows(batch, cfg.data.validation_fraction)
        found = scores(cfg, trained(cfg, state), waveform[rows])
        seen = single_pass.add(seen, batch, rows, found["chi2"], clock.epoch)
        metrics |= single_pass.summary(seen)
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)
    params, optimizer = optimizers.update(
        cfg.optimizer, state.optimizer, state.params, gradients, rate
    )
    metrics["learning_rate"] = rate
    return replace(state, params=params, optimizer=optimizer, seen=seen), metrics


def trained(cfg: WaveformsConfig, state: State) -> Any:
    """The parameters of a network that learns no more."""
    return whole(cfg.mesh, optimizers.trained(cfg.optimizer, state.optimizer, state.params))
