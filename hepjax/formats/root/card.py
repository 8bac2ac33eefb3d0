"""Data cards: YAML files that say which branches of which ROOT trees are the columns of a layout.

A card stands where the name of a data file would. It has one group, ``root``; docs/guides/
root-files.md explains its keys. Of several files the trees follow each other, in sorted order.
"""

import glob
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats import strict_yaml
from hepjax.formats.root import tree as trees
from hepjax.formats.root.expressions import Expression

SUFFIXES = (".yaml", ".yml")
LARGEST = 2**20
"""Bytes of a card."""
KINDS = ("jets", "particleflow", "showers")
COMMON = ("files", "tree", "define", "cut")


@dataclass(frozen=True)
class Piece:
    """Entries of one file that are read together, and how many events they give."""

    path: Path
    tree: trees.TreeInfo
    start: int
    stop: int
    events: int


@dataclass(frozen=True)
class Card:
    """A card, read and checked; it pickles."""

    path: Path
    kind: str
    files: tuple[Path, ...]
    tree: str
    define: dict[str, Expression]
    """Names of the card's own for expressions; each may use those before it."""
    cut: Expression | None
    settings: dict[str, Any]
    """What the layout says of its columns."""

    def expression(self, value: Any, *key: str) -> Expression:
        """An expression of the card.

        Raises:
          InputError: it is none.
        """
        where = f"{self.path}: root.{'.'.join((self.kind, *key))}"
        if isinstance(value, bool | int | float):
            value = repr(value)
        if not isinstance(value, str):
            raise InputError(f"{where}: expected an expression of branches, found {value!r}")
        return Expression(value, where)

    def group(self, name: str, known: tuple[str, ...] | None, needed: tuple[str, ...]) -> Any:
        """A group of expressions by name; empty if the card has none and none is needed.

        Args:
          known: the names that it may have; None: any.
        Raises:
          InputError: another name, or one that is missing.
        """
        given = self.settings.get(name, {})
        where = f"{self.path}: root.{self.kind}.{name}"
        if not isinstance(given, dict):
            raise InputError(f"{where}: expected a group of expressions, found {given!r}")
        for key in given:
            if known is not None and key not in known:
                raise InputError(f"{where}: expected {', '.join(known)}, found {key}")
        if missing := [key for key in needed if key not in given]:
            raise InputError(f"{where}: expected {', '.join(missing)}, found none")
        return {str(key): self.expression(value, name, str(key)) for key, value in given.items()}

    def pieces(
        self, expressions: list[Expression], counted: list[Expression],
        count: Callable[[dict[str, Any]], int],
    ) -> list[Piece]:  # fmt: skip
        """The entries in pieces that fit into memory, and the events of each.

        Args:
          expressions: all that will be read; the size of a piece is theirs.
          counted: those of them that ``count`` needs.
          count: events of a piece, given its columns, cut already.
        Raises:
          InputError: a tree or branch that is not there, damage, or no event at all.
        """
        found = []
        names = self.names(expressions)
        for path in self.files:
            tree = trees.tree_of(path, self.tree)
            trees.require_branches(path, tree, names)
            for start, stop in trees.chunks(path, tree, names):
                whole = Piece(path, tree, start, stop, 0)
                events = count(self.columns(whole, counted))
                found.append(Piece(path, tree, start, stop, events))
        if not sum(piece.events for piece in found):
            raise InputError(
                f"{self.path}: expected entries that pass the cuts, found none of "
                f"{sum(p.stop - p.start for p in found)}"
            )
        return found

    def names(self, expressions: list[Expression]) -> list[str]:
        """The branches of expressions and of the cut."""
        return sorted(self._used(expressions) - self.define.keys())

    def _used(self, expressions: list[Expression]) -> set[str]:
        """The branches and names of the card in expressions and in the cut."""
        every = [*expressions, *([self.cut] if self.cut else [])]
        used = {name for expression in every for name in expression.branches}
        for name in reversed(self.define):
            if name in used:
                used |= self.define[name].branches
        return used

    def columns(self, piece: Piece, expressions: list[Expression]) -> dict[str, Any]:
        """The branches of a piece, as far as entries pass the cut, and ``entry``, their number."""
        import awkward as ak

        names = self.names(expressions)
        read = trees.read(piece.path, piece.tree, names, piece.start, piece.stop)
        columns = read | {"entry": ak.Array(np.arange(piece.start, piece.stop))}
        used = self._used(expressions)
        for name, expression in self.define.items():
            if name in used:
                columns[name] = expression.of(columns)
        if self.cut is None:
            return columns
        holds = self.cut.of(columns)
        if not isinstance(holds, ak.Array) or holds.ndim != 1:
            raise InputError(
                f"{self.cut.key}: expected one truth value an entry, found {self.cut.text!r}; "
                "any() and all() make one of lists"
            )
        kept = ak.values_astype(holds, bool)
        return {name: values[kept] for name, values in columns.items()}


@dataclass(frozen=True)
class Pieces:
    """Pieces one after another, as one list of events."""

    pieces: tuple[Piece, ...]

    @cached_property
    def edges(self) -> np.ndarray:
        """(pieces + 1,) int64: the first event of each."""
        return np.cumsum([0, *(piece.events for piece in self.pieces)], dtype=np.int64)

    def __len__(self) -> int:
        return int(self.edges[-1])

    def between(self, start: int, stop: int) -> Iterator[tuple[Piece, int, int]]:
        """Pieces with events ``start`` to ``stop``, and which of their own events these are."""
        for number, piece in enumerate(self.pieces):
            first = int(self.edges[number])
            low, high = max(start - first, 0), min(stop - first, piece.events)
            if low < high:
                yield piece, low, high


def is_card(path: Path) -> bool:
    """Whether it is a YAML file with a group ``root``, which maps branches."""
    if path.suffix.lower() not in SUFFIXES or not path.is_file():  # a pipe would be waited for
        return False
    try:
        with path.open("rb") as file:
            return any(line.startswith(b"root:") for line in file.read(LARGEST).splitlines())
    except OSError:
        return False


def read_card(path: Path) -> Card:
    """Read a data card and find its files.

    Raises:
      InputError: no card, an unknown key, no such files.
    """
    if trees.is_root(path):
        raise InputError(
            f"{path}: expected a data card that says what its branches are, found a ROOT file; "
            "docs/guides/root-files.md has examples"
        )
    trees.require_uproot(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, found: {error.strerror}") from None
    whole = strict_yaml.read(text, str(path))
    given = whole.get("root") if isinstance(whole, dict) else None
    if not isinstance(given, dict):
        raise InputError(f"{path}: expected a group root, found {type(given).__name__}")
    kinds = [kind for kind in KINDS if kind in given]
    if len(kinds) != 1 or not isinstance(given[kinds[0]], dict):
        found = " and ".join(kinds) or "none of them"
        raise InputError(
            f"{path}: expected one group of root.{', root.'.join(KINDS)}, found {found}"
        )
    for key in given:
        if key not in (*COMMON, *KINDS):
            raise InputError(
                f"{path}: expected root.{', root.'.join((*COMMON, *KINDS))}, found root.{key}"
            )
    cut = given.get("cut")
    if cut is not None and not isinstance(cut, str):
        raise InputError(f"{path}: root.cut: expected an expression of branches, found {cut!r}")
    return Card(
        path, kinds[0], _files(path, given.get("files")), str(given.get("tree", "")),
        _defined(path, given.get("define", {})),
        None if cut is None else Expression(cut, f"{path}: root.cut"), given[kinds[0]],
    )  # fmt: skip


def card_of(path: Path, kind: str, known: Iterable[str]) -> Card:
    """A card of that kind of event.

    Args:
      known: the keys that may stand below ``root.<kind>``.
    Raises:
      InputError: see ``read_card``; or a card of something else, or another key.
    """
    card = read_card(path)
    if card.kind != kind:
        raise InputError(f"{path}: expected a card of {kind}, found one of {card.kind}")
    for key in card.settings:
        if key not in known:
            names = ", ".join(f"root.{kind}.{name}" for name in known)
            raise InputError(f"{path}: expected {names}, found root.{kind}.{key}")
    return card


def _defined(path: Path, given: Any) -> dict[str, Expression]:
    found: dict[str, Expression] = {}
    if not isinstance(given, dict) or not all(isinstance(text, str) for text in given.values()):
        raise InputError(f"{path}: root.define: expected expressions by name, found {given!r}")
    for name, text in given.items():
        if not str(name).isidentifier() or name == "entry":
            raise InputError(f"{path}: root.define: expected names of your own, found {name!r}")
        made = Expression(text, f"{path}: root.define.{name}")
        if later := (made.branches & given.keys()) - found.keys():
            raise InputError(f"{made.key}: expected names defined before it, found {min(later)}")
        found[str(name)] = made
    return found


def _files(path: Path, given: Any) -> tuple[Path, ...]:
    patterns = [given] if isinstance(given, str) else given
    if (
        not isinstance(patterns, list)
        or not patterns
        or not all(isinstance(p, str) for p in patterns)
    ):
        raise InputError(f"{path}: root.files: expected names of ROOT files, found {given!r}")
    found: set[Path] = set()
    for pattern in patterns:
        place = path.parent / pattern
        some = [place] if place.is_file() else [Path(p) for p in glob.glob(str(place))]
        if not some:
            raise InputError(f"{path}: root.files: expected ROOT files {pattern}, found none")
        found.update(some)
    for file in found:
        if not trees.is_root(file):
            raise InputError(f"{file}: expected a ROOT file, found another format")
    return tuple(sorted(found))
