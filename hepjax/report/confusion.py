"""Confusion matrices: shares of each true class by found class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hepjax.report.layout import Axes


def by_truth(counts: np.ndarray) -> np.ndarray:
    """A confusion matrix whose rows sum to 1; rows without entries are NaN."""
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(1, keepdims=True)


def draw(
    axis: "Axes", counts: np.ndarray, names: Sequence[str], *, digits: int = 3, size: float = 11
) -> None:
    """Shares of the true classes (rows) by found class (columns), as colours and numbers.

    Args:
      counts: (k, k) by true class and found class.
      names: of the classes, (k,).
      digits, size: of the numbers, and their font size.
    """
    shares = by_truth(counts)
    axis.imshow(np.nan_to_num(shares), vmin=0, vmax=1, cmap="Blues")
    for (row, column), value in np.ndenumerate(shares):
        if np.isfinite(value):
            colour = "white" if value > 0.6 else "black"
            text = f"{value:.{digits}f}"
            axis.text(column, row, text, ha="center", va="center", size=size, color=colour)
    axis.set_xticks(range(len(names)), names, rotation=20)
    axis.set_yticks(range(len(names)), names)
    axis.minorticks_off()
    axis.tick_params(length=0)
