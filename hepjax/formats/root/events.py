"""Particle-flow events from branches: tracks and towers of a data card, with their particles.

Elements of an event are its tracks, then its towers, in the order of the branches. Every quantity
is a list of one number a track (or tower). Targets and rule-based candidates are looked up by the
card, for example ``take(Particle_pt, Track_particle)``; without targets the events can be predicted
and not trained on.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.notes import note
from hepjax.formats.particleflow.columns import ARRAYS, TOWER, TRACK, Particle, Tower, Track
from hepjax.formats.particleflow.events import EventFile, Events
from hepjax.formats.root.card import Card, Pieces, card_of
from hepjax.formats.root.expressions import Expression
from hepjax.formats.source import Batch

TRACK_KEYS = (
    *("pt", "eta", "phi", "charge", "p", "eta_outer", "phi_outer", "is_gen_muon"),
    "is_gen_electron",
)
TOWER_KEYS = ("et", "eta", "phi", "energy", "energy_em", "energy_had")
PARTICLE_KEYS = ("class", "charge", "pt", "eta", "phi", "energy")
GROUPS = {
    "tracks": (TRACK_KEYS, ("pt", "eta", "phi", "charge")),
    "towers": (TOWER_KEYS, ("et", "eta", "phi", "energy")),
    **{
        f"{element}_{what}": (PARTICLE_KEYS, PARTICLE_KEYS)
        for element in ("track", "tower") for what in ("targets", "candidates")
    },
}  # fmt: skip
"""Names that each group may have, and must have."""
FIRST = (("tracks", "pt"), ("towers", "et"))
"""Whose lengths are the numbers of elements."""


@dataclass(frozen=True)
class _Mapping:
    """The expressions of a card, by group and name."""

    card: Card
    groups: dict[str, dict[str, Expression]]

    def expressions(self) -> list[Expression]:
        """All of them."""
        return [e for group in self.groups.values() for e in group.values()]

    def counts(self, columns: Batch) -> np.ndarray:
        """Elements of each entry, (entries,); those without are no events."""
        import awkward as ak

        total = np.zeros(len(columns["entry"]), np.int64)
        for name, first in FIRST:
            if group := self.groups.get(name):
                total += ak.to_numpy(ak.num(_list(group[first], columns)))
        return total

    def counted(self) -> list[Expression]:
        """Those that tell how many elements there are."""
        some = (self.groups.get(name, {}).get(first) for name, first in FIRST)
        return [expression for expression in some if expression is not None]


def describe_root_events(path: Path) -> EventFile:
    """Read a card and count the elements of its events.

    Raises:
      InputError: a card of something else, with missing or unknown keys, or files that do not fit.
    """
    card = card_of(path, "particleflow", GROUPS)
    groups = {
        name: card.group(name, known, needed) for name, (known, needed) in GROUPS.items()
        if name in card.settings
    }  # fmt: skip
    if not ({"tracks", "towers"} & groups.keys()):
        raise InputError(f"{path}: expected root.particleflow.tracks or towers, found neither")
    lacking = [
        f"{element}s" for element in ("track", "tower")
        if f"{element}s" in groups and f"{element}_targets" not in groups
    ]  # fmt: skip
    if lacking:
        note(f"{path}: no targets of {' and '.join(lacking)}: these events can only be predicted")
    mapping = _Mapping(card, groups)
    elements: list[np.ndarray] = []

    def count(columns: Batch) -> int:
        counts = mapping.counts(columns)
        elements.append(counts[counts > 0])
        return len(elements[-1])

    pieces = Pieces(tuple(card.pieces(mapping.expressions(), mapping.counted(), count)))
    return EventFile(
        path, "ROOT trees", np.concatenate(elements), np.unique(pieces.edges),
        partial(_read, mapping, pieces), without_targets=" and ".join(lacking),
    )  # fmt: skip


def _read(mapping: _Mapping, pieces: Pieces, start: int, stop: int) -> Events:
    """Events ``start`` to ``stop``."""
    parts = []
    for piece, low, high in pieces.between(start, stop):
        columns = mapping.card.columns(piece, mapping.expressions())
        keep = mapping.counts(columns) > 0
        columns = {name: values[keep][low:high] for name, values in columns.items()}
        parts.append(_events(mapping, columns))
    first = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(p.first) for p in parts]))])
    return Events(first, *(np.concatenate([getattr(p, k) for p in parts]) for k in ARRAYS))


def _events(mapping: _Mapping, columns: Batch) -> Events:
    """The elements of some entries, tracks before towers in each."""
    sizes, arrays = [], []
    for name, fill in (("tracks", _tracks), ("towers", _towers)):
        if not (group := mapping.groups.get(name)):
            continue
        element = name.removesuffix("s")
        first = group["pt" if name == "tracks" else "et"]
        size = _sizes(first, columns)
        X = fill({key: _flat(e, columns, first) for key, e in group.items()})
        found = {"X": X}
        for what, key in (("targets", "ygen"), ("candidates", "ycand")):
            particles = mapping.groups.get(f"{element}_{what}", {})
            values = {k: _flat(e, columns, first) for k, e in particles.items()}
            found[key] = _particles(values, len(X))
        sizes.append(size)
        arrays.append(found)
    entry = np.concatenate([np.repeat(np.arange(len(size)), size) for size in sizes])
    order = np.argsort(entry, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.sum(sizes, axis=0))])
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which is checked
        joined = [
            np.concatenate([a[key] for a in arrays])[order].astype(np.float32) for key in ARRAYS
        ]
    return Events(ends.astype(np.int64), *joined)


def _tracks(q: dict[str, np.ndarray]) -> np.ndarray:
    X = np.zeros((len(q["pt"]), ARRAYS["X"]))
    eta_outer, phi_outer = q.get("eta_outer", q["eta"]), q.get("phi_outer", q["phi"])
    X[:, Track.TYPE] = TRACK
    X[:, Track.PT], X[:, Track.ETA], X[:, Track.CHARGE] = q["pt"], q["eta"], q["charge"]
    X[:, Track.SIN_PHI], X[:, Track.COS_PHI] = np.sin(q["phi"]), np.cos(q["phi"])
    X[:, Track.P] = q["p"] if "p" in q else q["pt"] * np.cosh(q["eta"])
    X[:, Track.ETA_OUTER] = eta_outer
    X[:, Track.SIN_PHI_OUTER], X[:, Track.COS_PHI_OUTER] = np.sin(phi_outer), np.cos(phi_outer)
    X[:, Track.IS_GEN_MUON] = q.get("is_gen_muon", 0)
    X[:, Track.IS_GEN_ELECTRON] = q.get("is_gen_electron", 0)
    return X


def _towers(q: dict[str, np.ndarray]) -> np.ndarray:
    X = np.zeros((len(q["et"]), ARRAYS["X"]))
    X[:, Tower.TYPE] = TOWER
    X[:, Tower.ET], X[:, Tower.ETA], X[:, Tower.ENERGY] = q["et"], q["eta"], q["energy"]
    X[:, Tower.SIN_PHI], X[:, Tower.COS_PHI] = np.sin(q["phi"]), np.cos(q["phi"])
    X[:, Tower.ENERGY_EM] = q.get("energy_em", 0)
    X[:, Tower.ENERGY_HAD] = q.get("energy_had", 0)
    return X


def _particles(q: dict[str, np.ndarray], rows: int) -> np.ndarray:
    """Rows of particles; of class 0 they are 0 throughout."""
    y = np.zeros((rows, len(Particle)))
    if q:
        columns = (q["class"], q["charge"], q["pt"], q["eta"])
        y[:] = np.stack([*columns, np.sin(q["phi"]), np.cos(q["phi"]), q["energy"]], axis=1)
        y[y[:, Particle.CLASS] == 0] = 0
    return y


def _list(expression: Expression, columns: Batch) -> Any:
    import awkward as ak

    values = expression.of(columns)
    if not isinstance(values, ak.Array) or values.ndim != 2:
        raise InputError(f"{expression.key}: expected a list an entry, found {expression.text!r}")
    return values


def _sizes(expression: Expression, columns: Batch) -> np.ndarray:
    import awkward as ak

    return np.asarray(ak.to_numpy(ak.num(_list(expression, columns))), np.int64)


def _flat(expression: Expression, columns: Batch, like: Expression) -> np.ndarray:
    """(elements,) float64: as many numbers an entry as ``like`` has, or one for all."""
    import awkward as ak

    values = expression.of(columns)
    wanted = _list(like, columns)
    try:
        spread = ak.broadcast_arrays(wanted, values)[1]
        if spread.ndim == 2:
            return np.asarray(ak.to_numpy(ak.flatten(spread)), np.float64)
    except ValueError:
        pass
    raise InputError(
        f"{expression.key}: expected as many numbers an entry as {like.key.rsplit('.', 1)[-1]} "
        f"({like.text}) has, found others in {expression.text!r}"
    )
