"""Which rows of MLPF events are sound, and what is filled in on reading."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.formats.particleflow.columns import (
    CLASSES,
    NEUTRAL,
    NONE,
    TOWER,
    TRACK,
    Element,
    Particle,
    Tower,
    Track,
)
from hepjax.formats.particleflow.events import Events

SLIP = 2e-3
"""Relative; how closely an energy must follow the faulty formula to count as made by it."""
LARGEST_SINE = 1 + 1e-5
"""Rounding of sines and cosines in single precision is far below."""

Values = np.ndarray


@dataclass(frozen=True)
class Rule:
    """What the numbers in some columns must be."""

    expected: str
    """For people, after "expected"."""
    name: str
    """Of the quantity, after "found"."""
    table: str
    columns: tuple[int, ...]
    holds: Callable[[Values], Values]
    """(rows,) numbers of one column to (rows,) bool."""
    of: int | None = None
    """Only for elements of this type."""

    def broken(self, events: Events) -> np.ndarray:
        """(rows,) bool: where it does not hold."""
        values = getattr(events, self.table)
        bad = ~np.logical_and.reduce([self.holds(values[:, c]) for c in self.columns])
        return bad if self.of is None else bad & (events.X[:, Track.TYPE] == self.of)

    def found(self, events: Events, row: int) -> str:
        """The number that breaks it, with its name."""
        values = getattr(events, self.table)[row, list(self.columns)]
        bad = values[[not self.holds(values[k : k + 1])[0] for k in range(len(values))]]
        return f"{self.name} {bad[0]:g}"


def _one_of(*numbers: int) -> Callable[[Values], Values]:
    return lambda values: np.isin(values, numbers)


def _not_negative(values: Values) -> Values:
    return values >= 0


def _is_sine(values: Values) -> Values:
    return np.abs(values) <= LARGEST_SINE


SINES = "sines and cosines between -1 and 1 in"
ENERGIES = "an energy that is not negative in"
CHARGES = "charge -1, 0 or 1 in"
RULES = (
    Rule("type 1 (tower) or 2 (track)", "type", "X", (Track.TYPE,), _one_of(TOWER, TRACK)),
    *(
        Rule(f"class 0 to 5 in {y}", "class", y, (Particle.CLASS,), _one_of(*range(len(CLASSES))))
        for y in ("ygen", "ycand")
    ),
    Rule(f"{CHARGES} X", "charge", "X", (Track.CHARGE,), _one_of(-1, 0, 1), of=TRACK),
    *(
        Rule(f"{CHARGES} {y}", "charge", y, (Particle.CHARGE,), _one_of(-1, 0, 1))
        for y in ("ygen", "ycand")
    ),
    Rule("a pT that is not negative in X", "pT", "X", (Track.PT,), _not_negative),
    *(
        Rule(f"a pT that is not negative in {y}", "pT", y, (Particle.PT,), _not_negative)
        for y in ("ygen", "ycand")
    ),
    Rule(f"{ENERGIES} X", "energy", "X", (Element.ENERGY,), _not_negative),
    Rule(
        f"{ENERGIES} the calorimeters of X", "energy", "X", (Tower.ENERGY_EM, Tower.ENERGY_HAD),
        _not_negative, of=TOWER,
    ),
    *(
        Rule(f"{ENERGIES} {y}", "energy", y, (Particle.ENERGY,), _not_negative)
        for y in ("ygen", "ycand")
    ),
    Rule(f"{SINES} X", "sine or cosine", "X", (Tower.SIN_PHI, Tower.COS_PHI), _is_sine),
    Rule(
        f"{SINES} X at the calorimeter", "sine or cosine", "X",
        (Track.SIN_PHI_OUTER, Track.COS_PHI_OUTER), _is_sine, of=TRACK,
    ),
    *(
        Rule(f"{SINES} {y}", "sine or cosine", y, (Particle.SIN_PHI, Particle.COS_PHI), _is_sine)
        for y in ("ygen", "ycand")
    ),
)  # fmt: skip
"""Beside that all numbers are finite."""
FINITE = "finite numbers"


def faults(events: Events) -> dict[str, np.ndarray]:
    """Rows that readers refuse: (rows,) bool, by what was expected; NaN counts as that alone."""
    finite = np.ones(len(events.X), bool)
    for values in (events.X, events.ygen, events.ycand):
        finite &= np.isfinite(values).all(1)
    return {FINITE: ~finite} | {rule.expected: rule.broken(events) & finite for rule in RULES}


def require_sound(events: Events, path: Path, start: int) -> None:
    """Check all rows of the events ``start`` onwards of a file.

    Raises:
      InputError: no elements, or a row that breaks one of ``RULES``.
    """
    empty = np.flatnonzero(np.diff(events.first) == 0)
    if len(empty):
        raise InputError(f"{path}: expected elements, found none in event {start + empty[0]}")
    rules = {rule.expected: rule for rule in RULES}
    for expected, bad in faults(events).items():
        if not bad.any():
            continue
        row = int(np.flatnonzero(bad)[0])
        event = int(np.searchsorted(events.first, row, side="right")) - 1
        found = "others" if expected == FINITE else rules[expected].found(events, row)
        raise InputError(
            f"{path}: expected {expected}, found {found} in event {start + event}, row "
            f"{row - events.first[event]}"
        )


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
