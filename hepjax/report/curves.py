"""The training curve: losses and scores of a run against epoch, from its records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepjax.report import layout, plots

Record = dict[str, Any]
"""``event`` ("train" or "validation"), ``epoch``, and numbers by name."""


@dataclass(frozen=True)
class Curves:
    """One panel of the training curve."""

    title: str
    lines: tuple[tuple[str, str, str], ...]
    """Label, event of the records, and name of the number, for each line."""
    scale: str = "linear"


LOSS = Curves("loss", (("train", "train", "loss"), ("validation", "validation", "loss")), "log")


def validation(title: str, names: Sequence[str], scale: str = "linear") -> Curves:
    """A panel of validation numbers, labelled by their names."""
    return Curves(title, tuple((name, "validation", name) for name in names), scale)


def training_curve(
    panels: Sequence[Curves], history: list[Record],
    best: Callable[[list[Record]], int] | None = None,
) -> layout.Figure | None:  # fmt: skip
    """The training curve, or None where the records have none of its numbers.

    Args:
      best: index of the validation record that a dashed line marks.
    """
    records = {e: [r for r in history if r.get("event") == e] for e in ("train", "validation")}
    drawn = []
    for panel in panels:
        found = [(label, *_curve(records[event], name)) for label, event, name in panel.lines]
        if found := [line for line in found if len(line[1])]:
            drawn.append((panel.title, found, panel.scale))
    if not drawn:
        return None
    judged = records["validation"]
    text, marked = f"{len(judged)} epochs", None
    if best is not None and judged:
        marked = float(judged[best(judged)]["epoch"])
        text += f", best {marked:g}"
    return plots.lines(drawn, "epoch", text, marked=marked)


def _curve(records: list[Record], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean of ``name`` in each epoch against the end of the epoch."""
    found = [(r["epoch"], r[name]) for r in records if r.get(name) is not None]
    epoch, value = np.array(found, float).reshape(-1, 2).T
    # A record between two epochs belongs to the one that ends next.
    ends, index = np.unique(np.ceil(epoch - 1e-6), return_inverse=True)
    return ends, np.bincount(index, value) / np.bincount(index)
