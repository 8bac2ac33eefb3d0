"""A trained model, compiled for a few shapes of batches, applied to the events of many requests.

Event ``i`` of a request with seed ``s`` has the key ``fold_in(key(s), i)``, as in ``hepjax
generate``: what is drawn for it depends neither on its batch nor on its place in it.
"""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from hepjax.engine.inference import Batch
from hepjax.engine.mesh import over_data
from hepjax.engine.precision import exactly
from hepjax.engine.workload import Model
from hepjax.serve import plan
from hepjax.serve.refusal import Refusal, invalid
from hepjax.serve.signature import Signature, Tensor

Arrays = dict[str, np.ndarray]


class Rows(NamedTuple):
    """Events of one request that are answered together."""

    inputs: Arrays
    """(rows, ...) each."""
    seed: int
    first: int
    """Place of the first of them in the request."""

    @property
    def number(self) -> int:
        """How many events."""
        return len(next(iter(self.inputs.values())))


class Times(NamedTuple):
    """Nanoseconds of a batch: gathering the inputs, the devices, handing out the answers."""

    gather: int
    devices: int
    scatter: int


@dataclass(frozen=True, eq=False)
class Program:
    """What is compiled, for each padded length and batch size."""

    signature: Signature
    sizes: dict[int, tuple[int, ...]]
    """Batch sizes by padded length, (0: of events without a length)."""
    mesh: jax.sharding.Mesh
    compiled: dict[tuple[int, int], Callable[..., Any]]
    """By padded length and batch size: (state, inputs, seeds, places) -> answers."""

    @property
    def lengths(self) -> list[int]:
        """Padded lengths, rising."""
        return sorted(self.sizes)

    @property
    def most(self) -> int:
        """Events of the largest batch."""
        return max(sizes[-1] for sizes in self.sizes.values())

    def answers(self, state: Any, parts: Sequence[Rows], length: int) -> tuple[list[Arrays], Times]:
        """The answers to each part, none of which has events longer than ``length``.

        Args:
          state: of ``Model.placed``, on the devices of the mesh.
          parts: with no more events than the largest batch of this length.
        """
        began = time.monotonic_ns()
        rows = sum(part.number for part in parts)
        size = plan.padded(rows, self.sizes[length])
        inputs = {
            t.name: _gathered(t, [p.inputs[t.name] for p in parts], size, length)
            for t in self.signature.inputs
        }
        seeds, places = np.zeros(size, np.int32), np.zeros(size, np.int32)
        seeds[:rows] = np.repeat([p.seed for p in parts], [p.number for p in parts])
        places[:rows] = np.concatenate([p.first + np.arange(p.number) for p in parts])
        gathered = time.monotonic_ns()
        spread = over_data(self.mesh)
        with jax.set_mesh(self.mesh):
            made = self.compiled[length, size](
                state, *jax.device_put((inputs, seeds, places), spread)
            )
        whole = jax.device_get(made)
        done = time.monotonic_ns()
        answers, first = [], 0
        for part in parts:
            answers.append(_of_part(self.signature, whole, part, first))
            first += part.number
        return answers, Times(gathered - began, done - gathered, time.monotonic_ns() - done)


def _gathered(tensor: Tensor, arrays: list[np.ndarray], size: int, length: int) -> np.ndarray:
    """Arrays below each other, zeros behind the elements of an event and behind the events."""
    shape = tuple(length if n == -1 else n for n in tensor.shape)
    batch, first = np.zeros((size, *shape), tensor.dtype.newbyteorder("=")), 0
    for array in arrays:
        inside = tuple(slice(n) for n in array.shape[1:])
        batch[(slice(first, first + len(array)), *inside)] = array
        first += len(array)
    return batch


def _of_part(signature: Signature, whole: Arrays, part: Rows, first: int) -> Arrays:
    """The answers to one part, cut to the length of its events."""
    length = 0
    for tensor in signature.inputs:
        if -1 in tensor.shape:
            length = part.inputs[tensor.name].shape[1 + tensor.shape.index(-1)]
    answers = {}
    for tensor in signature.outputs:
        inside = tuple(slice(length if n == -1 else n) for n in tensor.shape)
        rows = slice(first, first + part.number)
        answers[tensor.name] = np.ascontiguousarray(whole[tensor.name][(rows, *inside)])
    return answers


def require_finite(answers: Arrays) -> None:
    """Refuse to hand out numbers that are none.

    Raises:
      Refusal: an answer holds NaN or infinity.
    """
    for name, array in answers.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise invalid(f"{name}: expected finite answers, found NaN or infinity for this input")


def separately(
    answer: Callable[[Sequence[Rows]], tuple[list[Arrays], Times]], parts: Sequence[Rows]
) -> tuple[list[Arrays | Exception], Times]:
    """Answers together if that works, else each part alone, so that none spoils another."""
    try:
        together, times = answer(parts)
    except Exception as error:
        if len(parts) == 1:
            return [error], Times(0, 0, 0)
        alone = [separately(answer, [part]) for part in parts]
        sums = (sum(column) for column in zip(*(times for _, times in alone), strict=True))
        return [results[0] for results, _ in alone], Times(*sums)
    checked: list[Arrays | Exception] = []
    for answers in together:
        try:
            require_finite(answers)
            checked.append(answers)
        except Refusal as error:
            checked.append(error)
    return checked, times


def compile_program(
    model: Model[Any, Any], signature: Signature, lengths: Sequence[int], most: int,
    told: Callable[[int, int], object] = lambda length, size: None,
) -> Program:  # fmt: skip
    """Compile a model for batches of up to ``most`` events, and apply each program once.

    Args:
      lengths: to which events are padded, rising; (0,) for events without a length.
      told: called before each program with its length and batch size.
    """
    mesh, state = model.placed.mesh, model.placed.state
    sizes = plan.buckets(lengths, most, model.placed.sharing())
    infer = exactly(model.cfg, functools.partial(model.workload.infer, model.cfg))

    def step(state: Any, inputs: Batch, seeds: jax.Array, places: jax.Array) -> Batch:
        keys = jax.vmap(lambda s, i: jax.random.fold_in(jax.random.key(s), i))(seeds, places)
        return infer(state, inputs, keys)

    spread = over_data(mesh)
    jitted = jax.jit(
        step, out_shardings=spread, compiler_options=model.placed.compiler_options or None
    )
    program = Program(signature, sizes, mesh, {})
    for length, allowed in sizes.items():
        for size in allowed:
            told(length, size)
            inputs = {t.name: _gathered(t, [], size, length) for t in signature.inputs}
            numbers = np.zeros(size, np.int32)
            with jax.set_mesh(mesh):
                arguments = jax.device_put((inputs, numbers, numbers), spread)
                compiled = jitted.lower(state, *arguments).compile()
                jax.block_until_ready(compiled(state, *arguments))
            program.compiled[length, size] = compiled
    return program
