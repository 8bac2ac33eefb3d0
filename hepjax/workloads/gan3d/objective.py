"""Losses and the published update of the 3DGAN, as pure functions of state, batch and key."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hepjax.engine import optimizers
from hepjax.engine.gradient import mean_gradient, over_parts
from hepjax.engine.mesh import norm_axis, split_events, spread_events, whole
from hepjax.engine.optimizers import OptimizerConfig
from hepjax.engine.workload import Batch, Clock, Metrics, Spec
from hepjax.ops.densify import densify
from hepjax.physics.calorimeter.observables import published_sampling_fraction
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.model import GRID, Discriminator, Generator

REAL, FAKE = 1.0, 0.0
ENERGY_UNIT = 100.0  # GeV; the networks see incident energies in this unit


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Network:
    """One of the two networks: parameters, batch statistics, averages of the optimizer."""

    params: Any
    stats: Any
    optimizer: Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes."""

    generator: Network
    discriminator: Network


def networks(cfg: Gan3DConfig) -> tuple[Generator, Discriminator]:
    """The modules of a configuration."""
    dtype, axis = jnp.dtype(cfg.train.dtype), norm_axis(cfg.mesh)
    return (
        Generator(cfg.model, dtype, norm_axis=axis),
        Discriminator(cfg.model, dtype, cfg.data.power, norm_axis=axis),
    )


def init(cfg: Gan3DConfig, key: jax.Array) -> State:
    """The state before the first update."""
    generator, discriminator = networks(cfg)
    k_gen, k_disc = jax.random.split(key)
    latent, shower = jnp.zeros((1, cfg.model.latent)), jnp.zeros((1, *GRID, 1))

    def network(variables: Any) -> Network:
        params = variables["params"]
        return Network(params, variables["batch_stats"], optimizers.init(cfg.optimizer, params))

    return State(
        network(generator.init(k_gen, latent, train=False)),
        network(discriminator.init(k_disc, shower, train=False)),
    )


def update(
    cfg: OptimizerConfig, network: Network, gradients: Any, stats: Any, rate: jax.Array
) -> Network:
    """One step of the optimizer at learning rate ``rate``."""
    params, state = optimizers.update(cfg, network.optimizer, network.params, gradients, rate)
    return Network(params, stats, state)


def frozen(cfg: Gan3DConfig, network: Network) -> dict[str, Any]:
    """The variables of a network that computes and does not learn, gathered from the devices."""
    params = optimizers.trained(cfg.optimizer, network.optimizer, network.params)
    return {"params": whole(cfg.mesh, params), "batch_stats": network.stats}


def prepare(cfg: Gan3DConfig, spec: Spec, raw: Batch) -> Batch:
    """Showers and energies in GeV as the networks want them.

    Args:
      raw: ``energy`` (n,), and dense cells ``ecal`` (n, 25, 25, 25) or sparse ones, ``cell`` and
        ``value``, see ``open_showers``.
    Returns:
      ``shower`` (n, 25, 25, 25, 1) in (GeV x scale)^power, ``sum`` (n,) in GeV x scale, ``energy``
      (n,) in 100 GeV.
    """
    cells = raw["ecal"] if "ecal" in raw else densify(raw["cell"], raw["value"], GRID, (1,))[..., 0]
    ecal = jnp.where(cells < cfg.data.threshold, 0.0, cells) * cfg.data.scale
    shower = split_events(cfg.mesh, (ecal**cfg.data.power)[..., None])
    batch = {
        "shower": shower,
        "sum": ecal.sum(axis=(1, 2, 3)),
        "energy": raw["energy"] / ENERGY_UNIT,
    }
    return batch | {k: raw[k] for k in ("mask",) if k in raw}


def cells_in_gev(cfg: Gan3DConfig, shower: jax.Array) -> jax.Array:
    """Cell energies (n, 25, 25, 25) in GeV of showers as the networks see them."""
    return shower[..., 0] ** (1.0 / cfg.data.power) / cfg.data.scale


def mape(truth: jax.Array, prediction: jax.Array) -> jax.Array:
    """Absolute percentage error of each event, the Keras formula with its floor of 1e-7."""
    return 100.0 * jnp.abs(truth - prediction) / jnp.maximum(jnp.abs(truth), 1e-7)


def losses(
    outputs: tuple[jax.Array, jax.Array, jax.Array], label: Any, energy: Any, total: Any
) -> Metrics:
    """The three published terms for each event, (n,): ``bce``, ``energy`` and ``sum``."""
    logit, regressed, visible = outputs
    return {
        "bce": optax.sigmoid_binary_cross_entropy(logit, jnp.broadcast_to(label, logit.shape)),
        "energy": mape(energy, regressed),
        "sum": mape(total, visible),
    }


def total_loss(cfg: Gan3DConfig, terms: Metrics) -> jax.Array:
    """The weighted sum of the terms."""
    weights = cfg.objective
    return (
        weights.weight_generation * terms["bce"]
        + weights.weight_energy * terms["energy"]
        + weights.weight_sum * terms["sum"]
    )


def conditions(cfg: Gan3DConfig, batch: Batch, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Incident energies (100 GeV) and visible energies (GeV x scale) at which fakes are made."""
    if cfg.objective.conditions == "batch":
        return batch["energy"], batch["sum"]
    low, high = cfg.data.energy_range
    energy = jax.random.uniform(key, batch["energy"].shape, minval=low, maxval=high)
    return energy / ENERGY_UNIT, published_sampling_fraction(energy) * energy * cfg.data.scale


def latent(cfg: Gan3DConfig, energy: jax.Array, key: jax.Array) -> jax.Array:
    """Generator input (n, latent): standard normal noise times the energy in 100 GeV."""
    noise = jax.random.normal(key, (energy.shape[0], cfg.model.latent))
    return spread_events(cfg.mesh, energy[:, None] * noise)


def generate(cfg: Gan3DConfig, variables: dict[str, Any], inputs: jax.Array) -> jax.Array:
    """Showers (n, 25, 25, 25, 1) as the networks see them, with the moving batch statistics."""
    shower = networks(cfg)[0].apply(variables, inputs, train=False)
    return split_events(cfg.mesh, shower)


def flip_labels(cfg: Gan3DConfig, label: float, n: int, key: jax.Array) -> jax.Array:
    """(n,) labels, each wrong with the configured probability."""
    flipped = jax.random.bernoulli(key, cfg.objective.label_flip, (n,))
    return jnp.where(flipped, 1.0 - label, label)


def train_discriminator(
    cfg: Gan3DConfig, network: Network, shower: jax.Array, label: float,
    energy: jax.Array, total: jax.Array, rate: jax.Array, key: jax.Array,
) -> tuple[Network, Metrics]:  # fmt: skip
    """One update of the discriminator on showers that are all real or all fake."""
    k_flip, k_drop = jax.random.split(key)
    labels = flip_labels(cfg, label, energy.shape[0], k_flip)

    def loss(params: Any, events: Any, key: jax.Array) -> tuple[jax.Array, tuple[Any, Metrics]]:
        shower, labels, energy, total = events
        outputs, changed = networks(cfg)[1].apply(
            {"params": params, "batch_stats": network.stats}, shower,
            train=True, rngs={"dropout": key}, mutable=["batch_stats"],
        )  # fmt: skip
        terms = losses(outputs, labels, energy, total)
        means = {name: term.mean() for name, term in terms.items()}
        value = total_loss(cfg, means)
        return value, (changed["batch_stats"], means | {"loss": value})

    (_, (stats, metrics)), gradients = mean_gradient(
        cfg, loss, network.params, (shower, labels, energy, total), k_drop
    )
    return update(cfg.optimizer, network, gradients, stats, rate), metrics


def train_generator(
    cfg: Gan3DConfig, state: State, energy: jax.Array, total: jax.Array,
    rate: jax.Array, key: jax.Array,
) -> tuple[State, Metrics]:  # fmt: skip
    """One update of the generator through the discriminator, whose parameters stay.

    The discriminator runs in training mode, so its batch statistics move with the fakes, as in the
    published code.
    """
    k_latent, k_drop = jax.random.split(key)
    inputs = latent(cfg, energy, k_latent)
    generator, discriminator = networks(cfg)
    judge = {
        "params": whole(cfg.mesh, state.discriminator.params),
        "batch_stats": state.discriminator.stats,
    }

    def loss(
        params: Any, events: Any, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, Any, Metrics]]:
        inputs, energy, total = events
        shower, changed = generator.apply(
            {"params": params, "batch_stats": state.generator.stats}, inputs,
            train=True, mutable=["batch_stats"],
        )  # fmt: skip
        outputs, judged = discriminator.apply(
            judge, split_events(cfg.mesh, shower),
            train=True, rngs={"dropout": key}, mutable=["batch_stats"],
        )  # fmt: skip
        terms = losses(outputs, REAL, energy, total)
        means = {name: term.mean() for name, term in terms.items()}
        value = total_loss(cfg, means)
        stats = (changed["batch_stats"], judged["batch_stats"])
        return value, (*stats, means | {"loss": value})

    (_, (stats, judged, metrics)), gradients = mean_gradient(
        cfg, loss, state.generator.params, (inputs, energy, total), k_drop
    )
    return State(
        update(cfg.optimizer, state.generator, gradients, stats, rate),
        replace(state.discriminator, stats=judged),
    ), metrics


def train_step(
    cfg: Gan3DConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One published update: discriminator on real, on fake, then the generator twice.

    Source: svalleco/3Dgan, branch Energy-gan. Real and fake are separate updates, so each has its
    own batch statistics; the fakes of the discriminator come from the generator in inference mode.
    """
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)
    k_energy, k_latent, k_real, k_fake, *k_rounds = jax.random.split(key, 6)
    energy, total = conditions(cfg, batch, k_energy)
    generator = {
        "params": whole(cfg.mesh, state.generator.params), "batch_stats": state.generator.stats
    }  # fmt: skip
    fake = over_parts(cfg, partial(generate, cfg, generator), latent(cfg, energy, k_latent))

    discriminator, on_real = train_discriminator(
        cfg, state.discriminator, batch["shower"], REAL, batch["energy"], batch["sum"], rate, k_real
    )
    discriminator, on_fake = train_discriminator(
        cfg, discriminator, fake, FAKE, energy, total, rate, k_fake
    )
    state = replace(state, discriminator=discriminator)
    rounds = []
    for k_round in k_rounds:
        k_energy, k_train = jax.random.split(k_round)
        energy, total = conditions(cfg, batch, k_energy)
        state, metrics = train_generator(cfg, state, energy, total, rate, k_train)
        rounds.append(metrics)
    metrics = {f"gen_{name}": (rounds[0][name] + rounds[1][name]) / 2 for name in rounds[0]}
    metrics |= {f"real_{name}": v for name, v in on_real.items() if name != "sum"}
    metrics |= {f"fake_{name}": v for name, v in on_fake.items()}
    return state, metrics | {"learning_rate": rate}
