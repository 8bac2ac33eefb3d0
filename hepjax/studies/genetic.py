"""Genetic training: 1 + lambda, elitist, point mutation; one program for all generations.

Source: Khattak et al., AISIS 2019, section 5: of M random parents the best is kept; each generation
makes lambda children of it by point mutation, and the best of parent and children is the next
parent. mu is the fraction of weights that change, by U(-1, 1) times the mutation power mp; biases
stay 0. The paper gives M = lambda = 8 and batches of 128; its mu and mp are not published.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

PARENTS = CHILDREN = 8
BATCH = 128
Loss = Callable[[Any, Any], jax.Array]
"""(chromosome, batch) -> the number that is lowered."""
Mutate = Callable[[Any, jax.Array], Any]
"""(chromosome, key) -> a child."""


class Rates(NamedTuple):
    """How a child differs from its parent."""

    mu: float | jax.Array = 0.05
    """Fraction of weights that change."""
    power: float | jax.Array = 0.1
    """Largest change of a weight."""


RATES = Rates()


def mutated(chromosome: Any, key: jax.Array, rates: Rates) -> Any:
    """A child by point mutation; arrays with ``bias`` in their name stay."""
    leaves, tree = jax.tree_util.tree_flatten_with_path(chromosome)
    children = []
    for number, (path, weights) in enumerate(leaves):
        if "bias" in jax.tree_util.keystr(path):
            children.append(weights)
            continue
        which, step = jax.random.split(jax.random.fold_in(key, number))
        changes = jax.random.bernoulli(which, rates.mu, weights.shape)
        steps = jax.random.uniform(step, weights.shape, minval=-1.0, maxval=1.0) * rates.power
        children.append(weights + jnp.where(changes, steps, 0.0))
    return jax.tree.unflatten(tree, children)


def best_of(population: Any, losses: jax.Array) -> tuple[Any, jax.Array]:
    """The member of lowest loss of a population (leading axis), and its loss; never a NaN one."""
    known = jnp.where(jnp.isnan(losses), jnp.inf, losses)
    best = jnp.argmin(known)
    return jax.tree.map(lambda x: x[best], population), known[best]


@partial(jax.jit, static_argnames=("loss", "mutate", "generations", "children", "batch", "cooling"))
def evolve(
    parents: Any, events: Any, key: jax.Array, rates: Rates = RATES, *, loss: Loss,
    generations: int, mutate: Callable[[Any, jax.Array, Rates], Any] = mutated,
    children: int = CHILDREN, batch: int = BATCH, cooling: bool = False,
) -> tuple[Any, jax.Array]:  # fmt: skip
    """The elite after so many generations, and its loss on the batch of each.

    Children are one ``vmap``, generations one ``scan``: a program without a call in between.

    Args:
      parents: random parents on a leading axis, of which the best begins.
      events: arrays (n, ...); each generation judges parent and children on the same ``batch`` of
        them, drawn anew.
      cooling: the power falls linearly to 0. A child that is better on one batch only is an elite
        too, and the more weights there are, the more such changes add up.
    Returns:
      the elite, and (generations,) its loss.
    """

    def judged(population: Any, key: jax.Array) -> jax.Array:
        sample = drawn(events, key, batch)
        return jax.vmap(lambda one: loss(one, sample))(population)

    def generation(elite: Any, now: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        key, left = now
        hot = rates._replace(power=rates.power * left) if cooling else rates
        for_children, for_batch = jax.random.split(key)
        keys = jax.random.split(for_children, children)
        brood = jax.vmap(lambda k: mutate(elite, k, hot))(keys)
        brood = spread(brood)
        losses = jnp.concatenate([judged(lone(elite), for_batch), judged(brood, for_batch)])
        family = jax.tree.map(lambda one, many: jnp.concatenate([one[None], many]), elite, brood)
        return best_of(family, losses)

    first, *_ = best_of(parents, judged(parents, jax.random.fold_in(key, 0)))
    keys = jax.random.split(jax.random.fold_in(key, 1), generations)
    return jax.lax.scan(generation, first, (keys, jnp.linspace(1.0, 0.0, generations)))


def drawn(events: Any, key: jax.Array, batch: int) -> Any:
    """A random batch of events, arrays (n, ...)."""
    rows = jax.random.randint(key, (batch,), 0, len(jax.tree.leaves(events)[0]))
    return jax.tree.map(lambda x: x[rows], events)


def lone(one: Any) -> Any:
    """A population of one."""
    return jax.tree.map(lambda x: x[None], one)


def spread(population: Any) -> Any:
    """Lay the members of a population (leading axis) over the devices of the mesh in force.

    Each device mutates and judges its own; only the best one travels.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or jax.tree.leaves(population)[0].shape[0] % mesh.size:
        return population
    over = jax.sharding.PartitionSpec(mesh.axis_names)
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, over), population)


class Descent(NamedTuple):
    """RMSprop, with which genetic training is compared: Keras's defaults."""

    rate: float = 1e-3
    decay: float = 0.9
    epsilon: float = 1e-7


KERAS = Descent()


@partial(jax.jit, static_argnames=("loss", "updates", "batch", "descent"))
def rmsprop(
    start: Any, events: Any, key: jax.Array, *, loss: Loss, updates: int, batch: int = BATCH,
    descent: Descent = KERAS,
) -> tuple[Any, jax.Array]:  # fmt: skip
    """The weights after so many updates of RMSprop, and the loss on the batch of each."""

    def update(state: tuple[Any, Any], key: jax.Array) -> tuple[tuple[Any, Any], jax.Array]:
        weights, mean = state
        value, gradient = jax.value_and_grad(loss)(weights, drawn(events, key, batch))
        mean = jax.tree.map(
            lambda m, g: descent.decay * m + (1 - descent.decay) * g**2, mean, gradient
        )
        weights = jax.tree.map(
            lambda w, g, m: w - descent.rate * g / (jnp.sqrt(m) + descent.epsilon),
            weights, gradient, mean,
        )  # fmt: skip
        return (weights, mean), value

    zeros = jax.tree.map(jnp.zeros_like, start)
    (weights, _), losses = jax.lax.scan(update, (start, zeros), jax.random.split(key, updates))
    return weights, losses
