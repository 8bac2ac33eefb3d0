"""The parameters of the next trial, a function of those before it and of the seed."""

import itertools
import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from hepjax import InputError, MissingExtraError
from hepjax.studies import space as spaces
from hepjax.studies.space import Axis, Space
from hepjax.studies.study import Study, Trial


def limit(study: Study) -> int | None:
    """Trials that there can be: the points of a grid or of a list; None: any number."""
    if study.sampler == "list":
        return len(study.points)
    if study.sampler == "grid":
        return sum(1 for _ in spaces.grid(spaces.from_json(study.space)))
    return None


def propose(study: Study, trials: Sequence[Trial], number: int) -> dict[str, Any]:
    """The parameters of trial ``number``, by the path of their settings.

    With one worker it is reproducible; with several it depends on what the others have finished.

    Raises:
      MissingExtraError: Optuna or cmaes is not installed.
    """
    if study.sampler == "list":
        return study.points[number]
    if study.sampler == "seeds":
        return {"train.seed": study.settings["train"]["seed"] + number}
    space = spaces.from_json(study.space)
    if study.sampler == "grid":
        return next(itertools.islice(spaces.grid(space), number, None))
    seed = zlib.crc32(f"{study.seed} {number}".encode())
    if study.sampler == "random":
        shares = np.random.default_rng(seed).random(len(space))
        return {axis.key: axis.inside(share) for axis, share in zip(space, shares, strict=True)}
    if study.sampler == "cmaes":
        return _cmaes(study, space, trials, seed)
    return _optuna(space, trials, seed)


def require_sampler(sampler: str) -> None:
    """Refuse a sampler whose package is not installed, before anything is made.

    Raises:
      MissingExtraError: naming the extra.
    """
    try:
        if sampler == "tpe":
            import optuna  # noqa: F401
        if sampler == "cmaes":
            import cmaes  # noqa: F401
    except ImportError:
        raise MissingExtraError(f"--sampler {sampler}", "studies") from None


def _optuna(space: Space, trials: Sequence[Trial], seed: int) -> dict[str, Any]:
    """Of the tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011)."""
    study = as_optuna(space, trials, seed)
    distributions = {axis.key: distribution(axis) for axis in space}
    params = study.ask(distributions).params
    return {axis.key: _from_optuna(axis, params[axis.key]) for axis in space}


def as_optuna(space: Space, trials: Sequence[Trial], seed: int = 0) -> Any:
    """The trials as a study of Optuna in memory.

    Trials that stopped early or whose training failed count as stopped (the latter as the worst),
    those that run as running.
    """
    try:
        import optuna
        from optuna.trial import TrialState, create_trial
    except ImportError:
        raise MissingExtraError("--sampler tpe", "studies") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Without the trials that run, workers at work together would ask for the same point.
    sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    study = optuna.create_study(sampler=sampler)
    distributions = {axis.key: distribution(axis) for axis in space}
    for trial in trials:
        if trial.params is None or not distributions.keys() <= trial.params.keys():
            continue
        last = trial.last
        steps = {k: x for k, x in enumerate(trial.curve, 1) if math.isfinite(x)}
        state, value = TrialState.RUNNING, None
        if last.get("status") == "failed":
            state, steps = TrialState.PRUNED, {}
        elif last.get("status") == "complete" and trial.score is not None:
            state, value = TrialState.COMPLETE, trial.score
        elif last:
            state = TrialState.PRUNED
        study.add_trial(
            create_trial(
                state=state, value=value, intermediate_values=steps, distributions=distributions,
                params={axis.key: _to_optuna(axis, trial.params[axis.key]) for axis in space},
            )
        )  # fmt: skip
    return study


def distribution(axis: Axis) -> Any:
    """The axis as Optuna has it; a choice by its index, because values may be lists."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis.choice:
        return CategoricalDistribution(list(range(len(axis.choice))))
    if axis.whole:
        step = 1 if axis.step is None else int(axis.step)
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log, step=step)
    return FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)


def _to_optuna(axis: Axis, value: Any) -> Any:
    return axis.choice.index(value) if axis.choice else value


def _from_optuna(axis: Axis, value: Any) -> Any:
    return axis.choice[value] if axis.choice else axis.at(value)


def _cmaes(study: Study, space: Space, trials: Sequence[Trial], seed: int) -> dict[str, Any]:
    """Of the covariance matrix adaptation (Hansen, arXiv:1604.00772), by the package of Optuna.

    Its state is made anew from the finished trials, a generation of them after the other.

    Raises:
      InputError: a space of one setting, which it does not do.
    """
    try:
        from cmaes import CMA
    except ImportError:
        raise MissingExtraError("--sampler cmaes", "studies") from None
    size = len(space)
    if size < 2:
        raise InputError("--sampler: expected tpe for a space of one setting, found cmaes")
    bounds = np.array([[0.0, 1.0]] * size)
    found = CMA(mean=np.full(size, 0.5), sigma=0.3, bounds=bounds, seed=study.seed)
    told = [
        (np.array([axis.share(trial.params[axis.key]) for axis in space]), trial.score)
        for trial in trials
        if trial.params is not None and trial.score is not None
    ]
    for first in range(0, len(told) - found.population_size + 1, found.population_size):
        if found.should_stop():
            break
        found.tell(told[first : first + found.population_size])
    found.reseed_rng(seed)
    return {axis.key: axis.inside(x) for axis, x in zip(space, found.ask(), strict=True)}
