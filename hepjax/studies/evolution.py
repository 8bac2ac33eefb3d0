"""The trainings of ``hepjax evolve``: genetic ones beside RMSprop, at equal evaluations."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.formats.showers.reader import open_showers, with_cells
from hepjax.studies import genetic, regressor, rivals, supernet
from hepjax.studies.genetic import Rates
from hepjax.studies.regressor import Images

FORWARDS_OF_AN_UPDATE = 3
"""Evaluations that an update by gradients counts: a forward pass, and twice its work backwards."""
TEST_SHARE = 0.2
BINS = 8
"""Of energy, for the error by energy."""
SWEEP_MU, SWEEP_POWER = (0.01, 0.05, 0.2, 1.0), (0.02, 0.1, 0.5)
regressor_loss = partial(regressor.relative_error, apply=regressor.regress)
supernet_loss = partial(regressor.relative_error, apply=supernet.regress)


class Asked(NamedTuple):
    """What a study of genetic training is asked for."""

    generations: int = 3000
    events: int = 5000
    rates: Rates = Rates()
    seed: int = 0
    architecture: bool = False
    sweep: bool = False
    rivals: bool = False
    seeds: int = 1
    """So many, from ``seed`` on."""

    @property
    def ways(self) -> int:
        """Trainings of a seed."""
        return 2 + self.architecture + len(rivals.RIVALS) * self.rivals


class Trained(NamedTuple):
    """One way of training: its course and what it reached."""

    name: str
    weights: Any
    losses: np.ndarray
    """(steps,) of the batch of each generation or update."""
    evaluations: int
    """Of a batch, in each step."""
    seconds: float
    """Of all steps, without compilation."""


def read(paths: list[Path], events: int) -> tuple[Images, Images]:
    """Training and test images of these files.

    Raises:
      InputError: unreadable, showers that are not 25 x 25 x 25 cells, or too few.
    """
    source = open_showers(paths, sparse=True)
    if source.grid != (regressor.SIDE,) * 3 or source.energy is None:
        raise InputError(
            f"{paths[0]}: expected showers of 25 x 25 x 25 cells with incident energies, found "
            f"{' x '.join(map(str, source.grid))} cells"
        )
    judged = int(events * TEST_SHARE)
    if len(source) < events + judged:
        raise InputError(
            f"{paths[0]}: expected {events + judged} showers, found {len(source)}; give --events"
        )
    found = source[np.arange(events + judged)]
    images = regressor.project(with_cells(found, source.grid)["ecal"], found["energy"])
    training, test = (
        Images(*(x[rows] for x in images)) for rows in (slice(events), slice(events, None))
    )
    return training, test


def trained(asked: Asked, images: Images) -> Iterator[Trained]:
    """Genetic training, RMSprop and what else is asked for, from the same random parents, at equal
    evaluations; each when it is done."""
    key = jax.random.key(asked.seed)
    parents = jax.vmap(regressor.uniform)(jax.random.split(key, genetic.PARENTS))
    run = jax.random.fold_in(key, 1)
    yield _evolved("genetic", asked, parents, images, run, regressor_loss, genetic.mutated)
    per_generation = genetic.CHILDREN + 1
    updates = asked.generations * per_generation // FORWARDS_OF_AN_UPDATE
    start, _ = genetic.best_of(parents, jax.vmap(lambda p: regressor_loss(p, images))(parents))
    descend = partial(genetic.rmsprop, start, images, run, loss=regressor_loss, updates=updates)
    weights, losses, seconds = _timed(descend)
    yield Trained("RMSprop", weights, losses, FORWARDS_OF_AN_UPDATE, seconds)
    if asked.architecture:
        yield _architecture(asked, jax.random.fold_in(key, 2), images, run)
    for name, rival in rivals.RIVALS.items() if asked.rivals else ():
        steps = max(asked.generations * per_generation // rival.population, 1)
        go = partial(rivals.evolve, name, start, images, run, loss=regressor_loss, steps=steps)
        weights, losses, seconds = _timed(go)
        yield Trained(name, weights, losses, rival.population, seconds)


def _architecture(asked: Asked, key: jax.Array, images: Images, run: jax.Array) -> Trained:
    """Architecture and weights: one population for each activation, at a third of the generations,
    and the elite of the one whose loss on all training events is lowest. In one population the
    activation that learns first would win, whatever the others reach."""
    kinds = len(supernet.ACTIVATIONS)
    keys = jax.random.split(key, genetic.PARENTS)
    parents = jax.vmap(
        lambda kind: jax.vmap(partial(supernet.uniform, activation=kind))(keys)
    )(jnp.arange(kinds))  # fmt: skip
    grow = partial(
        genetic.evolve, loss=supernet_loss, mutate=supernet.mutated,
        generations=max(asked.generations // kinds, 1), cooling=True,
    )  # fmt: skip
    go = partial(jax.vmap(lambda family: grow(family, images, run, asked.rates)), parents)
    elites, losses, seconds = _timed(go)
    reached = jax.vmap(lambda one: supernet_loss(one, images))(elites)
    elite, _ = genetic.best_of(elites, reached)
    course = losses[int(jnp.nanargmin(reached))]
    evaluations = kinds * (genetic.CHILDREN + 1)
    return Trained("genetic, architecture too", elite, course, evaluations, seconds)


def _evolved(
    name: str, asked: Asked, parents: Any, images: Images, key: jax.Array, loss: genetic.Loss,
    mutate: Any,
) -> Trained:  # fmt: skip
    go = partial(
        genetic.evolve, parents, images, key, asked.rates, loss=loss, mutate=mutate,
        generations=asked.generations,
    )  # fmt: skip
    elite, losses, seconds = _timed(go)
    return Trained(name, elite, losses, genetic.CHILDREN + 1, seconds)


def _timed(run: Any) -> tuple[Any, np.ndarray, float]:
    """What a compiled training gives, and the seconds of its second run."""
    jax.block_until_ready(run())
    began = time.monotonic()
    weights, losses = jax.block_until_ready(run())
    return weights, np.asarray(losses), time.monotonic() - began


def sweep(asked: Asked, images: Images) -> np.ndarray:
    """(mu, power) loss of the elite on all training events, each pair of rates one member of a
    ``vmap``."""
    key = jax.random.key(asked.seed)
    parents = jax.vmap(regressor.uniform)(jax.random.split(key, genetic.PARENTS))
    grid = jnp.array([(mu, power) for mu in SWEEP_MU for power in SWEEP_POWER])

    def reached(pair: jax.Array) -> jax.Array:
        elite, _ = genetic.evolve(
            parents, images, jax.random.fold_in(key, 1), Rates(pair[0], pair[1]),
            loss=regressor_loss, generations=asked.generations,
        )  # fmt: skip
        return regressor_loss(elite, images)

    found = np.asarray(jax.lax.map(reached, grid))
    return found.reshape(len(SWEEP_MU), len(SWEEP_POWER))


def test_error(way: Trained, images: Images) -> float:
    """Mean relative error of the energy."""
    energy = np.asarray(images.energy) * regressor.ENERGY_UNIT
    return float(np.mean(np.abs(estimated(way, images) - energy) / energy))


def estimated(way: Trained, images: Images) -> np.ndarray:
    """Energies (n,) in GeV."""
    apply = supernet.regress if "architecture" in way.name else regressor.regress
    return np.asarray(apply(way.weights, images.image)) * regressor.ENERGY_UNIT


def error_by_energy(found: np.ndarray, energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges (BINS + 1,) in GeV and the mean relative error in each bin."""
    edges = np.linspace(energy.min(), energy.max(), BINS + 1)
    index = np.clip(np.digitize(energy, edges) - 1, 0, BINS - 1)
    error = np.abs(found - energy) / energy
    count = np.maximum(np.bincount(index, minlength=BINS), 1)
    return edges, np.bincount(index, error, BINS) / count
