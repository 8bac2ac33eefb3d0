"""A study: a folder of trainings. Its state is what is in the folder.

``study.json`` says what is studied, ``trials/0007`` is the run directory of a trial, and
``records/`` holds its parameters (``0007.json``), for each stage the leases (``0007.s0.L0``, see
leases.py) and how the stage ended (``0007.s0.done``). Every file is made once and never changed, so
workers need no lock; the heartbeats beside the leases are the only exception.
"""

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from hepjax import InputError
from hepjax.engine.settings import flatten
from hepjax.formats.atomic import make_folder, plain
from hepjax.studies import leases, shared_files

Sampler = Literal["tpe", "random", "cmaes", "grid", "list", "seeds"]
Pruner = Literal["asha", "hyperband", "median", "none"]
ATTEMPTS = 5
"""Workers that may be lost in a row with a stage, none of which saved a checkpoint."""
DAMAGED = "its record is damaged"


class Stage(NamedTuple):
    """One part of a trial: training from the end of the stage before to a number of epochs."""

    result: dict[str, Any] | None
    leases: int
    """Generations of leases so far."""
    left: int
    """Of those, how many a worker left in good order."""


class Trial(NamedTuple):
    """One training of a study."""

    number: int
    params: dict[str, Any] | None
    """None: its record is damaged."""
    stages: tuple[Stage, ...]
    kind: str = ""
    """Why it was asked for, where a study has several reasons."""

    @property
    def results(self) -> list[dict[str, Any]]:
        """How its stages ended, in order."""
        return [stage.result for stage in self.stages if stage.result is not None]

    @property
    def last(self) -> dict[str, Any]:
        """How the last finished stage ended; empty if none has."""
        return self.results[-1] if self.results else {}

    @property
    def failed(self) -> str | None:
        """Why it failed, if it did."""
        if self.params is None:
            return DAMAGED
        return str(self.last.get("reason")) if self.last.get("status") == "failed" else None

    @property
    def curve(self) -> list[float]:
        """Its score after each epoch; infinite where it was not finite."""
        return [math.inf if x is None else float(x) for x in self.last.get("curve") or []]

    @property
    def score(self) -> float | None:
        """Its best score so far; lower is better."""
        return None if self.failed else self.last.get("score")


@dataclass(frozen=True)
class StudyFolder:
    """A folder in which workers meet; what is studied is said by those who inherit."""

    folder: Path
    COMMANDS: ClassVar[str] = ""
    """Who makes such studies."""

    @property
    def records(self) -> Path:
        """The folder of the records."""
        return self.folder / "records"

    def run_of(self, number: int) -> Path:
        """The folder of a trial: with trainings its run directory."""
        return self.folder / "trials" / f"{number:04d}"

    def definition(self) -> dict[str, Any]:
        """Content of ``study.json``."""
        own = {k: v for k, v in vars(self).items() if k != "folder"}
        content: dict[str, Any] = plain(own)
        return content


@dataclass(frozen=True)
class Study(StudyFolder):
    """Trainings of one workload."""

    COMMANDS = "hepjax tune or repeat"
    workload: str
    settings: dict[str, Any]
    """Resolved settings that the parameters of a trial replace."""
    space: list[dict[str, Any]] = field(default_factory=list)
    points: list[dict[str, Any]] = field(default_factory=list)
    """With the sampler "list": the parameters of each trial."""
    sampler: Sampler = "tpe"
    pruner: Pruner = "none"
    epochs: tuple[int, ...] = ()
    """At the end of each stage; without any the one stage is the whole training."""
    seed: int = 0
    metric: str = "loss"
    """The score; lower is better."""


def open_study(study: StudyFolder) -> None:
    """Begin the folder of a study, or check that it belongs to the same one.

    Raises:
      InputError: it holds another study, or something else.
    """
    path = study.folder / "study.json"
    begun = path.exists() or study.records.is_dir()
    if study.folder.is_dir() and not begun and any(study.folder.iterdir()):
        raise InputError(
            f"{study.folder}: expected the folder of a study or none, found other files in it"
        )
    make_folder(study.folder)
    shared_files.create(path, study.definition())
    stored = shared_files.read(path)
    if stored is None:
        raise InputError(
            f"{path}: expected the definition that hepjax wrote, found damage; write it again by "
            "the same command after removing it"
        )
    if not stored.keys() & study.definition().keys() - {"seed", "space"}:
        raise InputError(
            f"{study.folder}: expected a study of {study.COMMANDS}, found one of another command; "
            "give another --out"
        )
    require_same(path, stored, study.definition())
    make_folder(study.records)
    make_folder(study.folder / "trials")


def require_same(path: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse to go on with the folder of another study."""
    before, now = flatten(stored), flatten(wanted)
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise InputError(
                f"{path}: expected {key}={before.get(key)} as when the study began, found "
                f"{now.get(key)}; give another --out for another study"
            )


def stored_study(folder: Path) -> Study:
    """The study of a folder.

    Raises:
      InputError: it is none, or damaged.
    """
    path = folder / "study.json"
    found = shared_files.read(path)
    if found is None or not {"workload", "settings", "sampler"} <= found.keys():
        what = "damage" if path.exists() else "no study.json in it"
        raise InputError(f"{folder}: expected the folder of a study, found {what}")
    return Study(folder, **(found | {"epochs": tuple(found["epochs"])}))


NAME = re.compile(r"(\d{4,})\.(?:json|s(\d+)\.(done|L\d+|L\d+\.left))")


def trials(study: StudyFolder) -> list[Trial]:
    """All trials as the folder has them now, by number.

    Raises:
      InputError: the folder cannot be read.
    """
    try:
        names = os.listdir(study.records)
    except OSError as error:
        raise InputError(
            f"{study.records}: expected a readable folder, found: {error.strerror}"
        ) from None
    found: dict[int, dict[int, list[str]]] = {}
    for name in names:
        if match := NAME.fullmatch(name):
            stages = found.setdefault(int(match[1]), {})
            if match[2] is not None:
                stages.setdefault(int(match[2]), []).append(match[3])
    return [_trial(study, number, stages) for number, stages in sorted(found.items())]


def _trial(study: StudyFolder, number: int, stages: dict[int, list[str]]) -> Trial:
    record = shared_files.read(study.records / f"{number:04d}.json") or {}
    made = []
    for k in range(max(stages, default=-1) + 1):
        kinds = stages.get(k, [])
        result = None
        if "done" in kinds:
            path = study.records / f"{job(number, k)}.done"
            result = shared_files.read(path) or {"status": "failed", "reason": DAMAGED}
        left = sum(kind.endswith(".left") for kind in kinds)
        made.append(Stage(result, sum(kind.startswith("L") for kind in kinds) - left, left))
    params, kind = record.get("params"), str(record.get("kind", ""))
    return Trial(number, params if isinstance(params, dict) else None, tuple(made), kind)


def job(number: int, stage: int) -> str:
    """Name of a stage of a trial among the records."""
    return f"{number:04d}.s{stage}"


def newest_lease(study: StudyFolder, number: int, stage: int, generations: int) -> Path:
    """The file of the newest lease of a stage."""
    return study.records / f"{job(number, stage)}.L{generations - 1}"


def finish(
    study: StudyFolder, lease: leases.Lease, number: int, stage: int, result: dict[str, Any]
) -> bool:
    """Write how a stage ended, unless another worker has; whether it was written here.

    Raises:
      LostError: the lease may be another's by now.
    """
    lease.check()
    return shared_files.create(study.records / f"{job(number, stage)}.done", result)
