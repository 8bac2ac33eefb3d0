"""Files of simulated pulses: normal ones to train on, normal ones and anomalies to judge with."""

from collections.abc import Callable
from math import ceil
from pathlib import Path

import numpy as np

from hepjax.formats.atomic import make_folder
from hepjax.formats.waveforms.layout import DETECTOR, EVENT, KINDS
from hepjax.formats.waveforms.writer import write_waveforms
from hepjax.simulate.waveforms.pulses import simulate_pulses

PER_FILE = 8192
FRACTION = 16
"""Normal test pulses for each anomaly of a kind."""
TEST_FROM = 2**30
"""Number of the first test pulse: no training pulse has it."""

Advance = Callable[[int], object]


def kinds_of_test(events: int) -> np.ndarray:
    """Kinds of the test pulses for so many training pulses: normal ones, then each anomaly."""
    each = ceil(events / FRACTION)
    return np.concatenate([np.zeros(events, np.int8), np.repeat(range(1, len(KINDS)), each)])


def pulses_of_test(events: int) -> int:
    """How many test pulses there are for so many training pulses."""
    return len(kinds_of_test(events))


def files_of(events: int) -> int:
    """Files that ``write_sets`` makes."""
    return ceil(events / PER_FILE) + ceil(pulses_of_test(events) / PER_FILE)


def training_kinds(events: int, seed: int, contamination: float) -> np.ndarray:
    """Kinds of the training pulses: normal, and a share of anomalies at random places."""
    rng = np.random.default_rng((seed, 1))
    planted = rng.random(events) < contamination
    return np.where(planted, rng.integers(1, len(KINDS), events), 0)


def write_sets(
    out: Path, events: int, seed: int, advance: Advance, contamination: float = 0.0
) -> None:
    """Write ``train`` and ``test`` into ``out``, files of ``PER_FILE`` pulses."""
    write_pulses(out / "train", training_kinds(events, seed, contamination), seed, 0, advance)
    write_pulses(out / "test", kinds_of_test(events), seed, TEST_FROM, advance)


def write_fixed_waveforms(out: Path, events: int, seed: int, advance: Advance) -> None:
    """Normal pulses in files."""
    write_pulses(out, np.zeros(events, np.int8), seed, 0, advance)


def write_pulses(folder: Path, kinds: np.ndarray, seed: int, first: int, advance: Advance) -> None:
    """Write pulses of these kinds (n,), numbered from ``first`` on."""
    make_folder(folder)
    for number, low in enumerate(range(0, len(kinds), PER_FILE)):
        part = kinds[low : low + PER_FILE]
        parts = []
        for made in simulate_pulses(part, seed, first + low):
            parts.append(made._asdict())
            advance(len(made.kind))
        fields = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
        fields[EVENT] = first + low + np.arange(len(part))
        path = folder / f"pulses_{number:04d}.h5"
        write_waveforms(path, fields, DETECTOR.count, DETECTOR.sample_ns)
