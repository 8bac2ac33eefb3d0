"""What a value of a setting may be: bounds in annotations, rules between fields, and the one error.

A field may carry a bound in its annotation, ``Annotated[float, Bound(above=0)]``, and a group may
have ``rules`` about several of its fields. ``check`` looks at both when the whole configuration is
made; the key in the error comes from the names of the fields.
"""

import dataclasses
import reprlib
import typing
from dataclasses import dataclass
from typing import Annotated, Any

from hepjax import InputError


def require(condition: bool, key: str, expected: str, found: object) -> None:
    """Raise the one-line error of a bad setting unless ``condition`` holds."""
    if not condition:
        raise InputError(f"{key}: expected {expected}, found {shown(found)}")


def shown(value: object) -> str:
    """``repr`` of a value for an error, cut short: YAML can hold gigabytes in a few lines."""
    text = _SHORT.repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


LONGEST_SHOWN = 300
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlong = 4, 60
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxdict = 20
_SHORT.maxstring = _SHORT.maxother = 250


@dataclass(frozen=True)
class Bound:
    """Smallest and largest value of a number; ``above`` and ``below`` exclude the value itself."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    @property
    def text(self) -> str:
        """The bound in words: "at least 1", "above 0", "0 up to 1" (1 excluded), "0 to 5"."""
        low, high = self.least, self.most
        if low is not None and self.below is not None:
            return f"{low:g} up to {self.below:g}"
        if low is not None and high is not None:
            return f"{low:.10g} to {high:.10g}"
        if self.above is not None and self.below is not None:
            return f"between {self.above:g} and {self.below:g}"
        if self.above is not None:
            return f"above {self.above:g}" + ("" if high is None else f", at most {high:g}")
        if low is not None:
            return "0 or more" if low == 0 else f"at least {low:g}"
        return f"at most {high:g}" if high is not None else f"below {self.below:g}"

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies inside; NaN does not."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and value == value
        )


Count = Annotated[int, Bound(least=1)]
CountOrNone = Annotated[int, Bound(least=0)]
Positive = Annotated[float, Bound(above=0)]
NotNegative = Annotated[float, Bound(least=0)]
SEEDS = Bound(least=0, most=2**31 - 1)
Seed = Annotated[int, SEEDS]
FilePath = Annotated[str, "path"]
"""A path: ``~``, variables and patterns are expanded (engine/paths.py), and a run directory keeps
it absolute. A pattern may stand for several where the field is a tuple of paths."""
Rule = tuple[bool, str, str]
"""Whether it holds, the field that is wrong if not, and what was expected of it."""


def require_seed(key: str, seed: int) -> None:
    """Refuse a seed outside of the one range that all of hepjax has.

    Raises:
      InputError: it is negative or has more than 31 bits.
    """
    require(SEEDS.holds(seed), key, SEEDS.text, seed)


def check(group: Any, prefix: str = "") -> None:
    """Check the bounds and rules of a group of settings and of the groups in it.

    Raises:
      InputError: the first one that does not hold, with its key.
    """
    hints = typing.get_type_hints(type(group), include_extras=True)
    for f in dataclasses.fields(group):
        value = getattr(group, f.name)
        if is_group(hints[f.name]):
            check(value, f"{prefix}{f.name}.")
        else:
            _check_bounds(hints[f.name], value, value, prefix + f.name)
    for holds, name, expected in group.rules() if hasattr(group, "rules") else ():
        require(holds, prefix + name, expected, _named(group, name))


def _check_bounds(hint: Any, value: Any, whole: Any, key: str) -> None:
    """Check a value, or each value of a tuple, against the bounds of its annotation."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        for bound in args[1:]:
            if isinstance(bound, Bound):
                require(bound.holds(value), key, bound.text, whole)
    elif origin is tuple and isinstance(value, tuple):
        hints = [args[0]] * len(value) if args[-1] is Ellipsis else args
        for number, (inner, item) in enumerate(zip(hints, value, strict=True)):
            if is_group(inner):
                check(item, f"{key}[{number}].")
            else:
                _check_bounds(inner, item, whole, key)


def is_group(hint: Any) -> bool:
    """Whether settings of this type are a group, checked field by field."""
    return dataclasses.is_dataclass(hint) and not hasattr(hint, "from_setting")


def _named(group: Any, path: str) -> Any:
    for name in path.split("."):
        group = getattr(group, name)
    return group
