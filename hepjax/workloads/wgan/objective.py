"""Members and their state, losses, and the published update of one of them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hepjax.engine import optimizers
from hepjax.engine.workload import Batch, Clock, Metrics, Spec
from hepjax.workloads.wgan.config import WganConfig
from hepjax.workloads.wgan.model import Critic, Generator

WORST = 1e30
"""A score in place of infinity, which the guard against non-finite updates would take for a
failure."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Networks:
    """Weights and optimizers of a member."""

    generator: Any
    critic: Any
    generator_optimizer: Any
    critic_optimizer: Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """All members on a leading axis, and how each does."""

    each: Networks
    kept: Any
    """The weights of the generators when they had their lowest score at a look."""
    score: jax.Array
    """(members,) lowest score at a look since its last restart; ``WORST`` before the first."""
    improved: jax.Array
    """(members,) int32, update of that score."""
    begun: jax.Array
    """(members,) int32, update of its last restart."""
    restarts: jax.Array
    """(members,) int32."""
    reason: jax.Array
    """(members,) int32, why it restarted last, see restart.py; 0: never did."""
    donor: jax.Array
    """(members,) int32, whose networks it took over then; -1: none, new ones."""
    origin: jax.Array
    """(members,) int32, the member whose generator this was at first; tournaments change it."""


def slice_of(cfg: WganConfig) -> jax.Array:
    """(members,) the slice of each member: all replicas of a slice in a row."""
    return jnp.arange(cfg.members) // cfg.replicas


def networks(cfg: WganConfig) -> tuple[Generator, Critic]:
    """The modules of a configuration."""
    dtype = jnp.dtype(cfg.train.dtype)
    return Generator(cfg.model, cfg.calorimeter.voxels, dtype), Critic(cfg.model, dtype)


def born(cfg: WganConfig, key: jax.Array) -> Networks:
    """A new member."""
    generator, critic = networks(cfg)
    noise, condition = jnp.zeros((1, cfg.model.latent)), jnp.zeros((1, cfg.model.condition))
    k_gen, k_critic = jax.random.split(key)
    made = generator.init(k_gen, noise, condition)["params"]
    judge = critic.init(k_critic, jnp.zeros((1, cfg.calorimeter.voxels)), condition)["params"]
    return fresh(cfg, made, judge)


def fresh(cfg: WganConfig, generator: Any, critic: Any) -> Networks:
    """A member with these weights whose optimizers begin."""
    start = optimizers.init
    return Networks(
        generator, critic, start(cfg.optimizer, generator), start(cfg.optimizer, critic)
    )


def init(cfg: WganConfig, key: jax.Array) -> State:
    """The state before the first update."""
    numbers = jnp.arange(cfg.members, dtype=jnp.int32)
    keys = jax.vmap(lambda m: jax.random.fold_in(key, m))(numbers)
    zeros = jnp.zeros(cfg.members, jnp.int32)
    worst = jnp.full(cfg.members, jnp.float32(WORST))
    each = jax.vmap(lambda k: born(cfg, k))(keys)
    return State(
        each, generators(cfg, each), worst, zeros, zeros, zeros, zeros, zeros - 1, numbers
    )  # fmt: skip


def generators(cfg: WganConfig, each: Networks) -> Any:
    """The weights of the generators of members as they are now."""
    return optimizers.trained(cfg.optimizer, each.generator_optimizer, each.generator)


def answering(cfg: WganConfig, state: State) -> Any:
    """The generators that answer and are validated: each member's best at a look, as published; or
    without looks the last ones."""
    return state.kept if cfg.objective.restart_every else generators(cfg, state.each)


def condition_of(cfg: WganConfig, energy: jax.Array) -> jax.Array:
    """Conditions (n, 1 or 2) of incident energies (n,) in GeV."""
    low, high = cfg.data.energies[0], cfg.data.energies[-1]
    label = (jnp.log(energy / low) / jnp.log(high / low))[:, None]
    return jnp.pad(label, ((0, 0), (0, cfg.model.condition - 1)))


def prepare(cfg: WganConfig, spec: Spec, raw: Batch) -> Batch:
    """``voxels`` (n, slices, voxels) over the incident energy, ``energy`` (n, slices) in GeV, and
    the facts of reference.py."""
    batch = {"voxels": raw["voxels"] / raw["energy"][..., None], "energy": raw["energy"]}
    facts = {name: jnp.array(value, jnp.float32) for name, value in spec.facts}
    return batch | facts | {k: raw[k] for k in ("mask",) if k in raw}


def noise_of(cfg: WganConfig, key: jax.Array, count: int) -> jax.Array:
    """Noise (count, latent)."""
    return 0.5 + 0.5 * jax.random.normal(key, (count, cfg.model.latent))


def critic_loss(
    cfg: WganConfig, params: Any, real: jax.Array, fake: jax.Array, condition: jax.Array,
    key: jax.Array,
) -> jax.Array:  # fmt: skip
    """Wasserstein loss with gradient penalty (Gulrajani et al., arXiv:1704.00028); the condition is
    held fixed in the gradient."""
    critic = networks(cfg)[1]

    def judge(x: jax.Array) -> jax.Array:
        return critic.apply({"params": params}, x, condition)

    share = jax.random.uniform(key, (len(real), 1))
    between = share * real + (1 - share) * fake
    slope = jax.grad(lambda x: judge(x).sum())(between)
    norm = jnp.sqrt(jnp.sum(slope**2, axis=-1) + 1e-12)
    return (
        judge(fake).mean() - judge(real).mean() + cfg.objective.penalty * ((norm - 1.0) ** 2).mean()
    )


class Critics(NamedTuple):
    """What an update of the critic changes."""

    params: Any
    optimizer: Any


def critic_step(
    cfg: WganConfig, generator: Any, state: Critics, real: jax.Array, condition: jax.Array,
    key: jax.Array, rate: jax.Array,
) -> tuple[Critics, jax.Array]:  # fmt: skip
    """One update of the critic on real showers (n, voxels) and as many fakes; its loss before."""
    k_noise, k_share = jax.random.split(key)
    noise = noise_of(cfg, k_noise, len(real))
    fake = networks(cfg)[0].apply({"params": generator}, noise, condition)
    loss, gradient = jax.value_and_grad(
        lambda p: critic_loss(cfg, p, real, fake, condition, k_share)
    )(state.params)
    changed = optimizers.update(cfg.optimizer, state.optimizer, state.params, gradient, rate)
    return Critics(*changed), loss


def member_step(
    cfg: WganConfig, one: Networks, real: jax.Array, energy: jax.Array, key: jax.Array,
    clock: Clock,
) -> tuple[Networks, Metrics]:  # fmt: skip
    """One published update of a member on its events (n, voxels) and (n,): the critic on each part
    of them, then the generator at the energies of the last part."""
    parts = cfg.objective.critic_updates
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, clock.epoch, clock.updates)
    generator, critic = networks(cfg)
    condition = condition_of(cfg, energy).reshape(parts, -1, cfg.model.condition)
    real = real.reshape(parts, -1, real.shape[-1])

    def update_critic(
        state: Critics, inputs: tuple[jax.Array, jax.Array, jax.Array]
    ) -> tuple[Critics, jax.Array]:
        return critic_step(cfg, one.generator, state, *inputs, rate)

    k_critic, k_generator = jax.random.split(key)
    start = Critics(one.critic, one.critic_optimizer)
    keys = jax.random.split(k_critic, parts)
    judge, losses = jax.lax.scan(update_critic, start, (real, condition, keys))

    def generator_loss(params: Any) -> jax.Array:
        noise = noise_of(cfg, k_generator, real.shape[1])
        fake = generator.apply({"params": params}, noise, condition[-1])
        return -critic.apply({"params": judge.params}, fake, condition[-1]).mean()

    loss, gradient = jax.value_and_grad(generator_loss)(one.generator)
    params, own = optimizers.update(
        cfg.optimizer, one.generator_optimizer, one.generator, gradient, rate
    )
    new = Networks(params, judge.params, own, judge.optimizer)
    return new, {"critic_loss": losses.mean(), "generator_loss": loss}


def choose(which: jax.Array, new: Any, old: Any) -> Any:
    """Of each array the members where ``which`` (members,) is true from ``new``."""

    def one(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(which.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(one, new, old)


def generated(cfg: WganConfig, one: Any, energy: jax.Array, noise: jax.Array) -> jax.Array:
    """Voxels (n, voxels) over the incident energies (n,), of the weights of a generator."""
    made: jax.Array = networks(cfg)[0].apply({"params": one}, noise, condition_of(cfg, energy))
    return made
