"""Ask and tell through a study folder: which point is simulated next, and what was found.

Points are asked for in four ways: the first ones (``initial``) and every other one after them
(``filling``) are the next of a Sobol sequence, so that a Gaussian process with wrong lengths sees
what it misses; the others (``asked``) are where it expects to learn most of the contour. When all
are done, the sequence goes on (``beside``) until it has as many points as the loop, and both are
compared at equal cost. Points that run or failed count as if they had given their mean.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from hepjax import InputError, TrainingError
from hepjax.engine.bounds import require
from hepjax.studies import leases
from hepjax.studies.active import acquire, command, gaussian, toys
from hepjax.studies.active.acquire import Acquisition, Places
from hepjax.studies.active.command import Answer
from hepjax.studies.active.gaussian import Data, Kernel
from hepjax.studies.active.sequence import sobol
from hepjax.studies.jobs import Job, Jobs
from hepjax.studies.space import Axis, Space
from hepjax.studies.study import StudyFolder, Trial

CANDIDATES = 4096
MOST = 512
"""Points of a study: the cost of an exact Gaussian process grows with their cube."""
FEWEST = 4
"""Values from which a Gaussian process is fitted."""
ROWS = 32
"""Buffers have a multiple of it, so that few sizes are compiled."""


@dataclass(frozen=True)
class ActiveStudy(StudyFolder):
    """What contour is looked for, and by which simulator."""

    COMMANDS = "hepjax active"
    simulator: str
    """Name of a toy, run directory, or command."""
    space: dict[str, dict[str, Any]]
    """Ranges by the key of the parameter."""
    threshold: float
    value: str = "value"
    acquisition: Acquisition = "entropy"
    initial: int = 12
    seed: int = 0

    @property
    def axes(self) -> Space:
        """The ranges."""
        return tuple(Axis(key, **said) for key, said in self.space.items())


def ranges(axes: Space) -> dict[str, dict[str, Any]]:
    """The ranges as a study stores them.

    Raises:
      InputError: choices, or a range of one value, across which there is no contour.
    """
    for axis in axes:
        if axis.choice:
            raise InputError(f"{axis.key}: expected a range {{low: .., high: ..}}, found a choice")
        require(axis.low < axis.high, axis.key, "low below high", [axis.low, axis.high])
    names = ("low", "high", "log", "step", "whole")
    return {axis.key: {name: getattr(axis, name) for name in names} for axis in axes}


def simulations(count: int, initial: int) -> int:
    """All simulations of a study of ``count`` points: with those that the sequence adds."""
    filled = min(count, initial) + max(count - initial, 0) // 2
    return count + (count - filled)


def kind_of_next(trials: Sequence[Trial], count: int, initial: int) -> str:
    """Why the next point is asked for."""
    done = sum(trial.kind != "beside" for trial in trials)
    if done >= count:
        return "beside"
    if done < initial:
        return "initial"
    return "filling" if (done - initial) % 2 else "asked"


@dataclass
class ActiveWorker(Jobs):
    """A worker that asks for points and simulates them."""

    study: ActiveStudy
    timeout: float = float("inf")
    """Seconds of a simulation by a command."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._points = self.count
        self.count = simulations(self._points, self.study.initial)
        self._simulate: Callable[[Job, dict[str, Any], Callable[[], None]], Answer] | None = None

    def proposed(self, trials: Sequence[Trial], number: int) -> dict[str, Any]:
        """The next point, and why."""
        kind = kind_of_next(trials, self._points, self.study.initial)
        if kind == "asked" and len(told(self.study, trials)[1]) < FEWEST:
            kind = "filling"
        x = asked(self.study, trials, self.count) if kind == "asked" else None
        if x is None:
            drawn = Counter(trial.kind for trial in trials)
            before = drawn["initial"] + drawn["filling"] + drawn["beside"]
            x = sobol(before + 1, len(self.study.axes), (self.study.seed, 0))[before]
        params = {a.key: a.inside(float(v)) for a, v in zip(self.study.axes, x, strict=True)}
        return {"params": params, "kind": kind}

    def perform(
        self, lease: leases.Lease, job: Job, trial: Trial, trials: Sequence[Trial]
    ) -> dict[str, Any] | int:
        """Simulate a point."""
        if self._simulate is None:
            self._simulate = simulator(self.study, self.timeout)
        try:
            answer = self._simulate(job, trial.params or {}, lease.check)
        except command.FailedError as error:
            return {"status": "failed", "reason": " ".join(str(error).split())[:400]}
        return {"status": "complete", "value": answer.value, "error": answer.error}

    def in_words(self, ended: dict[str, Any]) -> str:
        """The value."""
        return f"{self.study.value} {ended['value']:.6g} ± {ended['error']:.2g}"


def simulator(
    study: ActiveStudy, timeout: float
) -> Callable[[Job, dict[str, Any], Callable[[], None]], Answer]:
    """The simulator of a study.

    Raises:
      InputError: it cannot be used.
    """
    if study.simulator in toys.TOYS:
        return lambda job, params, check: toys.answer(params, study.seed, job.number)
    if Path(study.simulator).is_dir():
        from hepjax.studies.active.detectors import of_run

        judged = of_run(Path(study.simulator))
        return lambda job, params, check: judged(params, 100_000 * study.seed + job.number)
    words = command.words(study.simulator, [axis.key for axis in study.axes])
    return lambda job, params, check: command.simulate(
        words, params, job.number, study.run_of(job.number) / f"attempt-{job.generation}",
        key=study.value, timeout=timeout, check=check,
    )  # fmt: skip


def told(study: ActiveStudy, trials: Sequence[Trial]) -> tuple[np.ndarray, list[Trial]]:
    """Places (n, d), in shares of the ranges, of the points that have a value, and the points."""
    known = [t for t in trials if t.params is not None and t.last.get("status") == "complete"]
    return places_of(study, known), known


def places_of(study: ActiveStudy, trials: Sequence[Trial]) -> np.ndarray:
    """Places (n, d) of points, in shares of the ranges."""
    rows = [[axis.share((t.params or {})[axis.key]) for axis in study.axes] for t in trials]
    return np.array(rows).reshape(-1, len(study.axes))


def data_of(study: ActiveStudy, trials: Sequence[Trial], rows: int) -> Data:
    """The points with a value, in a buffer; inside ``gaussian.double``."""
    x, known = told(study, trials)
    values = [t.last["value"] - study.threshold for t in known]
    errors = [t.last["error"] for t in known]
    used = np.arange(rows) < len(known)
    return Data(
        jnp.asarray(_padded(x, rows)), jnp.asarray(_padded(values, rows)),
        jnp.asarray(_padded(errors, rows)), jnp.asarray(used),
    )  # fmt: skip


def _padded(part: Any, rows: int) -> np.ndarray:
    """Zeros after the rows; in NumPy, because jax compiles anew for each number of them."""
    known = np.asarray(part, np.float64)
    return np.concatenate([known, np.zeros((rows - len(known), *known.shape[1:]))])


def buffer_rows(count: int) -> int:
    """Rows of a buffer for so many points."""
    return -(-count // ROWS) * ROWS


def require_sound(kernel: Kernel, study: ActiveStudy) -> None:
    """Refuse a Gaussian process that is not finite.

    Raises:
      TrainingError: it is not.
    """
    if not gaussian.is_sound(kernel):
        raise TrainingError(
            f"{study.folder}: expected a finite Gaussian process, found none; values of very "
            "different size (take a logarithm, or clip them near the threshold)?"
        )


def asked(study: ActiveStudy, trials: Sequence[Trial], count: int) -> np.ndarray | None:
    """Where the Gaussian process expects to learn most (d,); None if no candidate is left.

    Args:
      count: simulations in all, for the size of the buffer.
    """
    begun = [t for t in trials if t.params is not None and t.kind != "beside"]
    silent = [t for t in begun if t.last.get("status") != "complete"]
    grid = _candidates(study)
    used = places_of(study, begun)
    apart = np.abs(grid[:, None] - used[None]).max(-1).min(1)
    if not (apart > 1e-9).any():
        return None
    chance = np.random.default_rng((study.seed, len(trials))).random(len(grid))
    with gaussian.double():
        rows = buffer_rows(count + 1)
        data = data_of(study, begun, rows)
        waiting = jnp.asarray(_padded(places_of(study, silent), rows))
        waits = jnp.arange(rows) < len(silent)
        where = Places(jnp.asarray(grid), jnp.asarray(apart > 1e-9), jnp.asarray(chance))
        chosen, kernel = _best(study.acquisition, data, waiting, waits, where)
        require_sound(kernel, study)
        return grid[int(chosen)]


@partial(jax.jit, static_argnames="name")
def _best(
    name: Acquisition, data: Data, waiting: Array, waits: Array, places: Places
) -> tuple[Array, Kernel]:
    """Index of the best place, and the kernel; ``waiting`` (rows, d) run, where ``waits``."""
    kernel, rows = gaussian.fit(data), len(data.y)
    # Rows beyond the buffer are dropped.
    row = jnp.where(waits, data.used.sum() + jnp.arange(rows), rows)
    believed = Data(
        data.x.at[row].set(waiting), data.y.at[row].set(gaussian.mean_at(data, kernel, waiting)),
        data.error, data.used.at[row].set(True),
    )  # fmt: skip
    belief = gaussian.posterior(believed, kernel, places.at)
    one = jnp.ones(1, bool)
    chosen = acquire.batch(name, believed, kernel, belief, places, one, jnp.zeros((), int))
    return chosen[0], kernel


def _candidates(study: ActiveStudy) -> np.ndarray:
    """Places (m, d) that the parameters can take; those of whole numbers and steps are fewer."""
    drawn = sobol(CANDIDATES, len(study.axes), (study.seed, 1))
    columns = [
        [axis.share(axis.inside(float(u))) for u in drawn[:, k]]
        for k, axis in enumerate(study.axes)
    ]
    return np.array(columns).T
