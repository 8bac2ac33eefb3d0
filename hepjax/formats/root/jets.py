"""Jet images from constituents: the branches of a data card, summed in the pixels of each channel.

An entry is one jet, or has several; then its constituents say by a number which jet they belong to
(``jet``), or belong to every jet within ``radius``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.images import Grid, SparseImages
from hepjax.formats.jets.arrays import Columns, canonical, from_pairs
from hepjax.formats.jets.arrays import Piece as Origin
from hepjax.formats.jets.meaning import Meaning, agree, make_grid
from hepjax.formats.root.card import Card, Piece, Pieces, card_of
from hepjax.formats.root.expressions import Expression
from hepjax.formats.source import Batch

PIXEL = (0.0174, float(np.pi / 180))
"""Of the CMS images: eta, phi (rad)."""
OTHER_KEYS = ("constituents", "channels", "labels", "shape", "pixel", "radius", "columns", "where")


@dataclass(frozen=True)
class RootJets:
    """The jets of a card; a ``JetFile``."""

    path: Path
    grid: Grid
    labels: dict[int, str]
    card: Card
    columns: dict[str, Expression]
    """Of the jets: eta and phi of the axis, and what else."""
    constituents: dict[str, Expression]
    channels: tuple[Expression, ...]
    where: Expression | None
    pixel: tuple[float, float]
    radius: float | None
    pieces: Pieces
    layout: str = "root"

    @property
    def events(self) -> int:
        """Jets that pass the cuts."""
        return len(self.pieces)

    def stream(
        self, batch: int = 256, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[SparseImages, Columns]]:
        """See ``JetFile``."""
        stop = len(self.pieces) if stop is None else min(stop, len(self.pieces))
        for piece, low, high in self.pieces.between(start, stop):
            images, columns = self._decoded(piece)
            for first in range(low, high, batch):
                rows = slice(first, min(first + batch, high))
                yield _rows(images, rows), {name: a[rows] for name, a in columns.items()}

    def expressions(self) -> list[Expression]:
        """All that are read."""
        some = [*self.columns.values(), *self.constituents.values(), *self.channels]
        return [*some, *([self.where] if self.where else [])]

    def counted(self) -> list[Expression]:
        """Those that tell how many jets there are."""
        return [*self.columns.values(), *([self.where] if self.where else [])]

    def count(self, columns: Batch) -> int:
        """Jets of a piece."""
        return int(_jets(self, columns)[0].sum())

    def _decoded(self, piece: Piece) -> tuple[SparseImages, Columns]:
        columns = self.card.columns(piece, self.expressions())
        kept, jets = _jets(self, columns)
        origin = Origin(piece.path, self.grid, self.labels, piece.start)
        key, value = _pixels(self, columns, kept, jets)
        size = self.grid.size
        cells, place = np.unique(key, return_inverse=True)
        sums = np.bincount(place, value, len(cells)).astype(np.float32)
        first = np.searchsorted(cells, np.arange(kept.sum() + 1) * size)
        images = from_pairs(origin, first, cells % size, sums)
        return images, canonical(origin, {k: a[kept] for k, a in jets.items()})


def describe_root_jets(path: Path, asked: Meaning) -> RootJets:
    """Read a card and count its jets.

    Raises:
      InputError: a card of something else, with missing or unknown keys, or files that do not fit.
    """
    card = card_of(path, "jets", OTHER_KEYS)
    channels = card.group("channels", None, ())
    if not channels:
        raise InputError(f"{path}: root.jets.channels: expected channels by name, found none")
    shape = _pair(card, "shape", (125, 125), int)
    labels = card.settings.get("labels")
    said = Meaning(tuple(channels), dict(enumerate(map(str, labels))) if labels else None, shape)
    meaning = agree(path, said, asked)
    where = card.settings.get("where")
    columns = card.group("columns", None, ("eta", "phi"))
    if "label" not in columns and not (asked.unlabelled or asked.first_look):
        raise InputError(f"{path}: root.jets.columns: expected a label, found none")
    radius = card.settings.get("radius")
    if radius is not None and not (isinstance(radius, int | float) and radius > 0):
        raise InputError(f"{path}: root.jets.radius: expected a number above 0, found {radius!r}")
    made = RootJets(
        path, make_grid(path, meaning, len(channels), shape), meaning.labels or {}, card, columns,
        card.group("constituents", ("eta", "phi", "jet"), ("eta", "phi")),
        tuple(channels.values()), None if where is None else card.expression(where, "where"),
        _pair(card, "pixel", PIXEL, float), radius, Pieces(()),
    )  # fmt: skip
    return replace(
        made, pieces=Pieces(tuple(card.pieces(made.expressions(), made.counted(), made.count)))
    )


def _pair(card: Card, key: str, default: Any, kind: type) -> Any:
    given = card.settings.get(key, default)
    given = (given, given) if isinstance(given, int | float) else given
    fits = isinstance(given, list | tuple) and len(given) == 2
    if not fits or not all(isinstance(n, int | float) and kind(n) == n and n > 0 for n in given):
        raise InputError(
            f"{card.path}: root.jets.{key}: expected two numbers above 0, found {given!r}"
        )
    return kind(given[0]), kind(given[1])


def _jets(of: RootJets, columns: Batch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Which of all jets of a piece are kept, (jets,) bool, and their columns, (jets,) each."""
    import awkward as ak

    axis = of.columns["eta"].of(columns)
    entries = len(columns["entry"])
    if not isinstance(axis, ak.Array) or axis.ndim not in (1, 2):
        raise InputError(
            f"{of.columns['eta'].key}: expected one number a jet, found {of.columns['eta'].text!r}"
        )
    flat = {}
    for name, expression in of.columns.items():
        values = ak.broadcast_arrays(axis, expression.of(columns))[1]
        if values.ndim != axis.ndim or len(values) != entries:
            raise InputError(
                f"{expression.key}: expected one number a jet as eta has, found {expression.text!r}"
            )
        flat[name] = ak.to_numpy(ak.flatten(values, axis=None))
    if axis.ndim == 2 and "event" not in flat:  # jets of one entry stay on one side of a split
        flat["event"] = np.repeat(ak.to_numpy(columns["entry"]), ak.to_numpy(ak.num(axis)))
    kept = np.ones(len(flat["eta"]), bool)
    if of.where is not None:
        holds = ak.broadcast_arrays(axis, of.where.of(columns))[1]
        kept = ak.to_numpy(ak.flatten(holds, axis=None)).astype(bool)
    return kept, flat


def _pixels(
    of: RootJets, columns: Batch, kept: np.ndarray, jets: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Key (event x cells + cell) and value of each constituent in each channel, in the image."""
    import awkward as ak

    eta, phi = (of.constituents[name].of(columns) for name in ("eta", "phi"))
    if not isinstance(eta, ak.Array) or eta.ndim != 2:
        raise InputError(
            f"{of.constituents['eta'].key}: expected a list an entry, found "
            f"{of.constituents['eta'].text!r}"
        )
    jet, which = _belonging(of, columns, eta, phi, jets)
    event = np.where(kept, np.cumsum(kept) - 1, -1)[jet]
    rows, cols = of.grid.shape
    flat_eta, flat_phi = (ak.to_numpy(ak.flatten(a)).astype(np.float64)[which] for a in (eta, phi))
    turn = flat_phi - jets["phi"][jet]
    turn = np.arctan2(np.sin(turn), np.cos(turn))
    row = np.floor((flat_eta - jets["eta"][jet]) / of.pixel[0] + rows / 2)
    col = np.floor(turn / of.pixel[1] + cols / 2)
    inside = (event >= 0) & (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
    cell = (row[inside] * cols + col[inside]).astype(np.int64)
    base, keys, values = event[inside] * of.grid.size + cell, [], []
    for number, expression in enumerate(of.channels):
        spread = ak.broadcast_arrays(eta, expression.of(columns))[1]
        if spread.ndim != 2:
            raise InputError(
                f"{expression.key}: expected one number a constituent, found {expression.text!r}"
            )
        value = ak.to_numpy(ak.flatten(spread)).astype(np.float64)[which][inside]
        hit = value != 0
        keys.append(base[hit] + number * rows * cols)
        values.append(value[hit])
    return np.concatenate(keys), np.concatenate(values)


def _belonging(
    of: RootJets, columns: Batch, eta: Any, phi: Any, jets: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a jet (its number in the piece) and a constituent (likewise) that belongs to it."""
    import awkward as ak

    axis = of.columns["eta"].of(columns)
    counts = ak.to_numpy(ak.num(eta))
    entry = np.repeat(np.arange(len(counts)), counts)
    every = np.arange(len(entry))
    if axis.ndim == 1:
        return entry, every
    per_entry = ak.to_numpy(ak.num(axis))
    first = np.concatenate([[0], np.cumsum(per_entry)])
    if "jet" in of.constituents:
        number = ak.to_numpy(ak.flatten(of.constituents["jet"].of(columns))).astype(np.int64)
        if len(number) != len(entry):
            raise InputError(
                f"{of.constituents['jet'].key}: expected a number for each constituent, found "
                f"{of.constituents['jet'].text!r}"
            )
        mine = (number >= 0) & (number < per_entry[entry])
        return (first[entry] + number)[mine], every[mine]
    if of.radius is None:
        raise InputError(
            f"{of.path}: expected root.jets.constituents.jet or root.jets.radius for entries of "
            "several jets, found neither"
        )
    # Every pair of a jet and a constituent of one entry.
    pairs = per_entry[entry]
    which = np.repeat(every, pairs)
    jet = np.repeat(first[entry], pairs) + _within(pairs)
    flat_eta, flat_phi = (ak.to_numpy(ak.flatten(a)).astype(np.float64)[which] for a in (eta, phi))
    turn = flat_phi - jets["phi"][jet]
    distance = np.hypot(flat_eta - jets["eta"][jet], np.arctan2(np.sin(turn), np.cos(turn)))
    near = distance < of.radius
    return jet[near], which[near]


def _within(lengths: np.ndarray) -> np.ndarray:
    """0, 1, ... up to each length, one after another."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _rows(images: SparseImages, rows: slice) -> SparseImages:
    first = images.first[rows.start : rows.stop + 1]
    inside = slice(int(first[0]), int(first[-1]))
    return SparseImages(first - first[0], images.cell[inside], images.value[inside])
