"""Which trial goes on, and which one stops early: pure functions of scores.

Successive halving in its asynchronous form with promotion (ASHA, Li et al., arXiv:1810.05934): a
trial that is among the best 1/eta of those that reached the end of a stage goes on from its
checkpoint, whenever that comes out. Optuna's pruners can only stop a trial that runs, so halving is
here; the median rule is that of Optuna's MedianPruner (Golovin et al., KDD 2017).
"""

import math
from collections.abc import Sequence

from hepjax.studies.study import Pruner, Trial

ETA = 3
"""Of so many trials one goes on."""
FIRST_TRIALS = 5
"""Trials that the median rule lets finish before it stops any."""


def stages(pruner: Pruner, epochs: int, first: int) -> tuple[int, ...]:
    """Epochs at the end of each stage: ``first``, then ``ETA`` times as many, up to ``epochs``."""
    if pruner not in ("asha", "hyperband") or first >= epochs:
        return (epochs,)
    count = math.floor(math.log(epochs / first, ETA) + 1e-9)
    return (*(round(epochs / ETA ** (count - k)) for k in range(count)), epochs)


def first_stage(pruner: Pruner, number: int, stages: int) -> int:
    """The stage that a trial begins with: 0, in Hyperband its bracket, which take turns.

    Bracket s has ETA times as many trials as bracket s + 1, which spends more on each.
    """
    if pruner != "hyperband" or stages < 2:
        return 0
    sizes = [ETA ** (stages - 1 - k) for k in range(stages)]
    place = number % sum(sizes)
    for bracket, size in enumerate(sizes):
        if place < size:
            return bracket
        place -= size
    raise AssertionError("the brackets cover all places")


def promoted(pruner: Pruner, trials: Sequence[Trial], stages: int) -> tuple[int, int] | None:
    """Number and next stage of a trial that goes on now, the furthest first; None if none does."""
    if pruner not in ("asha", "hyperband"):
        return None
    for stage in range(stages - 2, -1, -1):
        for bracket in range(stage + 1):
            group = [t for t in trials if first_stage(pruner, t.number, stages) == bracket]
            there = [(s, t) for t in group if (s := _score_at(t, stage)) is not None]
            best = sorted(there, key=lambda pair: (pair[0], pair[1].number))
            for score, trial in best[: len(there) // ETA]:
                if len(trial.stages) == stage + 1 and score < math.inf:
                    return trial.number, stage + 1
    return None


def _score_at(trial: Trial, stage: int) -> float | None:
    """The score with which a trial reached the end of a stage; infinite if it failed there."""
    if trial.params is None or len(trial.stages) <= stage:
        return None
    result = trial.stages[stage].result
    if result is None:
        return None
    score = result.get("score")
    return math.inf if score is None or result["status"] == "failed" else float(score)


def below_median(curve: Sequence[float], others: Sequence[Sequence[float]]) -> bool:
    """Whether a trial stops: its best score so far is worse than the median of the others now.

    Args:
      curve: its score after each epoch so far.
      others: the same of finished trials, to their ends.
    """
    epochs = len(curve)
    there = sorted(other[epochs - 1] for other in others if len(other) >= epochs)
    if len(there) < FIRST_TRIALS:
        return False
    middle = len(there) // 2
    median = there[middle] if len(there) % 2 else (there[middle - 1] + there[middle]) / 2
    return min(curve) > median
