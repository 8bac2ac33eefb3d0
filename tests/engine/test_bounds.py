"""Bounds and rules of settings hold however a configuration is made; errors name the key."""

import math
from dataclasses import dataclass, field, replace
from typing import Annotated

import pytest

from hepjax import InputError
from hepjax.engine.bounds import Bound, Count
from hepjax.engine.config import InputConfig, RunConfig
from hepjax.engine.settings import build


@pytest.mark.parametrize(
    ("bound", "text", "inside", "outside"),
    [
        (Bound(least=1), "at least 1", [1, 2], [0, 0.99]),
        (Bound(least=0), "0 or more", [0, 1e9], [-1e-9]),
        (Bound(above=0), "above 0", [1e-9, 5], [0, -1]),
        (Bound(most=3), "at most 3", [3, -9], [3.1]),
        (Bound(below=2), "below 2", [1.99], [2]),
        (Bound(least=0, below=1), "0 up to 1", [0, 0.99], [1, -0.1]),
        (Bound(least=0, below=0.5), "0 up to 0.5", [0, 0.49], [0.5]),
        (Bound(least=0, most=5), "0 to 5", [0, 5], [-1, 6]),
        (Bound(least=0, most=2**31 - 1), "0 to 2147483647", [2**31 - 1], [2**31]),
        (Bound(above=0, below=1), "between 0 and 1", [0.5], [0, 1]),
        (Bound(above=0, most=1), "above 0, at most 1", [1, 0.1], [0, 1.1]),
    ],
)
def test_a_bound_says_itself_and_holds_at_its_edges(bound, text, inside, outside):
    assert bound.text == text
    assert all(map(bound.holds, inside))
    assert not any(map(bound.holds, [*outside, float("nan")]))


@dataclass(frozen=True)
class Deep:
    share: Annotated[float, Bound(least=0, most=1)] = 0.5
    sizes: tuple[Count, ...] = (1, 2)
    pairs: tuple[tuple[str, Annotated[float, Bound(above=0)]], ...] = ()

    def rules(self):
        yield sorted(self.sizes) == list(self.sizes), "sizes", "rising numbers"


@dataclass(frozen=True)
class Middle:
    deep: Deep = field(default_factory=lambda: Deep(share=0.25, sizes=(5,)))
    weight: float = 1.0


@dataclass(frozen=True)
class Whole(RunConfig):
    input: InputConfig = field(default_factory=lambda: InputConfig(window=7))
    middle: Middle = field(default_factory=Middle)

    def rules(self):
        yield self.middle.weight < self.train.epochs, "middle.weight", "less than train.epochs"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": {"batch_size": 0}}, "train.batch_size: expected at least 1, found 0"),
        ({"checkpoint": {"keep": 1}}, "checkpoint.keep: expected at least 2, found 1"),
        ({"middle": {"deep": {"share": 2}}}, "middle.deep.share: expected 0 to 1, found 2.0"),
        ({"middle": {"deep": {"share": math.nan}}}, "middle.deep.share: .* found nan"),
        (
            {"middle": {"deep": {"sizes": [3, 0]}}},
            r"middle.deep.sizes: expected at least 1, found \(3, 0\)",
        ),
        (
            {"middle": {"deep": {"pairs": [["a", 1.0], ["b", 0]]}}},
            r"middle.deep.pairs: expected above 0, found \(\('a', 1.0\), \('b', 0.0\)\)",
        ),
        (
            {"middle": {"deep": {"sizes": [3, 2]}}},
            r"middle.deep.sizes: expected rising numbers, found \(3, 2\)",
        ),
        (
            {"middle": {"weight": 30}},
            "middle.weight: expected less than train.epochs, found 30.0",
        ),
        ({"middle": {"deep": {"shares": 0}}}, "middle.deep.shares: expected a known setting, "),
    ],
)  # fmt: skip
def test_the_keys_of_errors_come_from_the_fields(settings, message):
    with pytest.raises(InputError, match=f"^{message}"):
        build(Whole, settings)


def test_bounds_hold_however_a_configuration_is_made():
    bad = Middle(Deep(share=2.0))  # a group alone knows no key
    for make in (lambda: Whole(middle=bad), lambda: replace(Whole(), middle=bad)):
        with pytest.raises(InputError, match=r"^middle.deep.share: expected 0 to 1, found 2.0$"):
            make()


def test_a_setting_of_a_group_leaves_the_others_as_the_workload_has_them():
    cfg = build(Whole, {"input": {"threads": 4}, "middle": {"deep": {"share": 1}}})
    assert cfg.input == InputConfig(window=7, threads=4)
    assert cfg.middle.deep == Deep(share=1.0, sizes=(5,))
    assert build(Whole, {"input": {}, "middle": {"deep": {}}}) == Whole()
