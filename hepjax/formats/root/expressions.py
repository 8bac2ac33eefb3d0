"""Expressions of branches, in the cuts and columns of a data card.

A small part of Python's grammar, evaluated on awkward arrays: names of branches (``Track.PT``, or
``branch("...")`` for names that Python does not have), numbers, arithmetic, comparisons, ``and``,
``or``, ``not`` (also ``& | ~``), and the functions below. Nothing else is ever called.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.particleflow.columns import (
    CHARGED_HADRON,
    ELECTRON,
    MUON,
    NEUTRAL_HADRON,
    PHOTON,
)

LONGEST = 2000
"""Characters."""
DEEPEST = 40
"""Parts inside parts."""

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.Mod: operator.mod, ast.Pow: operator.pow,
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.And: operator.and_,
    ast.Or: operator.or_, ast.USub: operator.neg, ast.UAdd: operator.pos,
    ast.Invert: np.logical_not, ast.Not: np.logical_not,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_OF_NUMPY = (
    *("abs", "sqrt", "exp", "log", "log10", "log1p", "floor", "isfinite", "hypot", "arctan2"),
    *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh"),
    *("minimum", "maximum"),
)
_OF_LISTS = ("sum", "max", "min", "any", "all", "count", "first", "number")
"""Of the values of an entry, or of each list; ``number`` numbers them from 0."""
_ARGUMENTS = {"where": 3, "lookup": 3, "take": 2, "pick": 2, "delta_phi": 2, "hypot": 2,
              "arctan2": 2, "minimum": 2, "maximum": 2}  # fmt: skip
"""Of functions with more than one."""
FUNCTIONS = (
    *(*_OF_NUMPY, *_OF_LISTS, "where", "take", "pick", "lookup", "delta_phi"),
    *("particle_class", "branch"),
)
_CONSTANTS = {"pi": math.pi, "true": True, "false": False}
_CLASSES = {211: CHARGED_HADRON, 130: NEUTRAL_HADRON, 22: PHOTON, 11: ELECTRON, 13: MUON}


@dataclass(frozen=True)
class Expression:
    """An expression, checked when it is made.

    Raises:
      InputError: it is none, with ``key``, where it stands.
    """

    text: str
    key: str

    def __post_init__(self) -> None:
        if len(self.text) > LONGEST:
            raise self._refused(f"one of {len(self.text)} characters")
        _check(self._tree, self, 0)

    @cached_property
    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self._refused(f"{self.text!r} ({getattr(error, 'msg', error)})") from None

    @cached_property
    def branches(self) -> frozenset[str]:
        """Names of the branches in it."""
        return frozenset(filter(None, map(_branch, _values(self._tree))))

    def of(self, columns: Mapping[str, Any]) -> Any:
        """Its values, given those of the branches (awkward arrays).

        Raises:
          InputError: values that do not go together.
        """
        try:
            with np.errstate(all="ignore"):  # of entries that a cut may take away
                return _value(self._tree, columns)
        except (ValueError, TypeError, IndexError, ZeroDivisionError, OverflowError) as error:
            said = " ".join(str(error).split())[:160] or type(error).__name__
            raise self._refused(
                f"{self.text!r}, whose values do not: {said}", "go together"
            ) from None

    def _refused(self, found: str, expected: str = "an expression of branches") -> InputError:
        expected = f"values that {expected}" if expected == "go together" else expected
        return InputError(f"{self.key}: expected {expected}, found {found}")


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def _branch(node: ast.AST) -> str:
    """The branch that a part of an expression is, empty for other parts."""
    if isinstance(node, ast.Call) and _dotted(node.func) == "branch" and len(node.args) == 1:
        (said,) = node.args
        return said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
    name = _dotted(node)
    return "" if name in _CONSTANTS else name


def _values(node: ast.expr) -> list[ast.expr]:
    """A part and the parts in it that have values: no names of functions, no half of a name."""
    if _branch(node) or _dotted(node) or isinstance(node, ast.Constant):
        return [node]
    inside = {
        ast.BinOp: lambda n: [n.left, n.right], ast.UnaryOp: lambda n: [n.operand],
        ast.BoolOp: lambda n: n.values, ast.Compare: lambda n: [n.left, *n.comparators],
        ast.Call: lambda n: n.args,
    }[type(node)](node)  # fmt: skip
    return [node, *(part for child in inside for part in _values(child))]


def _check(node: ast.AST, of: Expression, depth: int) -> None:
    """Refuse everything that the grammar of the head of this file does not have."""
    if depth > DEEPEST:
        raise of._refused("one with too many brackets")
    if _branch(node) or _dotted(node) in _CONSTANTS:
        return
    match node:
        case ast.Constant(value=bool() | int() | float()):
            return
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            parts: list[ast.expr] = [left, right]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            parts = [operand]
        case ast.BoolOp(values=parts):
            pass
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            type(op) in _OPERATORS for op in ops
        ):
            parts = [left, *others]
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]) if name in FUNCTIONS:
            if len(parts) != _ARGUMENTS.get(name, 1) or name == "branch":
                raise of._refused(f"{name} with {len(parts)} arguments in {of.text!r}")
        case ast.Call(func=func):
            raise of._refused(f"{ast.unparse(func)!r}; the functions are {', '.join(FUNCTIONS)}")
        case _:
            raise of._refused(f"{ast.unparse(node)!r}")
    for part in parts:
        _check(part, of, depth + 1)


def _value(node: ast.expr, columns: Mapping[str, Any]) -> Any:
    if name := _branch(node):
        return columns[name]
    if (name := _dotted(node)) in _CONSTANTS:
        return _CONSTANTS[name]
    match node:
        case ast.Constant(value=bool(value)):
            return value
        case ast.Constant(value=int(value)):
            return np.int64(value)  # whole numbers of Python grow without end
        case ast.Constant(value=value):
            return np.float64(value)  # type: ignore[arg-type]
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, columns), _value(right, columns))
        case ast.UnaryOp(op=op, operand=operand):
            return _OPERATORS[type(op)](_value(operand, columns))
        case ast.BoolOp(op=op, values=parts):
            values = [_value(part, columns) for part in parts]
            joined = values[0]
            for value in values[1:]:
                joined = _OPERATORS[type(op)](joined, value)
            return joined
        case ast.Compare(left=left, ops=ops, comparators=others):
            values = [_value(part, columns) for part in (left, *others)]
            pairs = zip(ops, values[:-1], values[1:], strict=True)
            holds = [_OPERATORS[type(op)](a, b) for op, a, b in pairs]
            joined = holds[0]
            for value in holds[1:]:
                joined = joined & value
            return joined
        case ast.Call(func=ast.Name(id=name), args=parts):
            return _called(name, [_value(part, columns) for part in parts])
    raise AssertionError(ast.dump(node))


def _called(name: str, values: list[Any]) -> Any:
    import awkward as ak

    if name in _OF_NUMPY:
        return getattr(np, name)(*values)
    if name == "where":
        return ak.where(*values)
    if name == "delta_phi":
        return np.arctan2(np.sin(values[0] - values[1]), np.cos(values[0] - values[1]))
    if name == "take":
        return taken(*values)
    if name == "pick":
        return values[0][ak.values_astype(values[1], bool)]
    if name == "lookup":
        return looked_up(*values)
    if name == "particle_class":
        return _particle_class(values[0])
    (value,) = values
    if not isinstance(value, ak.Array) or value.ndim < 2:
        raise TypeError(f"{name} is of lists, found one number an entry")
    if name == "first":
        return ak.fill_none(ak.firsts(value, axis=-1), 0)
    if name == "number":
        return ak.local_index(value, axis=-1)
    if name == "count":
        return ak.num(value, axis=-1)
    done = getattr(ak, name)(value, axis=-1)
    return ak.fill_none(done, 0) if name in ("max", "min") else done


def taken(values: Any, index: Any) -> Any:
    """Of each entry the values that the numbers of ``index`` name; 0 where there is none.

    Args:
      values: (entries, var).
      index: (entries, var) whole numbers; negative ones name none.
    """
    import awkward as ak

    if len(values) == 0:
        return index
    valid = (index >= 0) & (index < ak.num(values, axis=1))
    nothing = ak.Array(np.zeros((len(values), 1), np.int8))
    padded = ak.concatenate([values, nothing], axis=1)
    return padded[ak.where(valid, index, ak.num(values, axis=1))]


def looked_up(keys: Any, values: Any, wanted: Any) -> Any:
    """Of each entry the value whose key is the wanted one, the first if there are several; else -1.

    Args:
      keys, values: (entries, var), as long as each other: links between two collections.
      wanted: (entries, var).
    """
    import awkward as ak

    lengths = np.asarray(ak.to_numpy(ak.num(keys)))
    if not np.array_equal(lengths, ak.to_numpy(ak.num(values))):
        raise ValueError("as many keys as values")
    counts = np.asarray(ak.to_numpy(ak.num(wanted)))
    key, value, asked = (np.asarray(ak.to_numpy(ak.flatten(a))) for a in (keys, values, wanted))
    entry_of_key = np.repeat(np.arange(len(lengths)), lengths)
    entry_of_asked = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((np.arange(len(key)), key, entry_of_key))
    pairs = np.stack([entry_of_key[order], key[order]], axis=1)
    found = _first_of(pairs, np.stack([entry_of_asked, asked], axis=1))
    number = value[order]
    answer = np.where(found < 0, -1, number[found] if len(number) else -1)
    return ak.unflatten(answer, counts)


def _first_of(sorted_pairs: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each wanted pair first stands in rising pairs; -1 where it does not."""
    if not len(sorted_pairs) or not len(wanted):
        return np.full(len(wanted), -1)
    both = np.concatenate([sorted_pairs, wanted])
    _, rank = np.unique(both, axis=0, return_inverse=True)
    known, asked = rank.reshape(-1)[: len(sorted_pairs)], rank.reshape(-1)[len(sorted_pairs) :]
    place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return np.where(known[place] == asked, place, -1)


def _particle_class(pdg: Any) -> Any:
    """Classes of particle flow of PDG codes: others count as hadrons; codes 0 as no particle.

    A hadron without a class of its own is charged if its code is one of the charged ones that live
    long enough to be seen, as in the published sets, else neutral.
    """
    import awkward as ak

    code = np.abs(pdg)
    found = ak.where(code == 0, 0, NEUTRAL_HADRON)
    for charged in (211, 321, 2212, 3112, 3222, 3312, 3334):
        found = ak.where(code == charged, CHARGED_HADRON, found)
    for number, label in _CLASSES.items():
        found = ak.where(code == number, label, found)
    return found
