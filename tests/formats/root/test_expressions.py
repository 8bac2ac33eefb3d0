"""Expressions of branches: values by hand, and everything outside of their grammar refused."""

import numpy as np
import pytest

from hepjax import InputError
from hepjax.formats.root.expressions import FUNCTIONS, Expression

ak = pytest.importorskip("awkward")
COLUMNS = {
    "x": ak.Array([1.0, 2.0, 3.0]),
    "n": ak.Array([3, 0, 1]),
    "Track.PT": ak.Array([[1.0, -2.0], [], [4.0]]),
    "i": ak.Array([[1, 0, -1, 9], [0], []]),
    "pdg": ak.Array([[211, -11, 22], [0, 130], [2212]]),
    "odd name": ak.Array([5.0, 6.0, 7.0]),
}


def value(text):
    return ak.to_list(Expression(text, "cut").of(COLUMNS))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x * 2 + n / 2 - 1", [2.5, 3.0, 5.5]),
        ("-x ** 2 % 4", [3.0, 0.0, 3.0]),
        ("(x > 1) & (n == 1) | (x < 2)", [True, False, True]),
        ("x > 1 and not n == 1", [False, True, False]),
        ("1 < x <= 2", [False, True, False]),
        ("~(x > 1)", [True, False, False]),
        ("abs(Track.PT)", [[1.0, 2.0], [], [4.0]]),
        ("Track.PT * x", [[1.0, -2.0], [], [12.0]]),
        ("sum(Track.PT) + count(Track.PT)", [1.0, 0.0, 5.0]),
        ("any(Track.PT > 3)", [False, False, True]),
        ("all(Track.PT > 0)", [False, True, True]),
        ("max(Track.PT)", [1.0, 0.0, 4.0]),
        ("first(Track.PT)", [1.0, 0.0, 4.0]),
        ("number(Track.PT)", [[0, 1], [], [0]]),
        ("take(Track.PT, i)", [[-2.0, 1.0, 0.0, 0.0], [0.0], []]),
        ("pick(Track.PT, Track.PT > 0)", [[1.0], [], [4.0]]),
        ("lookup(i, number(i) + 5, pdg)", [[-1, -1, -1], [5, -1], [-1]]),
        ("lookup(i, number(i) + 5, number(pdg))", [[6, 5, -1], [5, -1], [-1]]),
        ("where(x > 1, x, 0)", [0.0, 2.0, 3.0]),
        ("particle_class(pdg)", [[1, 4, 3], [0, 2], [1]]),
        ('branch("odd name") + 1', [6.0, 7.0, 8.0]),
        ("hypot(3, 4) + 0 * x", [5.0, 5.0, 5.0]),
        ("maximum(x, 2)", [2.0, 2.0, 3.0]),
    ],
)
def test_by_hand(text, expected):
    assert value(text) == expected


def test_angles():
    turned = Expression("delta_phi(x, x - 2 * pi + 0.25)", "cut").of(COLUMNS)
    assert np.allclose(ak.to_numpy(turned), -0.25)


def test_branches_of_an_expression():
    text = 'hypot(px, GenJet.py) + branch("a b") * pi + take(a, b)'
    assert Expression(text, "cut").branches == {"px", "GenJet.py", "a b", "a", "b"}


@pytest.mark.parametrize(
    "text",
    [
        "", "x +", "x; n", "x = 1", "[x]", "x[0]", "(x, n)", "lambda: 1", "f'{x}'", "'text'", "1j",
        "x if n else 1", "__import__('os')", "open('f')", "x.sum()", "sum(x, axis=0)", "sum(*x)",
        "sum()", "take(x)", "x is n", "x in n", "x @ n", "x << 3", "branch(x)", "branch('')",
        "{}", "x := 2", "yield", "await x", "(" * 300 + "x" + ")" * 300, "-" * 100 + "x",
        "x" * 3000, "(lambda: 1)()", "().__class__", "x.__class__()", "None", "...",
    ],
)  # fmt: skip
def test_refused_when_made(text):
    with pytest.raises(InputError, match=r"^cut: expected an expression of branches, found"):
        Expression(text, "cut")


def test_values_that_do_not_go_together():
    for text in ("Track.PT + pdg", "take(x, n)", "sum(x)"):
        with pytest.raises(InputError, match=r"^cut: expected values that go together"):
            Expression(text, "cut").of(COLUMNS)
    with pytest.raises(InputError):  # at once: whole numbers of Python would grow for ever
        Expression("9 ** 9 ** 9 ** 9 + 0 * x", "cut").of(COLUMNS)


def test_every_function_is_listed_once():
    assert len(set(FUNCTIONS)) == len(FUNCTIONS)
