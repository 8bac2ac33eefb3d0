"""A host: the program that will run a model, and the arrays that it hands over and reads.

What a host does differently from ``Workload.infer`` is written in JAX, before and after it, and is
part of the exported graph.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import numpy as np

from hepjax.engine.workload import Field, Spec

Arrays = dict[str, jax.Array]
Noise = Literal["outside", "inside"]
"""Normal numbers are an input of the graph, or drawn by it."""


@dataclass(frozen=True)
class Host:
    """What one model looks like to one host.

    Attributes:
      inputs: what the host hands over, in its order; first axis: events.
      before: (arrays of the host) -> inputs of the model, and the normal numbers that the model
        draws, if the host gives them.
      after: (answers of the model, arrays of the host) -> outputs for the host, in its order.
      units: by output.
      batch: events at a time; None: any number.
      noise: of numbers that ``before`` does not give.
      settings: what the user has to tell the host.
      example: (events, generator) -> arrays that the host might hand over; None: each input has its
        own range.
    """

    name: str
    inputs: tuple[Field, ...]
    before: Callable[[Arrays], tuple[Arrays, list[jax.Array]]]
    after: Callable[[Arrays, Arrays], Arrays]
    units: dict[str, str]
    batch: int | None = None
    noise: Noise = "outside"
    settings: dict[str, Any] = field(default_factory=dict)
    example: Callable[[int, np.random.Generator], dict[str, np.ndarray]] | None = None


def generic(inputs: Spec, outputs: Spec, noise: Noise, batch: int | None) -> Host:
    """The model as ``Workload.infer`` has it."""
    return Host(
        "generic", inputs.fields, lambda arrays: (arrays, []), lambda answers, _: answers,
        {f.name: f.unit for f in outputs.fields}, batch, noise,
    )  # fmt: skip
