"""Open sizes of a model: its events, and how long the axes are that differ from event to event.

An open axis has a name, and its length is a whole number of steps. Where the workload says
``whole``, events are filled up with zeros to whole steps and the answers are cut; where it says
``multiple``, whoever calls hands over whole steps.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax

from hepjax import InputError
from hepjax.engine.workload import Field, Spec

WHOLE, MULTIPLE = "whole", "multiple"
"""Facts of a workload's inputs, see above; without them a step is 1."""
BATCH, ELEMENTS = "batch", "elements"


@dataclass(frozen=True)
class Sizes:
    """Symbols of the open sizes of a traced program."""

    batch: Any
    steps: dict[str, Any]
    """Of each open axis, by name: the symbol of its number of steps."""
    step: int = 1
    filled: bool = False

    def length(self, axis: str) -> Any:
        """Of an open axis, as the program sees it."""
        return self.step * self.steps[axis]

    def shape(self, field: Field) -> tuple[Any, ...]:
        """Of a batch of a field, as the program sees it."""
        names = iter(open_axes(field))
        return (self.batch, *(self.length(next(names)) if n is None else n for n in field.shape))


def open_axes(field: Field) -> tuple[str, ...]:
    """Names of the open axes of a field, in order."""
    return field.axes or (ELEMENTS,) * field.shape.count(None)


def step_of(model: Spec, name: str) -> tuple[int, bool]:
    """Of how many the open axes are multiples, and whether events are filled up to them.

    Raises:
      InputError: a model with open axes of which nobody says what they are.
    """
    facts = dict(model.facts)
    if WHOLE in facts:
        return int(facts[WHOLE]), True
    if any(None in field.shape and not field.axes for field in model.fields):
        raise InputError(
            f"{name}: expected open axes with names (Field.axes), or events that can be padded "
            f"(the fact '{WHOLE}'), found neither, so it is not exported; use hepjax predict"
        )
    return int(facts.get(MULTIPLE, 1)), False


def names_of(fields: Iterable[Field]) -> list[str]:
    """Names of the open axes, each once, in the order of the fields."""
    return list(dict.fromkeys(name for field in fields for name in open_axes(field)))


def symbols(model: Spec, name: str, batch: int | None = None) -> Sizes:
    """Symbolic sizes of a model.

    Args:
      batch: events at a time; None: any number.
    Raises:
      InputError: see ``step_of``.
    """
    step, filled = step_of(model, name)
    names = names_of(model.fields)
    made = jax.export.symbolic_shape(", ".join([BATCH, *(f"steps_{axis}" for axis in names)]))
    return Sizes(made[0] if batch is None else batch, dict(zip(names, made[1:], strict=True)),
                 step, filled)  # fmt: skip


def least(model: Spec, name: str, batch: int) -> Sizes:
    """The smallest sizes that a model takes, as numbers."""
    step, filled = step_of(model, name)
    return Sizes(batch, dict.fromkeys(names_of(model.fields), 1), step, filled)


def some(model: Spec, name: str, elements: int) -> dict[str, int]:
    """Lengths of open axes to try a model with: of about so many elements, or of few steps where a
    step is long; no two alike."""
    step, filled = step_of(model, name)
    names = names_of(model.fields)
    if filled or step == 1:
        return {axis: elements * (k + 1) + 3 * k for k, axis in enumerate(names)}
    return {axis: step * (1 + (k + elements) % 2) for k, axis in enumerate(names)}
