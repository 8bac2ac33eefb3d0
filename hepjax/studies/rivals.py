"""Other algorithms without gradients, of evosax (the extra ``evolution``), on the same task."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from hepjax import MissingExtraError
from hepjax.studies import genetic
from hepjax.studies.genetic import Loss


class Rival(NamedTuple):
    """How an algorithm is set; what is not named is evosax's default."""

    algorithm: str
    population: int
    spread: float
    """Standard deviation of the first population around its centre."""


RIVALS = {
    "CMA-ES": Rival("CMA_ES", 16, 0.05),
    "OpenAI-ES": Rival("Open_ES", 64, 0.05),
    "differential evolution": Rival("DifferentialEvolution", 64, 0.1),
}
"""Tuned by nobody: a population of the usual size, and a spread near the mutation power."""
RATE = 0.01
"""Of the Adam that moves the centre of OpenAI-ES."""


def require() -> None:
    """Raise MissingExtraError without evosax."""
    try:
        import evosax.algorithms  # noqa: F401
    except ImportError:
        raise MissingExtraError("--rivals", "evolution") from None


def evolve(
    name: str, start: Any, events: Any, key: jax.Array, *, loss: Loss, steps: int,
) -> tuple[Any, jax.Array]:  # fmt: skip
    """Weights after so many steps of a rival, and the lowest loss of the batch of each.

    Args:
      start: the weights around which its first population lies.
      events: arrays (n, ...), of which each step takes a batch, the same for all of a population.
    Raises:
      MissingExtraError: without evosax.
    """
    require()
    from evosax import algorithms

    rival = RIVALS[name]
    more: dict[str, Any] = {}
    if name == "OpenAI-ES":
        more = {
            "optimizer": optax.adam(RATE),
            "std_schedule": optax.constant_schedule(rival.spread),
        }
    algorithm = getattr(algorithms, rival.algorithm)(rival.population, start, **more)
    params = algorithm.default_params
    if name == "CMA-ES":
        params = params.replace(std_init=jnp.float32(rival.spread))
    return _run(algorithm, params, rival, start, events, key, loss=loss, steps=steps)


@partial(jax.jit, static_argnames=("algorithm", "rival", "loss", "steps"))
def _run(
    algorithm: Any, params: Any, rival: Rival, start: Any, events: Any, key: jax.Array, *,
    loss: Loss, steps: int,
) -> tuple[Any, jax.Array]:  # fmt: skip
    k_first, k_begin, k_steps = jax.random.split(key, 3)

    def judged(population: Any, key: jax.Array) -> jax.Array:
        sample = genetic.drawn(events, key, genetic.BATCH)
        return jax.vmap(lambda one: loss(one, sample))(population)

    def step(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        k_ask, k_batch, k_tell = jax.random.split(key, 3)
        population, state = algorithm.ask(k_ask, state, params)
        losses = judged(population, k_batch)
        state, _ = algorithm.tell(k_tell, population, losses, state, params)
        return state, jnp.nanmin(losses)

    keys = jax.random.split(k_steps, steps)
    if not hasattr(algorithm, "get_mean"):
        first = _around(start, k_first, rival)
        state = algorithm.init(k_begin, first, judged(first, k_begin), params)
        state, losses = jax.lax.scan(step, state, keys)
        last = algorithm.get_population(state)
        # Their fitness is of batches of different steps; the best one is that on all events.
        return genetic.best_of(last, jax.vmap(lambda one: loss(one, events))(last))[0], losses
    state, losses = jax.lax.scan(step, algorithm.init(k_begin, start, params), keys)
    return algorithm.get_mean(state), losses


def _around(start: Any, key: jax.Array, rival: Rival) -> Any:
    """A population around some weights."""
    leaves, tree = jax.tree.flatten(start)
    keys = jax.random.split(key, len(leaves))
    size = rival.population
    moved = [
        x + rival.spread * jax.random.normal(k, (size, *x.shape))
        for x, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(tree, moved)
