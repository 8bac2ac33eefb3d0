"""Pulses with what a network said of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hepjax.formats.waveforms.layout import KINDS


@dataclass(frozen=True)
class Judged:
    """Arrays over pulses (n, ...)."""

    waveform: np.ndarray
    """(n, samples) photoelectrons."""
    kind: np.ndarray
    """Number in ``KINDS``, 0 for normal ones."""
    found: Mapping[str, np.ndarray]
    """By name the scores of ``noise.deviations``, ``kl`` in nats and ``area`` in photoelectrons."""
    examples: np.ndarray
    """Rows of the pulses that are drawn."""
    expected: np.ndarray
    """(examples, samples) what the network makes of them."""
    truth: Mapping[str, np.ndarray] | None = None
    """What simulated pulses were made with."""

    @property
    def area(self) -> np.ndarray:
        """Photoelectrons."""
        return self.found["area"]

    def of(self, name: str) -> np.ndarray:
        """Rows of a kind."""
        return np.flatnonzero(self.kind == KINDS.index(name))

    @property
    def kinds(self) -> list[str]:
        """Anomalies that are there."""
        return [name for name in KINDS[1:] if len(self.of(name))]
