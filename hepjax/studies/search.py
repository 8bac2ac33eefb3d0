"""A study of trainings from beginning to end: its definition, its workers, and what it found."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hepjax import InputError, TrainingError
from hepjax.engine import rundir
from hepjax.engine.bounds import require
from hepjax.studies import pruners, space
from hepjax.studies import study as studies
from hepjax.studies.study import Pruner, Sampler, Study, Trial
from hepjax.studies.worker import Worker
from hepjax.studies.workers import Workers, carry_out


def defined(
    workload: Any, cfg: Any, folder: Path, axes: space.Space = (), *,
    points: Sequence[dict[str, Any]] = (), sampler: Sampler = "tpe", pruner: Pruner = "none",
    first: int = 1, seed: int = 0,
) -> Study:  # fmt: skip
    """The definition of a study of a configuration.

    Args:
      points: the trials, with the sampler "list".
      first: epochs of the first stage, where there are several.
    Raises:
      InputError: settings that do not go together.
    """
    if pruner in ("asha", "hyperband"):
        require(cfg.train.steps == 0, "train.steps", f"0 with --pruner {pruner}", cfg.train.steps)
    if pruner == "hyperband" and sampler == "grid":
        raise InputError("--sampler: expected tpe, random or cmaes with hyperband, found grid")
    epochs = pruners.stages(pruner, cfg.train.epochs, first)
    return Study(
        folder, workload.name, rundir.stored_settings(workload.name, cfg),
        space.to_json(axes), list(points), sampler, pruner,
        epochs if len(epochs) > 1 else (), seed, workload.score,
    )  # fmt: skip


def carried_out(study: Study, how: Workers) -> list[Trial]:
    """Work until every trial is done; the trials.

    Raises:
      InputError: the folder is another study's, or the disk refuses.
      TrainingError: no trial finished.
      KeyboardInterrupt: a signal came; what was trained is saved.
    """
    studies.open_study(study)
    carry_out(Worker(study, how.count, how.patience), how)
    trials = studies.trials(study)
    require_finished(study, trials)
    return trials


def require_finished(study: Study, trials: Sequence[Trial]) -> None:
    """Refuse a study without a result.

    Raises:
      TrainingError: no trial finished, with the reason of the first.
    """
    if not any(trial.score is not None for trial in trials):
        reasons = [f"trial {t.number}: {t.failed}" for t in trials if t.failed]
        raise TrainingError(
            f"{study.folder}: expected a finished trial, found none of {len(trials)}"
            + (f" ({reasons[0]})" if reasons else "")
        )
