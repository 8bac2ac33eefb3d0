"""The loop on a toy whose contour is known, beside a Sobol scan of equal cost, over many seeds.

All seeds and both ways of asking are one program: a round fits the Gaussian process, asks for a
batch, simulates it and counts what share of the box lies on the wrong side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from hepjax import TrainingError
from hepjax.studies.active import acquire, gaussian, toys
from hepjax.studies.active.acquire import Acquisition, Places
from hepjax.studies.active.gaussian import Data
from hepjax.studies.active.sequence import sobol

CANDIDATES, TESTS = 4096, 16384
BATCH = 8
BAND = 0.3
"""Distance in value from the contour within which the error is counted too."""


class Loop(NamedTuple):
    """One loop between two rounds."""

    data: Data
    filling: Array
    """() index of the next place of the sequence."""
    open: Array
    """(m,) places that may be asked for."""
    key: Array


@dataclass(frozen=True)
class Race:
    """Shares of the box on the wrong side, (2, seeds, rounds): Sobol first, then the loop."""

    toy: str
    acquisition: Acquisition
    points: np.ndarray
    """(rounds,) simulations so far."""
    wrong: np.ndarray
    wrong_near: np.ndarray
    """The same of the places within ``BAND`` of the contour."""
    truth: np.ndarray
    """(TESTS,) at ``tests``."""
    tests: np.ndarray
    asked: np.ndarray
    """(2, seeds, points, d) all points, as shares of the ranges."""


def rounds(points: int, initial: int = 12) -> int:
    """Batches after the first points, until there are ``points`` or more."""
    return -(-(points - initial) // BATCH)


def filled(asked: int, size: int = BATCH) -> np.ndarray:
    """Which points of a batch the acquisition chooses: every other one, up to ``asked``."""
    order = np.concatenate([np.arange(0, size, 2), np.arange(1, size, 2)])
    chosen = np.zeros(size, bool)
    chosen[order[:asked]] = True
    return chosen


def run(
    toy: toys.Toy, acquisition: Acquisition, seeds: int, points: int, seed: int = 0, *,
    initial: int = 12, share: float = 0.5, advance: Callable[[int], object] = lambda count: None,
) -> Race:  # fmt: skip
    """Run all loops.

    Args:
      initial: points of the sequence with which each loop begins.
      share: of a batch that the acquisition chooses; the others fill the space.
      advance: told of each round.
    Raises:
      TrainingError: a fit that is not finite.
    """
    batches = rounds(points, initial)
    total = initial + batches * BATCH
    with gaussian.double():
        tests = sobol(TESTS, toy.size, (1,))
        truth = toys.truth(jnp.asarray(tests))
        # Sobol loops first: no point of theirs is asked for.
        modes = jnp.asarray([filled(0), filled(round(share * BATCH))])
        places, loops = _begun(toy, seeds, initial, total, seed)
        one_round = _compiled(toy, acquisition, jnp.asarray(tests), truth, places)
        found: list[np.ndarray] = []
        for k in range(batches + 1):
            loops, wrong, sound = one_round(loops, modes)
            if not bool(sound.all()):
                raise TrainingError(
                    f"{toy.name}: expected finite Gaussian processes, found others in "
                    f"{int((~sound).sum())} of {sound.size} loops at round {k}"
                )
            found.append(np.asarray(wrong))
            advance(1)
        asked = np.asarray(loops.data.x)[:, :, :total]
    wrong, near = np.moveaxis(np.stack(found, -1), 2, 0)
    return Race(
        toy.name, acquisition, initial + BATCH * np.arange(batches + 1), wrong, near,
        np.asarray(truth), tests, asked,
    )  # fmt: skip


def _begun(toy: toys.Toy, seeds: int, initial: int, total: int, seed: int) -> tuple[Array, Loop]:
    """Places (seeds, m, d), and loops (2, seeds) after their first points."""
    places, begun = [], []
    for k in range(seeds):
        sequence = sobol(total + BATCH, toy.size, (seed, k, 0))
        candidates = sobol(CANDIDATES, toy.size, (seed, k, 1))
        places.append(np.concatenate([candidates, sequence]))
        key, first = jax.random.split(jax.random.fold_in(jax.random.key(seed), k))
        x = jnp.asarray(sequence[:initial])
        y, error = toys.simulate(first, x)
        data = gaussian.empty(total + BATCH, toy.size)
        rows = jnp.arange(initial)
        data = _told(data, rows, x, y, error)
        opened = jnp.arange(len(places[0])) < CANDIDATES
        begun.append(Loop(data, jnp.asarray(CANDIDATES + initial), opened, key))
    loops = jax.tree.map(lambda *parts: jnp.stack(parts), *begun)
    return jnp.asarray(np.stack(places)), jax.tree.map(lambda x: jnp.stack([x, x]), loops)


def _told(data: Data, rows: Array, x: Array, y: Array, error: Array) -> Data:
    return Data(
        data.x.at[rows].set(x), data.y.at[rows].set(y), data.error.at[rows].set(error),
        data.used.at[rows].set(True),
    )  # fmt: skip


def _compiled(
    toy: toys.Toy, acquisition: Acquisition, tests: Array, truth: Array, places: Array
) -> Callable[[Loop, Array], tuple[Loop, Array, Array]]:
    """A round of all loops (2, seeds): the loops, wrong shares (2, seeds, 2), and soundness."""
    above, near = truth > 0, jnp.abs(truth) < BAND

    def one(loop: Loop, at: Array, asked: Array) -> tuple[Loop, Array, Array]:
        data = loop.data
        kernel = gaussian.fit(data)
        wrong = (gaussian.mean_at(data, kernel, tests) > 0) != above
        shares = jnp.stack([wrong.mean(), (wrong & near).sum() / near.sum()])
        belief = gaussian.posterior(data, kernel, at)
        key, chance, simulation = jax.random.split(loop.key, 3)
        where = Places(at, loop.open, jax.random.uniform(chance, loop.open.shape))
        chosen = acquire.batch(acquisition, data, kernel, belief, where, asked, loop.filling)
        y, error = toys.simulate(simulation, at[chosen])
        rows = data.used.sum() + jnp.arange(BATCH)
        sound = jnp.isfinite(kernel.scale) & jnp.isfinite(belief.mean).all()
        return (
            Loop(_told(data, rows, at[chosen], y, error), loop.filling + (~asked).sum(),
                 loop.open.at[chosen].set(False), key),
            shares, sound,
        )  # fmt: skip

    seeds = jax.vmap(one, (0, 0, None))
    return jax.jit(lambda loops, modes: jax.vmap(seeds, (0, None, 0))(loops, places, modes))
