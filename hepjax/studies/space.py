"""The space of a search: which settings vary, and between what.

A YAML file, by the path of each setting:

    optimizer.learning_rate: {low: 1.0e-5, high: 1.0e-2, log: true}
    train.batch_size: {low: 16, high: 128, step: 16}
    model.variant: {choice: [additive, sparse]}
"""

import copy
import itertools
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hepjax import InputError
from hepjax.engine.bounds import require
from hepjax.engine.settings import flatten, put
from hepjax.formats import strict_yaml
from hepjax.workloads import table

GRID_POINTS = 5
"""Of a range without steps in a grid."""
RESERVED = ("train.steps", "train.epochs", "workload")
"""Settings that a study sets itself."""


@dataclass(frozen=True)
class Axis:
    """One setting that varies: a range of numbers, or a choice."""

    key: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    whole: bool = False
    """Whether its values are whole numbers."""
    choice: tuple[Any, ...] = ()

    def values(self) -> tuple[Any, ...]:
        """The values of a grid."""
        if self.choice:
            return self.choice
        if self.step is not None:
            count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
            return tuple(self.at(self.low + k * self.step) for k in range(count))
        if self.whole and self.high - self.low < GRID_POINTS and not self.log:
            return tuple(range(int(self.low), int(self.high) + 1))
        shares = [k / (GRID_POINTS - 1) for k in range(GRID_POINTS)]
        return tuple(dict.fromkeys(self.inside(share) for share in shares))

    def inside(self, share: float) -> Any:
        """The value at a share of the range, 0 to 1; of a choice the one that lies there."""
        if self.choice:
            return self.choice[min(int(share * len(self.choice)), len(self.choice) - 1)]
        if self.log:
            return self.at(math.exp(_between(math.log(self.low), math.log(self.high), share)))
        return self.at(_between(self.low, self.high, share))

    def share(self, value: Any) -> float:
        """Where a value lies in the range, 0 to 1; the middle of its part for a choice."""
        if self.choice:
            return (self.choice.index(value) + 0.5) / len(self.choice)
        if self.high == self.low:
            return 0.5
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return (math.log(value) - low) / (high - low)
        return (value - self.low) / (self.high - self.low)

    def at(self, value: float) -> Any:
        """The nearest value that the axis has."""
        if self.step is not None:
            value = self.low + round((value - self.low) / self.step) * self.step
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else float(value)


def _between(low: float, high: float, share: float) -> float:
    return low + share * (high - low)


Space = tuple[Axis, ...]


def read(path: Path, settings: dict[str, Any]) -> Space:
    """The space of a YAML file, every bound of which the configuration takes.

    Args:
      settings: nested settings that it varies, ``workload`` among them.
    Raises:
      InputError: unreadable, unknown settings, or bounds that the configuration refuses.
    """
    axes = read_axes(path)
    known = flatten(settings)
    for axis in axes:
        where, expected = f"{path}: {axis.key}", "a setting that the study does not set itself"
        require(axis.key not in RESERVED, where, expected, axis.key)
        for value in axis.choice or (axis.at(axis.low), axis.at(axis.high)):
            _require_taken(path, axis, value, settings, known)
    return axes


def read_axes(path: Path) -> Space:
    """The space of a YAML file, whatever its keys mean.

    Raises:
      InputError: unreadable, or no ranges.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, found: {error.strerror}") from None
    found = strict_yaml.read(text, str(path))
    if not isinstance(found, dict) or not found:
        raise InputError(f"{path}: expected settings with their ranges, found none")
    return tuple(_axis(path, str(key), said) for key, said in found.items())


def _axis(path: Path, key: str, said: Any) -> Axis:
    where = f"{path}: {key}"
    form = "{low: .., high: ..} or {choice: [..]}"
    require(isinstance(said, dict), where, form, said)
    if "choice" in said:
        choice = said["choice"]
        fine = len(said) == 1 and isinstance(choice, list) and len(choice) > 0
        require(fine, where, "{choice: [..]} with a value or more and nothing else", said)
        return Axis(key, choice=tuple(choice))
    low, high, step = (said.get(name) for name in ("low", "high", "step"))
    log = said.get("log", False)
    fine = said.keys() <= {"low", "high", "log", "step"} and {"low", "high"} <= said.keys()
    require(fine and isinstance(log, bool), where, form, said)
    numbers = [x for x in (low, high, step) if x is not None]
    require(all(_is_number(x) for x in numbers), where, "numbers", said)
    require(low <= high, where, "low not above high", said)
    require(not log or low > 0, where, "low above 0 with log", said)
    require(step is None or (step > 0 and not log), where, "step above 0, without log", said)
    whole = all(isinstance(x, int) for x in numbers)
    return Axis(key, float(low), float(high), log, None if step is None else float(step), whole)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require_taken(
    path: Path, axis: Axis, value: Any, settings: dict[str, Any], known: dict[str, Any]
) -> None:
    """Refuse a value of an axis that the configuration refuses."""
    try:
        if known.get(axis.key) is None and axis.key.split(".")[0] not in settings:
            table.configure({"workload": settings["workload"]} | _nested(axis.key, value))
        table.configure(varied(settings, {axis.key: value}))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _nested(key: str, value: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    put(made, key, value)
    return made


def varied(settings: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Nested settings with the parameters of a trial in their places."""
    own = copy.deepcopy(settings)
    for key, value in params.items():
        put(own, key, value)
    return own


def grid(space: Space) -> Iterator[dict[str, Any]]:
    """All points of a grid, the last setting varying fastest."""
    for values in itertools.product(*(axis.values() for axis in space)):
        yield {axis.key: value for axis, value in zip(space, values, strict=True)}


def to_json(space: Space) -> list[dict[str, Any]]:
    """Plain content of the definition of a study."""
    return [asdict(axis) | {"choice": list(axis.choice)} for axis in space]


def from_json(content: list[dict[str, Any]]) -> Space:
    """The space of the definition of a study."""
    return tuple(Axis(**(axis | {"choice": tuple(axis["choice"])})) for axis in content)
