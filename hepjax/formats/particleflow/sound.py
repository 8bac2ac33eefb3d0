"""Which rows of MLPF events are sound, and what is filled in on reading."""

from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.formats.particleflow.columns import CLASSES, NEUTRAL, NONE, TOWER, TRACK, Particle
from hepjax.formats.particleflow.events import Events

SLIP = 2e-3
"""Relative; how closely an energy must follow the faulty formula to count as made by it."""


def faults(events: Events) -> dict[str, np.ndarray]:
    """Rows that readers refuse: (rows,) bool, by what was expected."""
    finite = np.ones(len(events.X), bool)
    for values in (events.X, events.ygen, events.ycand):
        finite &= np.isfinite(values).all(1)
    classes = np.arange(len(CLASSES))
    return {
        "finite numbers": ~finite,
        "type 1 (tower) or 2 (track)": ~np.isin(events.X[:, 0], (TOWER, TRACK)),
        "class 0 to 5 in ygen": ~np.isin(events.ygen[:, Particle.CLASS], classes),
        "class 0 to 5 in ycand": ~np.isin(events.ycand[:, Particle.CLASS], classes),
    }


def require_sound(events: Events, path: Path, start: int) -> None:
    """Check all rows of the events ``start`` onwards of a file.

    Raises:
      InputError: no elements, numbers that are not finite, unknown type or class.
    """
    empty = np.flatnonzero(np.diff(events.first) == 0)
    if len(empty):
        raise InputError(f"{path}: expected elements, found none in event {start + empty[0]}")
    for expected, bad in faults(events).items():
        if not bad.any():
            continue
        row = int(np.flatnonzero(bad)[0])
        event = start + int(np.searchsorted(events.first, row, side="right")) - 1
        found = {
            "f": "others",
            "t": f"type {events.X[row, 0]:g}",
            "c": f"class {(events.ygen if 'ygen' in expected else events.ycand)[row, 0]:g}",
        }[expected[0]]
        raise InputError(f"{path}: expected {expected}, found {found} in event {event}")


def fill_candidates(ycand: np.ndarray) -> np.ndarray:
    """Candidates with both momentum and energy, (rows, 7) float32.

    Published files leave pt = 0 for neutral candidates and E = 0 for charged ones, whose masses are
    neglected: pt = E / cosh(eta) and E = pt cosh(eta). The conversion to TFDS 1.1 and later fills
    the energy as pt / sqrt(1 - tanh(eta)), without the square; this is corrected.
    """
    pt, eta, energy = (
        ycand[:, c].astype(np.float64) for c in (Particle.PT, Particle.ETA, Particle.ENERGY)
    )
    neutral = np.isin(ycand[:, Particle.CLASS], NEUTRAL)
    charged = ~neutral & (ycand[:, Particle.CLASS] != NONE)
    with np.errstate(all="ignore"):  # rows without a particle
        cosh = np.cosh(eta)
        slipped = np.isclose(energy, pt / np.sqrt(1 - np.tanh(eta)), rtol=SLIP, atol=0)
        filled = ycand.astype(np.float32)
        filled[:, Particle.PT] = np.where(neutral & (pt == 0), energy / cosh, pt)
        filled[:, Particle.ENERGY] = np.where(
            charged & ((energy == 0) | slipped), pt * cosh, energy
        )  # fmt: skip
    return filled
