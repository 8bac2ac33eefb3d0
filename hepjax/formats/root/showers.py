"""Showers from branches: cells as lists with their indices, or as arrays of a fixed shape.

``root.showers`` has ``energy`` (incident, GeV), ``theta`` (rad, for tilted showers), ``unit`` of
the cells, ``calorimeter``, and either ``ecal``, a branch of a fixed shape, or ``cells`` with
``energy`` and the whole numbers ``x``, ``y``, ``z`` of each hit cell. Hits of one cell are summed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.formats.notes import note
from hepjax.formats.root.card import Card, Pieces, card_of
from hepjax.formats.root.expressions import Expression
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.calorimeters import calorimeter as named
from hepjax.formats.showers.file import BLOCK_EVENTS, NORMAL_WITHIN, ShowerFile
from hepjax.formats.showers.layout import Layout, Unit
from hepjax.formats.source import Batch
from hepjax.formats.units import ENERGY

AXES = {3: ("x", "y", "z"), 1: ("voxel",)}
"""Names of the indices of a cell, in boxes and in cylinders."""
NO_PIECES = Pieces(())
KEYS = ("energy", "theta", "ecal", "cells", "unit", "calorimeter")


@dataclass(frozen=True)
class _Mapping:
    """The expressions of a card."""

    card: Card
    columns: dict[str, Expression]
    """energy, theta, as far as the card has them."""
    cells: dict[str, Expression]
    grid: tuple[int, ...]

    def expressions(self) -> list[Expression]:
        """All of them."""
        return [*self.columns.values(), *self.cells.values()]


@dataclass(frozen=True, eq=False)
class RootShowerFile(ShowerFile):
    """The showers of a card."""

    mapping: _Mapping | None = None
    pieces: Pieces = NO_PIECES

    def read_cells(self, start: int, stop: int) -> np.ndarray:
        """See ``ShowerFile``."""
        assert self.mapping is not None
        parts = []
        for piece, low, high in self.pieces.between(start, stop):
            columns = self.mapping.card.columns(piece, list(self.mapping.cells.values()))
            some = {name: values[low:high] for name, values in columns.items()}
            parts.append(_cells(self.mapping, some, self.path))
        cells = np.concatenate(parts) / ENERGY[self.unit]
        if self.threshold:
            cells = np.where((cells >= 0) & (cells < self.threshold), 0, cells)
        return cells.astype(np.float32)


def describe_root_showers(
    path: Path, unit: Unit = "auto", calorimeter: Calorimeter | None = None
) -> RootShowerFile:
    """Read a card and the columns of its showers; see ``showers.file.describe``.

    Raises:
      InputError: a card of something else, with missing or unknown keys, or files that do not fit.
    """
    card = card_of(path, "showers", KEYS)
    found = calorimeter or _calorimeter(card)
    given = card.settings
    columns: dict[str, Expression] = {
        key: card.expression(given[key], key) for key in ("energy", "theta") if key in given
    }
    if ("ecal" in given) == ("cells" in given):
        raise InputError(f"{path}: expected one of root.showers.ecal and cells, found not one")
    if "ecal" in given:
        cells = {"ecal": card.expression(given["ecal"], "ecal")}
    else:
        names = AXES[len(found.shape)]
        cells = card.group("cells", ("energy", *names), ("energy", *names))
    mapping = _Mapping(card, columns, cells, found.shape)
    pieces = Pieces(tuple(card.pieces(mapping.expressions(), [], lambda c: len(c["entry"]))))
    read = _columns(mapping, pieces)
    theta = read.get("theta")
    normal = theta is None or bool(np.abs(theta - np.pi / 2).max() < NORMAL_WITHIN)
    layout: Layout = "calochallenge" if not found.box else "fixed" if normal else "angle"
    asked = unit if unit != "auto" else str(given.get("unit", "GeV"))
    if asked not in ENERGY:
        raise InputError(f"{path}: root.showers.unit: expected {', '.join(ENERGY)}, found {asked}")
    because = "as requested" if unit != "auto" else "written in the card"
    return RootShowerFile(
        path, layout, len(pieces), found.shape, BLOCK_EVENTS, asked, because,
        "energy" if "energy" in read else None, read.get("energy"), None if normal else theta,
        None, None, found, 0.0 if found.box else found.threshold, mapping, pieces,
    )  # fmt: skip


def _calorimeter(card: Card) -> Calorimeter:
    name = card.settings.get("calorimeter")
    if not isinstance(name, str):
        raise InputError(
            f"{card.path}: root.showers.calorimeter: expected the name or file of a calorimeter, "
            f"found {name!r}"
        )
    return named(name)


def _columns(mapping: _Mapping, pieces: Pieces) -> dict[str, np.ndarray]:
    """Incident energies and angles of all events, (n,) float32.

    Raises:
      InputError: energies that are not positive, angles outside 0 to pi.
    """
    import awkward as ak

    found: dict[str, np.ndarray] = {}
    expressions = list(mapping.columns.values())
    read = [mapping.card.columns(piece, expressions) for piece in pieces.pieces]
    for name, expression in mapping.columns.items():
        parts = []
        for columns in read:
            values = ak.broadcast_arrays(columns["entry"], expression.of(columns))[1]
            if values.ndim != 1:
                raise InputError(
                    f"{expression.key}: expected one number an entry, found {expression.text!r}"
                )
            parts.append(ak.to_numpy(values))
        joined = np.concatenate(parts).astype(np.float32)
        high = np.inf if name == "energy" else np.pi
        good = (
            (joined > 0) & (joined < high) if name == "energy" else (joined >= 0) & (joined <= high)
        )
        if not good.all():
            bad = int(np.flatnonzero(~good)[0])
            expected = "positive energies" if name == "energy" else "angles from 0 to pi rad"
            raise InputError(
                f"{expression.key}: expected {expected}, found {joined[bad]} in event {bad}"
            )
        found[name] = joined
    return found


def _cells(mapping: _Mapping, columns: Batch, path: Path) -> np.ndarray:
    """(n, *grid) float64 in the unit of the branches."""
    import awkward as ak

    events = len(columns["entry"])
    if "ecal" in mapping.cells:
        expression = mapping.cells["ecal"]
        try:
            values = ak.to_numpy(expression.of(columns))
            return np.asarray(values, np.float64).reshape(events, *mapping.grid)
        except ValueError:
            raise InputError(
                f"{expression.key}: expected {' x '.join(map(str, mapping.grid))} numbers an "
                f"entry, found {expression.text!r} of another shape"
            ) from None
    flat: dict[str, np.ndarray] = {}
    energy = mapping.cells["energy"].of(columns)
    for name, expression in mapping.cells.items():
        values = ak.broadcast_arrays(energy, expression.of(columns))[1]
        if values.ndim != 2:
            raise InputError(
                f"{expression.key}: expected a list an entry, found {expression.text!r}"
            )
        flat[name] = np.asarray(ak.to_numpy(ak.flatten(values)), np.float64)
    event = np.repeat(np.arange(events), ak.to_numpy(ak.num(energy)))
    inside, cell = np.ones(len(event), bool), event.copy()
    for name, size in zip(AXES[len(mapping.grid)], mapping.grid, strict=True):
        _require_whole(mapping.cells[name], flat[name])
        inside &= (flat[name] >= 0) & (flat[name] < size)
        cell = cell * size + np.clip(flat[name], 0, size - 1).astype(np.int64)
    if not inside.all():
        note(f"{path}: hits outside the calorimeter are left out", key=("outside", path))
    size = events * int(np.prod(mapping.grid))
    sums = np.bincount(cell[inside], flat["energy"][inside], size)
    return sums.reshape(events, *mapping.grid)


def _require_whole(expression: Expression, values: np.ndarray) -> None:
    bad = np.flatnonzero(values != np.floor(values))
    if len(bad):
        raise InputError(
            f"{expression.key}: expected whole numbers of cells, found {values[bad[0]]}; floor() "
            "makes them of positions"
        )
