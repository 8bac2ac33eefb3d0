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
from hepjax.physics.calorimeter.observables import measured_angle, published_sampling_fraction
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.geometry import closed, image, to_cells, to_image
from hepjax.workloads.gan3d.heads import Answers, bin_counts
from hepjax.workloads.gan3d.model import Discriminator, Generator
from hepjax.workloads.gan3d.response import response_loss

REAL, FAKE = 1.0, 0.0
ENERGY_UNIT = 100.0  # GeV; the networks see incident energies in this unit
FROM_CELLS = ("sum", "angle", "counts")
"""Terms of the loss that real showers meet without error, whatever the discriminator is."""


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
    meets = closed(cfg.calorimeter)
    return (
        Generator(cfg.model, dtype, meets, axis),
        Discriminator(cfg.model, dtype, meets, cfg.data.scale, cfg.data.power, axis),
    )  # fmt: skip


def init(cfg: Gan3DConfig, key: jax.Array) -> State:
    """The state before the first update."""
    generator, discriminator = networks(cfg)
    k_gen, k_disc = jax.random.split(key)
    latent = jnp.zeros((1, cfg.model.latent))
    shower = jnp.zeros((1, *image(cfg.calorimeter), 1))

    def network(variables: Any) -> Network:
        params = variables["params"]
        stats = variables.get("batch_stats", {})
        return Network(params, stats, optimizers.init(cfg.optimizer, params))

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
    """Showers and what they were made with, as the networks want them.

    Args:
      raw: ``energy`` (n,) GeV, and dense cells ``ecal`` (n, *calorimeter.shape) or sparse ones,
        ``cell`` and ``value``, see ``open_showers``; ``theta`` (n,) rad if the angle is an input.
    Returns:
      ``shower`` (n, *image, 1) in (GeV x scale)^power, and of each event what ``truth_of`` names.
    """
    shape = cfg.calorimeter.shape
    cells = (
        raw["ecal"] if "ecal" in raw else densify(raw["cell"], raw["value"], shape, (1,))[..., 0]
    )
    cells = to_image(cfg.calorimeter, cells)
    ecal = jnp.where(cells < cfg.threshold, 0.0, cells) * cfg.data.scale
    shower = split_events(cfg.mesh, (ecal**cfg.data.power)[..., None])
    batch = {
        "shower": shower,
        "sum": ecal.sum(axis=tuple(range(1, ecal.ndim))),
        "energy": raw["energy"] / ENERGY_UNIT,
    }
    # Of the cells that the networks see: a file's own angle is that of all its cells.
    if "angle" in cfg.model.heads:
        batch["angle"] = measured_angle(ecal)
    if "counts" in cfg.model.heads:
        batch["counts"] = bin_counts(ecal / cfg.data.scale)
    if cfg.with_angle:
        batch["theta"] = raw["theta"] if cfg.data.angle == "theta" else measured_angle(ecal)
    return batch | {k: raw[k] for k in ("mask",) if k in raw}


def truth_of(batch: Batch) -> Batch:
    """What is known of each event beside its cells: ``energy`` (n,) in 100 GeV, ``sum`` (n,) in
    GeV x scale, and where the model has them ``theta`` (n,) rad, an input, ``angle`` (n,) rad,
    measured from the cells, and ``counts`` (n, 8)."""
    names = ("energy", "sum", "theta", "angle", "counts")
    return {name: batch[name] for name in names if name in batch}


def cells_in_gev(cfg: Gan3DConfig, shower: jax.Array) -> jax.Array:
    """Images (n, *image) of cell energies in GeV of showers as the networks see them."""
    return shower[..., 0] ** (1.0 / cfg.data.power) / cfg.data.scale


def generated_cells(cfg: Gan3DConfig, shower: jax.Array) -> jax.Array:
    """Cells (n, *calorimeter.shape) in GeV, above the threshold that training showers passed."""
    cells = cells_in_gev(cfg, shower)
    return to_cells(cfg.calorimeter, jnp.where(cells < cfg.threshold, 0.0, cells))


def mape(truth: jax.Array, prediction: jax.Array) -> jax.Array:
    """Absolute percentage error, the Keras formula with its floor of 1e-7."""
    return 100.0 * jnp.abs(truth - prediction) / jnp.maximum(jnp.abs(truth), 1e-7)


def losses(answers: Answers, label: Any, truth: Batch) -> Metrics:
    """The published terms for each event, (n,), those of the heads that there are."""
    logit = answers["real"]
    terms = {"bce": optax.sigmoid_binary_cross_entropy(logit, jnp.broadcast_to(label, logit.shape))}
    for name in ("energy", "sum"):
        if name in answers:
            terms[name] = mape(truth[name], answers[name])
    if "angle" in answers:
        terms["angle"] = jnp.abs(truth["angle"] - answers["angle"])
    if "counts" in answers:
        # Published: no cell counts as one, which keeps the percentage finite.
        counts = jnp.maximum(truth["counts"], 1.0)
        terms["counts"] = mape(counts, answers["counts"]).mean(1)
    return terms


def total_loss(cfg: Gan3DConfig, terms: Metrics) -> jax.Array:
    """The weighted sum of the terms."""
    o = cfg.objective
    weights = {
        "energy": o.weight_energy, "sum": o.weight_sum, "angle": o.weight_angle,
        "counts": o.weight_counts,
    }  # fmt: skip
    total = o.weight_generation * terms["bce"]
    for name, weight in weights.items():
        if name in terms:
            total = total + weight * terms[name]
    return total


def conditions(cfg: Gan3DConfig, batch: Batch, key: jax.Array) -> Batch:
    """The truth, see ``truth_of``, with which fakes are made."""
    if cfg.objective.conditions == "batch":
        return truth_of(batch)
    low, high = cfg.energies
    energy = jax.random.uniform(key, batch["energy"].shape, minval=low, maxval=high)
    visible = published_sampling_fraction(energy) * energy * cfg.data.scale
    return {"energy": energy / ENERGY_UNIT, "sum": visible}


def noise_size(cfg: Gan3DConfig) -> int:
    """Normal numbers in the input of the generator."""
    return cfg.model.latent - {"product": 0, "energy": 1, "energy-angle": 2}[cfg.model.inputs]


def with_noise(cfg: Gan3DConfig, truth: Batch, noise: jax.Array) -> jax.Array:
    """Generator input (n, latent): the conditions of each event and its ``noise``.

    Args:
      truth: ``energy`` (n,) in 100 GeV, and ``theta`` (n,) rad if the angle is an input.
      noise: (n, noise_size) standard normal.
    """
    energy = truth["energy"][:, None]
    if cfg.model.inputs == "product":
        return energy * noise
    if cfg.with_angle:
        return jnp.concatenate([energy, truth["theta"][:, None], noise], axis=1)
    return jnp.concatenate([energy * (ENERGY_UNIT / cfg.energies[1]), noise], axis=1)


def latent(cfg: Gan3DConfig, truth: Batch, key: jax.Array) -> jax.Array:
    """Generator input (n, latent) with noise of its own, see ``with_noise``."""
    noise = jax.random.normal(key, (truth["energy"].shape[0], noise_size(cfg)))
    return spread_events(cfg.mesh, with_noise(cfg, truth, noise))


def generate(cfg: Gan3DConfig, variables: dict[str, Any], inputs: jax.Array) -> jax.Array:
    """Showers (n, *image, 1) as the networks see them, with the moving batch statistics."""
    shower = networks(cfg)[0].apply(variables, inputs, train=False)
    return split_events(cfg.mesh, shower)


def flip_labels(cfg: Gan3DConfig, label: float, n: int, key: jax.Array) -> jax.Array:
    """(n,) labels, each wrong with the configured probability."""
    flipped = jax.random.bernoulli(key, cfg.objective.label_flip, (n,))
    return jnp.where(flipped, 1.0 - label, label)


def discriminator_loss(
    cfg: Gan3DConfig, stats: Any, gamma: float, params: Any, events: tuple[Any, ...], key: jax.Array
) -> tuple[jax.Array, tuple[Any, Metrics]]:
    """The loss, and new batch statistics and its terms.

    Args:
      gamma: of the penalty, the mean squared gradient of the logit in the showers. It is that of
        the function which the generator learns from: with batch statistics and dropout.
      events: showers, labels, and what is known of them.
    """
    shower, labels, truth = events

    def judged(shower: jax.Array) -> tuple[jax.Array, tuple[Answers, Any]]:
        answers, changed = networks(cfg)[1].apply(
            {"params": params, "batch_stats": stats}, shower,
            train=True, rngs={"dropout": key}, mutable=["batch_stats"],
        )  # fmt: skip
        return answers["real"].sum(), (answers, changed)

    if gamma:
        slopes, (answers, changed) = jax.grad(judged, has_aux=True)(shower)
    else:
        _, (answers, changed) = judged(shower)
    means = {name: term.mean() for name, term in losses(answers, labels, truth).items()}
    value = total_loss(cfg, means)
    if gamma:
        means["penalty"] = (slopes**2).reshape(len(slopes), -1).sum(1).mean()
        value = value + 0.5 * gamma * means["penalty"]
    return value, (changed.get("batch_stats", {}), means | {"loss": value})


def train_discriminator(
    cfg: Gan3DConfig, network: Network, shower: jax.Array, label: float, truth: Batch,
    rate: jax.Array, key: jax.Array,
) -> tuple[Network, Metrics]:  # fmt: skip
    """One update of the discriminator on showers that are all real or all fake."""
    k_flip, k_drop = jax.random.split(key)
    labels = flip_labels(cfg, label, shower.shape[0], k_flip)
    o = cfg.objective
    gamma = o.penalty_real if label == REAL else o.penalty_fake
    loss = partial(discriminator_loss, cfg, network.stats, gamma)
    (_, (stats, metrics)), gradients = mean_gradient(
        cfg, loss, network.params, (shower, labels, truth), k_drop
    )
    return update(cfg.optimizer, network, gradients, stats, rate * o.discriminator_rate), metrics


def train_generator(
    cfg: Gan3DConfig, state: State, truth: Batch, rate: jax.Array, key: jax.Array
) -> tuple[State, Metrics]:
    """One update of the generator through the discriminator, whose parameters stay.

    The discriminator runs in training mode, so its batch statistics move with the fakes, as in the
    published code.

    Args:
      truth: see ``conditions``; with ``response``, if the loss has it, that of real showers (n,).
    """
    k_latent, k_drop = jax.random.split(key)
    inputs = latent(cfg, truth, k_latent)
    generator, discriminator = networks(cfg)
    judge = {
        "params": whole(cfg.mesh, state.discriminator.params),
        "batch_stats": state.discriminator.stats,
    }

    def loss(
        params: Any, events: Any, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, Any, Metrics]]:
        inputs, truth = events
        shower, changed = generator.apply(
            {"params": params, "batch_stats": state.generator.stats}, inputs,
            train=True, mutable=["batch_stats"],
        )  # fmt: skip
        answers, judged = discriminator.apply(
            judge, split_events(cfg.mesh, shower),
            train=True, rngs={"dropout": key}, mutable=["batch_stats"],
        )  # fmt: skip
        means = {name: term.mean() for name, term in losses(answers, REAL, truth).items()}
        value = total_loss(cfg, means)
        if "response" in truth:
            visible = cells_in_gev(cfg, shower).reshape(len(shower), -1).sum(1)
            means["response"] = response_loss(visible / truth["energy"], truth["response"])
            value = value + cfg.objective.weight_response * means["response"]
        stats = (changed.get("batch_stats", {}), judged.get("batch_stats", {}))
        return value, (*stats, means | {"loss": value})

    (_, (stats, judged, metrics)), gradients = mean_gradient(
        cfg, loss, state.generator.params, (inputs, truth), k_drop
    )
    return State(
        update(cfg.optimizer, state.generator, gradients, stats, rate),
        replace(state.discriminator, stats=judged),
    ), metrics


def train_step(
    cfg: Gan3DConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One published update: discriminator on real, on fake, then the generator twice.

    Source: svalleco/3Dgan, branches Energy-gan and Anglegan. Real and fake are separate updates, so
    each has its own batch statistics; the fakes of the discriminator come from the generator in
    inference mode.
    """
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)
    k_energy, k_latent, k_real, k_fake, *k_rounds = jax.random.split(key, 6)
    asked = conditions(cfg, batch, k_energy)
    generator = {
        "params": whole(cfg.mesh, state.generator.params), "batch_stats": state.generator.stats
    }  # fmt: skip
    fake = over_parts(cfg, partial(generate, cfg, generator), latent(cfg, asked, k_latent))

    discriminator, on_real = train_discriminator(
        cfg, state.discriminator, batch["shower"], REAL, truth_of(batch), rate, k_real
    )
    discriminator, on_fake = train_discriminator(
        cfg, discriminator, fake, FAKE, asked, rate, k_fake
    )
    state = replace(state, discriminator=discriminator)
    response = {}
    if cfg.objective.weight_response:
        response["response"] = batch["sum"] / (cfg.data.scale * batch["energy"])
    rounds = []
    for k_round in k_rounds:
        k_energy, k_train = jax.random.split(k_round)
        asked = conditions(cfg, batch, k_energy)
        state, metrics = train_generator(cfg, state, asked | response, rate, k_train)
        rounds.append(metrics)
    metrics = {f"gen_{name}": (rounds[0][name] + rounds[1][name]) / 2 for name in rounds[0]}
    metrics |= {f"real_{name}": v for name, v in on_real.items() if name not in FROM_CELLS}
    metrics |= {f"fake_{name}": v for name, v in on_fake.items()}
    return state, metrics | {"learning_rate": rate}
