"""The second way to train stage 2: a critic, with the relativistic pairing loss.

A real and a generated shower of the same layers are compared: the critic is to give the real one
the higher score, the generator the generated one. Zero-centred gradient penalties on real (R1) and
generated (R2) showers make the game converge (Huang et al., R3GAN, arXiv:2501.05441).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.engine import optimizers
from hepjax.engine.mesh import average
from hepjax.engine.workload import Clock, Metrics
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.workloads.calo import layers
from hepjax.workloads.calo.config import CaloConfig
from hepjax.workloads.calo.generator import cells_of, log_energy, scores_of
from hepjax.workloads.calo.geometry import plan

Score = Callable[[jax.Array], jax.Array]
"""From events (n, ...) to scores (n,)."""


class Critic(nn.Module):
    """Scores of cells as it sees them, given the layers' energies: convolutions with the depth as
    channels in a box, dense layers elsewhere. No normalisation, as published."""

    calorimeter: Calorimeter
    channels: int

    @nn.compact
    def __call__(self, seen: jax.Array, log_energies: jax.Array) -> jax.Array:
        """(n, layers, cells) and (n, layers) to (n,)."""
        width, conditions = self.channels, 0.2 * log_energies
        if self.calorimeter.cells is not None:
            x = jnp.swapaxes(seen, 1, 2).reshape(len(seen), *self.calorimeter.cells, -1)
            x = nn.silu(nn.Conv(width, (3, 3))(x))
            x = nn.silu(nn.Conv(width, (3, 3), strides=(2, 2))(x))
            x = nn.silu(nn.Conv(2 * width, (3, 3), strides=(2, 2))(x))
        else:
            x = nn.silu(nn.Dense(4 * width)(seen.reshape(len(seen), -1)))
        x = jnp.concatenate([x.reshape(len(x), -1), conditions], axis=1)
        x = nn.silu(nn.Dense(2 * width)(x))
        return nn.Dense(1)(x)[:, 0]


def init(cfg: CaloConfig, key: jax.Array) -> Any:
    """Parameters and optimizer state."""
    shape = plan(cfg.calorimeter).inside.shape
    critic = Critic(cfg.calorimeter, cfg.objective.critic_channels)
    params = critic.init(key, jnp.zeros((1, *shape)), jnp.zeros((1, shape[0])))["params"]
    return {"params": params, "optimizer": optimizers.init(_optimizer(cfg), params)}


def _optimizer(cfg: CaloConfig) -> Any:
    """That of the generator without momentum and average, as published."""
    return replace(cfg.optimizer, beta1=0.0, beta2=0.99, average=0.0)


def seen(cells: jax.Array, energy: jax.Array, threshold: float) -> jax.Array:
    """What the critic sees of cells (n, layers, cells) GeV: their logarithm over the threshold, and
    the root of their share in the layer (n, layers) GeV, of the same order."""
    share = cells / jnp.maximum(energy, threshold)[..., None]
    # The root has no slope at 0; below this an empty cell is as good as one.
    return 0.2 * jnp.log1p(cells / threshold) + jnp.sqrt(share + 1e-6)


def penalty(score: Score, events: jax.Array) -> jax.Array:
    """Mean squared norm of the gradient g of the score in its events.

    Its gradient in the parameters is twice that of g v at v = g, a derivative of the score along v:
    forward, then backward once. Going backward twice takes four times as long.
    """
    slope = jax.lax.stop_gradient(jax.grad(lambda x: score(x).sum())(events))
    _, along = jax.jvp(score, (events,), (slope,))
    return (2.0 * along - (slope**2).reshape(len(events), -1).sum(1)).mean()


def critic_loss(score: Score, real: jax.Array, fake: jax.Array, gamma: float) -> jax.Array:
    """softplus(score(fake) - score(real)) + gamma / 2 (R1 + R2)."""
    pair = jax.nn.softplus(score(fake) - score(real)).mean()
    return pair + 0.5 * gamma * (penalty(score, real) + penalty(score, fake))


def generator_loss(score: Score, real: jax.Array, fake: jax.Array) -> jax.Array:
    """softplus(score(real) - score(fake))."""
    return jax.nn.softplus(score(real) - score(fake)).mean()


def step(
    cfg: CaloConfig, state: Any, gradients: Any, cells: jax.Array, incident: jax.Array,
    key: jax.Array, rate: jax.Array, clock: Clock,
) -> tuple[Any, Any, Metrics]:  # fmt: skip
    """One update of the critic, and the gradients of the generator with those of the critic's game
    in the place of the likelihood's in stage 2. Before ``critic_from`` neither changes anything."""
    on = clock.epoch >= cfg.objective.critic_from
    slope, own, metrics = _game(cfg, state, cells, incident, key)
    judge, moments = state.critic["params"], state.critic["optimizer"]
    new, moments = optimizers.update(_optimizer(cfg), moments, judge, slope, rate)

    # No lax.cond: XLA's convolutions for CPUs are ten times slower inside.
    def chosen(one: Any, other: Any) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(on, a, b), one, other)

    critic = chosen({"params": new, "optimizer": moments}, state.critic)
    own = chosen(own, {name: gradients[name] for name in own})
    return replace(state, critic=critic), gradients | own, metrics


def _game(
    cfg: CaloConfig, state: Any, cells: jax.Array, incident: jax.Array, key: jax.Array
) -> tuple[Any, Any, Metrics]:
    """Gradients of the critic, those of stage 2, and both losses."""
    known, threshold = cfg.calorimeter, cfg.threshold
    k_scores, k_noise = jax.random.split(key)
    true = layers.measured(known, cells, cfg.model.layers.moments)
    found = scores_of(cfg, state.stats, true, incident, k_scores)
    noise = jax.random.normal(k_noise, (len(cells), known.voxels))
    logs = log_energy(cfg, true.energy)
    module = Critic(known, cfg.objective.critic_channels)

    def score(params: Any) -> Score:
        return lambda x: module.apply({"params": params}, x, logs)

    def made(params: Any) -> jax.Array:
        fake = cells_of(cfg, params, state.stats, incident, found, true, noise)
        return seen(fake, true.energy, threshold)

    real, fake = seen(cells, true.energy, threshold), made(state.params)
    judge = state.critic["params"]
    value, slope = jax.value_and_grad(
        lambda p: critic_loss(score(p), real, jax.lax.stop_gradient(fake), cfg.objective.penalty)
    )(judge)
    lost, own = jax.value_and_grad(
        lambda p: generator_loss(score(judge), real, made(state.params | p))
    )({name: state.params[name] for name in state.params if name != "layers"})
    value, slope, lost, own = average(cfg.mesh, (value, slope, lost, own))
    return slope, own, {"critic_loss": value, "generator_loss": lost}
