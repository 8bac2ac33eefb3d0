"""The only list of workloads: those of this package, and others that installed packages add.

Another package adds one through an entry point of the group ``hepjax.workloads`` whose value is its
``Workload``: ``[project.entry-points."hepjax.workloads"] name = "package.module:WORKLOAD"``.
"""

import functools
import importlib
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from hepjax import InputError
from hepjax.engine.bounds import require
from hepjax.engine.settings import build

if TYPE_CHECKING:  # the names alone start no jax
    from hepjax.engine.workload import Simulation, Workload

OWN = (
    "calo",
    "cosmoflow",
    "fields",
    "gan3d",
    "mlpf",
    "nsbi",
    "tagger",
    "tracking",
    "trigger",
    "unfold",
    "waveforms",
    "wgan",
)
GROUP = "hepjax.workloads"


def names() -> tuple[str, ...]:
    """Names of all workloads."""
    return (*OWN, *sorted(_outside()))


def get(name: object) -> "Workload[Any, Any]":
    """The workload of that name.

    Raises:
      InputError: there is none, or the package that adds it cannot be used.
    """
    require(name in names(), "workload", f"one of {', '.join(names())}", name)
    if name in OWN:
        return importlib.import_module(f"hepjax.workloads.{name}.workload").WORKLOAD
    return _load(str(name))


def configure(settings: dict[str, Any]) -> "tuple[Workload[Any, Any], Any]":
    """The workload that ``settings`` name and its checked configuration.

    Raises:
      InputError: unknown workload or setting, wrong type, bad value.
    """
    workload = get(settings.get("workload"))
    own = {key: value for key, value in settings.items() if key != "workload"}
    return workload, build(workload.Config, own)


def outside() -> "list[Workload[Any, Any]]":
    """The workloads of other packages; standard error names those that cannot be used."""
    usable = []
    for name in sorted(_outside()):
        try:
            usable.append(_load(name))
        except InputError as error:
            print(f"hepjax: warning: {error}", file=sys.stderr)
    return usable


def simulation(name: str) -> "Simulation | None":
    """What writes the simulated events of that name for a workload from outside, if one has it."""
    found = (w.simulations[name] for w in outside() if name in w.simulations)
    return next(found, None)


def _outside() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in OWN or point.name in found:
            raise InputError(
                f"{point.value}: expected a workload with a name of its own, found {point.name!r} "
                "a second time; uninstall one of the packages"
            )
        found[point.name] = point
    return found


@functools.cache
def _load(name: str) -> "Workload[Any, Any]":
    from hepjax.engine.workload import Workload

    point = _outside()[name]
    try:
        loaded = point.load()
    except Exception as error:
        raise InputError(
            f"{point.value}: expected the workload {name!r}, found that it cannot be imported "
            f"({type(error).__name__}: {error}); mend or uninstall its package"
        ) from error
    if not isinstance(loaded, Workload):
        raise InputError(
            f"{point.value}: expected a hepjax Workload, found a {type(loaded).__name__}"
        )
    return loaded
