"""Samples of events side by side, as one source that a training reads; all are in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hepjax import InputError
from hepjax.formats.source import Batch, Source
from hepjax.formats.unfolding.npz import Arrays

BLOCK = 1024
"""Events that the input shuffles together."""
HELD_KEY = 7
"""Of the random numbers that hold events out."""


@dataclass(frozen=True)
class Sample:
    """Events of one kind: arrays (n, ...) by name, ``weight`` among them."""

    name: str
    arrays: Arrays

    def __len__(self) -> int:
        return len(self.arrays["weight"])


class Pairs:
    """Samples side by side, a ``Source``: event i has row i of each; shorter ones repeat theirs.

    Fields are ``<sample>_<array>``, and ``<sample>_row`` (n,). A row that is there k times has its
    weight divided by k, so that an epoch sums to the weights of the sample.

    Args:
      normalisation: a simulated event's own weight times this stands for so many measured ones.
      unit: and its weight in ``samples`` times this.
    """

    def __init__(
        self, samples: Sequence[Sample], normalisation: float = 1.0, unit: float = 1.0
    ) -> None:
        self.samples = {sample.name: sample for sample in samples}
        self.normalisation, self.unit = normalisation, unit
        self.length = max(map(len, samples))
        self.blocks = np.unique(np.append(np.arange(0, self.length, BLOCK), self.length))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, indices: np.ndarray) -> Batch:
        batch: Batch = {}
        for name, sample in self.samples.items():
            row = np.asarray(indices) % len(sample)
            times = 1 + (self.length - 1 - row) // len(sample)
            batch |= {f"{name}_{key}": a[row] for key, a in sample.arrays.items()}
            batch[f"{name}_weight"] = (batch[f"{name}_weight"] / times).astype(np.float32)
            batch[f"{name}_row"] = row.astype(np.int32)
        return batch


class Chosen:
    """Some of the events of another source, by number."""

    def __init__(self, source: Source, rows: np.ndarray) -> None:
        self.source, self.rows = source, rows
        self.blocks = np.unique(np.append(np.arange(0, len(rows), BLOCK), len(rows)))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return self.source[self.rows[np.asarray(indices)]]


def held_out(name: str, events: int, share: float, seed: int) -> np.ndarray:
    """(events,) which of a sample no network learns from.

    Raises:
      InputError: too few events to hold some out and keep some.
    """
    rng = np.random.default_rng([seed, HELD_KEY, events])
    held = rng.random(events) < share
    if not 0 < held.sum() < events:
        raise InputError(
            f"data.{name}: expected enough events to hold {share:g} of them out, found {events}"
        )
    return held
