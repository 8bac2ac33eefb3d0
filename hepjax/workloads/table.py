"""The table of workloads: a name to what the engine needs of it."""

import importlib
from types import ModuleType
from typing import Any

from hepjax.engine.config import build, require
from hepjax.engine.workload import Workload

NAMES = ("gan3d", "mlpf", "tagger")
INSPECTORS = {
    "clic": "calorimeter", "calochallenge": "calorimeter", "jets": "jets", "packed": "jets",
    "mlpf": "particleflow",
}  # fmt: skip
"""Which workload looks into which family of files (``formats.recognise``)."""


def get(name: object) -> Workload:
    """The workload of that name.

    Raises:
      InputError: there is none.
    """
    require(name in NAMES, "workload", f"one of {', '.join(NAMES)}", name)
    return importlib.import_module(f"hepjax.workloads.{name}.workload").WORKLOAD


def inspector(family: str) -> ModuleType:
    """The module behind ``hepjax inspect`` for a family of files.

    It has ``inspect(paths, plot, *, progress, ...) -> report`` and ``text(report)``, its lines.
    """
    return importlib.import_module(f"hepjax.physics.{INSPECTORS[family]}.inspect")


def configure(settings: dict[str, Any]) -> tuple[Workload, Any]:
    """The workload that ``settings`` name and its checked configuration.

    Raises:
      InputError: unknown workload or setting, wrong type, bad value.
    """
    workload = get(settings.get("workload"))
    own = {key: value for key, value in settings.items() if key != "workload"}
    return workload, build(workload.Config, own)
