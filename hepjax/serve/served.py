"""A model that is served: its program, and the checkpoint whose answers it gives now."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.engine.checkpoint import best_first
from hepjax.engine.config import RESUMABLE
from hepjax.engine.settings import flatten, to_settings
from hepjax.run import Run, load
from hepjax.serve.program import Arrays, Program, Rows, Times, compile_program, separately
from hepjax.serve.refusal import Reason, Refusal, invalid
from hepjax.serve.request import Work
from hepjax.serve.signature import signature
from hepjax.serve.statistics import Statistics

LARGEST = 64
"""Events of a batch by default; of models with an open axis 8, as CMSSW's MLPF has."""
LARGEST_RAGGED = 8


@dataclass(frozen=True, eq=False)
class Version:
    """A checkpoint on the devices."""

    number: str
    """The update that it was saved after."""
    state: Any
    statistics: Statistics = field(default_factory=Statistics)


@dataclass(eq=False)
class Served:
    """A model under the name that clients use."""

    name: str
    run: Run
    program: Program
    version: Version
    """Replaced by ``renewed``; requests keep the one that they came to."""

    def at(self, number: str) -> Version:
        """The version of this number, or the present one.

        Raises:
          Refusal: another than the present one.
        """
        if number not in ("", self.version.number):
            raise Refusal(
                Reason.UNKNOWN,
                f"version of {self.name}: expected {self.version.number} or none, found {number}",
            )
        return self.version

    def require_sense(self, work: Work) -> None:
        """Refuse conditions that the model does not know.

        Raises:
          Refusal: what the workload refuses, or values outside of the ranges of the training.
        """
        workload, cfg = self.run.workload, self.run.cfg
        if workload.conditions is not None and workload.outputs(cfg).kind != "table":
            try:
                workload.conditions(cfg, work.inputs)
            except InputError as error:
                raise invalid(str(error)) from None
        if work.extrapolate:
            return
        for name, (low, high, unit) in workload.ranges(cfg).items():
            values, slack = work.inputs[name], 1e-6 * max(abs(low), abs(high))
            if np.any((values < low - slack) | (values > high + slack)):
                raise invalid(
                    f"{name}: expected {low:.4g} to {high:.4g} {unit} as in the training, found "
                    f"{values.min():.4g} to {values.max():.4g}; the parameter extrapolate allows it"
                )

    def answers(
        self, version: Version, parts: Sequence[Rows], length: int
    ) -> tuple[list[Arrays | Exception], Times]:
        """The answers of a version to each part, or why there are none."""
        return separately(lambda some: self.program.answers(version.state, some, length), parts)


def opened(
    name: str, directory: Path, most: int | None, lengths: Sequence[int],
    told: Callable[[str], object] = lambda text: None,
) -> Served:  # fmt: skip
    """Load and compile the best epoch of a run.

    Args:
      most: events of a batch; None: the default of the kind of model.
      lengths: to which events are padded, rising; () for those of the workload.
      told: of each program before it is compiled.
    Raises:
      InputError: see ``hepjax.load``; or a model that cannot be served so.
    """
    run = load(directory)
    if run.workload.members(run.cfg) > 1:
        raise InputError(f"{directory}: expected a run of one model, found one of a population")
    arrays, answer = signature(run.workload, run.cfg), run.workload.outputs(run.cfg)
    if arrays.ragged and not answer.lengths:
        raise InputError(
            f"{directory}: expected a model whose events can be padded, found one of "
            f"{run.workload.name}, which is not served; use hepjax predict"
        )
    used = (lengths or answer.lengths) if arrays.ragged else (0,)
    largest = most or (LARGEST_RAGGED if arrays.ragged else LARGEST)
    program = compile_program(
        run.model, arrays, used, min(largest, answer.at_once),
        lambda length, size: told(f"{size} events" + (f" of {length}" if length else "")),
    )  # fmt: skip
    return Served(name, run, program, Version(str(run.step), run.state))


def newer(served: Served) -> int | None:
    """The step of the best epoch of the run directory, if it is another than the one served."""
    steps = best_first(served.run.directory / "checkpoints")
    return steps[0] if steps and str(steps[0]) != served.version.number else None


def renewed(served: Served, step: int) -> Version:
    """The checkpoint of this step, for the program that is there.

    Raises:
      InputError: it cannot be read, or the directory holds another run by now.
    """
    run = load(served.run.directory, step)
    if _what_matters(run) != _what_matters(served.run):
        raise InputError(
            f"{run.directory}: expected the run that is served, found one with other settings; "
            "start the server again"
        )
    return Version(str(run.step), run.state)


def _what_matters(run: Run) -> tuple[str, dict[str, Any]]:
    """The settings that make the model, without those that a resumed training may change."""
    settings = flatten(to_settings(run.cfg))
    kept = {k: v for k, v in settings.items() if not k.startswith((*RESUMABLE, "data.files"))}
    return run.workload.name, kept
