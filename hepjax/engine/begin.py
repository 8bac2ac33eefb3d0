"""The state that a training begins with: restored, from an earlier run (warm start), or new."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from hepjax import InputError
from hepjax.engine import compilation, parts, weights
from hepjax.engine.checkpoint import (
    best_first,
    complete_steps,
    read_manifest,
    restore_arrays,
    restore_first,
)
from hepjax.engine.mesh import state_shardings
from hepjax.engine.mesh_checks import require_fit, require_room
from hepjax.engine.rundir import read_settings
from hepjax.engine.step import TrainState, init_state
from hepjax.engine.workload import Workload

QUICK: compilation.Options = {"xla_backend_optimization_level": 1}
"""How a CPU compiles what runs once: the initial state of the 3DGAN in 1.7 s of processor time
instead of 11.8, with the same bits (benchmarks/speed/compilation.py)."""
MOST_TOLD = 8
"""Arrays that are named when a warm start leaves some out; the others are counted."""


def begin_or_restore(
    workload: Workload[Any, Any], cfg: Any, mesh: jax.sharding.Mesh, folder: Path,
    tell: Callable[[str], object] = lambda text: None,
) -> tuple[int, TrainState, Any]:  # fmt: skip
    """The update number to go on from, the state after it, and the shardings of the state.

    Args:
      tell: is told what a warm start takes.
    """
    begin = partial(init_state, workload, cfg)
    abstract = jax.eval_shape(begin)
    parts.require_known(cfg.train.freeze, abstract.model, "train.freeze")
    shardings = state_shardings(cfg.mesh, mesh, abstract)
    require_fit(cfg.mesh, mesh, abstract, shardings)
    require_room(mesh, workload.members(cfg), abstract, shardings)
    placed = jax.tree.map(
        lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), abstract, shardings
    )
    restored = restore_first(folder, complete_steps(folder)[::-1], placed)
    if restored is not None:
        return *restored, shardings
    # Born on its devices: no copy of the whole state on the host.
    platform = mesh.devices.flat[0].platform
    options = compilation.options(platform, workload.compiler_options)
    if platform == "cpu":
        options = {**(options or {}), **QUICK}
    new = jax.jit(begin, out_shardings=shardings, compiler_options=options)
    if not cfg.train.warm_start:
        return 0, new(), shardings
    if cfg.train.warm_schedule == "keep":
        return 0, _continued(cfg, placed), shardings
    state = new()
    return 0, replace(state, model=_warm(cfg, state.model, placed.step.sharding, tell)), shardings


def _continued(cfg: Any, placed: TrainState) -> TrainState:
    """The state of the best epoch of an earlier run, its schedule and optimizer's state included.

    Raises:
      InputError: none there, or one of other networks or another optimizer.
    """
    run = Path(cfg.train.warm_start)
    train = read_settings(run).get("train", {})
    kept = bool(train.get("warm_start")) and train.get("warm_schedule", "reset") == "keep"
    before: Any = jax.ShapeDtypeStruct((2,), jnp.float32, sharding=placed.step.sharding)
    folder = run / "checkpoints"
    earlier = replace(placed, before=before if kept else None)
    step, state = _require_trained(restore_first(folder, best_first(folder), earlier), folder)
    zero = jnp.zeros_like(state.step)
    done = jnp.array([float(read_manifest(folder, step)["epoch"]), step], jnp.float32)
    total = done if state.before is None else done + state.before
    return replace(state, step=zero, before=jax.device_put(total, placed.step.sharding))


def _require_trained(found: tuple[int, Any] | None, folder: Path) -> tuple[int, Any]:
    if found is None:
        raise InputError(
            f"train.warm_start: expected a trained run, found no checkpoint in {folder}; train it "
            "first, or name another"
        )
    return found


def _warm(cfg: Any, fresh: Any, whole: Any, tell: Callable[[str], object]) -> Any:
    """A new model with what it has in common with the best epoch of an earlier run.

    An array is taken if one of the same name and shape is there. The moments of the optimizer begin
    anew. A moving average goes into a run without one as its parameters, and a run with one that
    finds none begins it with the parameters.

    Args:
      whole: sharding with which arrays are read.
    Raises:
      InputError: no trained run, or one that has nothing in common with this one.
    """
    run = Path(cfg.train.warm_start)
    read_settings(run)  # says if it is none
    epoch, there = _arrays(run, whole)
    here = parts.named(fresh)
    wanted = {name for name in here if not _is_moment(name)}
    averaged = any(parts.of_parameters(name) != name for name in wanted)
    origin = {name: _origin(name, there, averaged) for name in wanted}
    taken = {
        name: there[old] for name, old in origin.items()
        if old in there and there[old].shape == here[name].shape
    }  # fmt: skip
    lost = [name for name in wanted - taken.keys() if parts.of_parameters(name) != name]
    if lost and not any(name in here for name in map(parts.of_parameters, lost)):
        # Nothing tells whose average it is, and its first value would be judged, not the weights.
        raise InputError(
            f"optimizer.average: expected 0, as {run} has no moving average to go on with, "
            f"found {cfg.optimizer.average}"
        )
    if not taken:
        raise InputError(
            f"train.warm_start: expected a run with arrays of the names and shapes of this one, "
            f"found none in {run}"
        )
    _tell(tell, run, epoch, here, wanted, taken, there)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: _like(taken.get(parts.name_of(path)), leaf), fresh
    )


def _arrays(run: Path, whole: Any) -> tuple[float | None, dict[str, Any]]:
    """Epoch and arrays of the best epoch of a run by their names; of a packaged model no epoch.

    Raises:
      InputError: no trained run.
    """
    if (package := weights.packaged(run)) is not None:
        return None, weights.arrays(package / weights.FILE)
    folder = run / "checkpoints"
    found = restore_first(folder, best_first(folder), whole, restore_arrays)
    step, arrays = _require_trained(found, folder)
    there = {
        name.removeprefix("model/"): array
        for name, array in arrays.items() if name.startswith("model/")
    }  # fmt: skip
    return float(read_manifest(folder, step)["epoch"]), there


def _origin(name: str, there: dict[str, Any], averaged: bool) -> str:
    """Name of the array that an earlier run has for this one."""
    if name in there and averaged:
        return name
    for old in there:
        if not averaged and parts.of_parameters(old) == name and old != name:
            return old  # the average, with which the earlier run was judged
    return name if name in there else parts.of_parameters(name)


def _like(found: jax.Array | None, leaf: jax.Array) -> jax.Array:
    """The array that was found, placed and typed as that of the new state."""
    return leaf if found is None else jax.device_put(found.astype(leaf.dtype), leaf.sharding)


def _is_moment(name: str) -> bool:
    """Whether an array belongs to the moments in a part of the state named ``optimizer``."""
    keys = name.split("/")
    return "optimizer" in keys and "average" not in keys


def _tell(
    tell: Callable[[str], object], run: Path, epoch: float | None, here: dict[str, Any],
    wanted: set[str], taken: dict[str, Any], there: dict[str, Any],
) -> None:  # fmt: skip
    """Say what a warm start takes and what it does not."""
    count = sum(here[name].size for name in taken)
    origin = str(run) if epoch is None else f"{run}, epoch {epoch:g}"
    tell(
        f"hepjax: warm start from {origin}: {len(taken)} of {len(wanted)} arrays "
        f"({count:,} of {sum(here[name].size for name in wanted):,} numbers)"
    )
    new = [
        f"{name} {here[name].shape}"
        + (f", there {there[name].shape}" if name in there else "")
        for name in here if name in wanted and name not in taken
    ]  # fmt: skip
    left = [n for n in there if n not in here and not _is_moment(n) and n not in taken]
    for word, names in (("begun anew", new), ("left there", left)):
        if names:
            more = f"; and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
            tell(f"hepjax: {word}: {'; '.join(names[:MOST_TOLD])}{more}")
