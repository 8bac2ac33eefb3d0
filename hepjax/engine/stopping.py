"""Early stopping: training ends when the validation score has not improved for some epochs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepjax.engine import records


def known_scores(run: Path, name: str, step: int) -> list[Any]:
    """The scores of the epochs of a run up to update ``step``, in order.

    Every process of a group reads them and comes to the same, whatever is appended meanwhile.
    """
    if step == 0:
        return []
    rows = records.read(run / "metrics.jsonl")
    found = {r["step"]: r.get(name) for r in rows if r.get("event") == "validation"}
    return [found[at] for at in sorted(found) if at <= step]


def epochs_without_better(scores: Sequence[Any]) -> int:
    """Epochs since the best score; a score is a number, or a list with one a member.

    Lower is better; what is not finite (None in records) is never better. Of a population each
    improvement of a member counts.
    """
    best, since = np.array(np.inf), 0
    for score in scores:
        values = np.array(score, float)  # None becomes NaN
        values = np.where(np.isfinite(values), values, np.inf)
        since = 0 if np.any(values < best) else since + 1
        best = np.minimum(best, values)
    return since


def is_enough(scores: Sequence[Any], patience: int) -> bool:
    """Whether training ends after these epochs; a patience of 0 never ends it."""
    return patience > 0 and epochs_without_better(scores) >= patience
